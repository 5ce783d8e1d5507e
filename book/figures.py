"""One look for every figure of the book: colours with a fixed meaning, sizes, ink.

Figures are drawn dark on a transparent ground, as SVG.  In the dark theme the style sheet inverts
their lightness and keeps their hues, so one file serves both; photographs, and maps whose colours
must not change, carry ``:figclass: photograph`` and keep a white ground instead.

A chapter starts with ``import figures`` and ``figures.setup()``.  Chapters are executed in this
folder, by the build as by Jupyter, so the module is found without any path setting.
"""

from __future__ import annotations

import math
import warnings
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from myst_nb import glue
from numpy.typing import NDArray

# What timm imports asks for widgets; a chapter that writes to stderr fails the build.
warnings.filterwarnings("ignore", message="IProgress not found")

__all__ = ["COLORS", "CYCLE", "DIVERGING", "HALF", "SEQUENTIAL", "WIDE", "keep", "mosaic", "setup"]

# Colour-blind safe (after Okabe and Ito), each at least 3:1 on white and, inverted, on the dark
# page.  A quantity keeps its colour in every chapter.
COLORS: Final = {
    "alpha": "#0072B2",  # blue
    "gamma": "#C04A00",  # vermilion
    "rho": "#007A5A",  # green
    "loss": "#3B3B3B",  # ink
    "error": "#A8377E",  # purple
    "theory": "#3B3B3B",  # exact curves, wherever no coefficient is meant
    "simulation": "#0072B2",  # measured points
    "reference": "#767676",  # bounds, floors and guide lines
}
CYCLE: Final = [COLORS[name] for name in ("alpha", "gamma", "rho", "error", "loss")]
SEQUENTIAL: Final = "viridis"  # matrices of one sign
DIVERGING: Final = "RdBu_r"  # matrices of two signs, centred on zero

HALF: Final = (5.2, 3.4)  # inches: a figure in one of two columns
WIDE: Final = (9.0, 3.6)  # a figure across the page


def setup() -> None:
    """Set matplotlib's defaults for the rest of the notebook."""
    set_matplotlib_formats("svg")
    mpl.rcParams.update(
        {
            "figure.figsize": HALF,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.prop_cycle": mpl.cycler(color=CYCLE),
            "axes.edgecolor": "#555555",
            "axes.grid": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "axes.axisbelow": True,
            "grid.color": "#DDDDDD",
            "grid.linewidth": 0.7,
            "text.color": "#222222",
            "axes.labelcolor": "#222222",
            "xtick.color": "#444444",
            "ytick.color": "#444444",
            "font.size": 10.5,
            "font.family": "DejaVu Sans",  # bundled with matplotlib, has α, γ, ρ
            "mathtext.fontset": "cm",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "image.cmap": SEQUENTIAL,
        }
    )


def mosaic(S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row i of ``S`` (side², side²) as a small map, in the place of patch i of side × side.

    The maps are apart by a line of nan, which is drawn as nothing.
    """
    side = math.isqrt(len(S))
    tiles = np.full((side, side + 1, side, side + 1), np.nan)
    tiles[:, :side, :, :side] = S.reshape(side, side, side, side).transpose(0, 2, 1, 3)
    return tiles.reshape(side * (side + 1), side * (side + 1))[:-1, :-1]


def keep(name: str, figure: Figure) -> None:
    """Store `figure` under `name` for ``{glue:figure}``.

    The figure stays open, so that in Jupyter the cell still shows it.
    """
    glue(name, figure, display=False)
