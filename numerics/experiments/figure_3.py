"""Figure 3: images drawn from the structured law, and how often their features occur.

One image of each label is kept whole: its pixels, its features δ_j and the hidden set that carries
its label.  Over many images, the rate of each feature outside that set is measured beside q/2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from numerics.data.sets import as_images
from numerics.data.structured import StructuredData, random_direction
from numerics.experiment import QUIET, Experiment, Options, Seeded
from numerics.measure.coefficients import estimate
from theory.data.partition import Partition
from theory.setting import Setting

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config(Seeded):
    """Size of the images, of scattered sets and d pixels a patch; N of them are counted.

    The seed draws the partition, w*, and the images.
    """

    L: int = 16
    C: int = 4
    q: float = 0.25
    d: int = 16
    N: int = 20_000

    def law(self, generator: torch.Generator) -> StructuredData:
        """The law that images are drawn from."""
        setting = Setting(L=self.L, C=self.C, q=self.q, p=3, nu=0.05, sigma_A=2.0)
        partition = Partition.scattered(self.L, self.C, self.seed)
        return StructuredData(setting, partition, random_direction(self.d, generator))


LIGHT = Config(N=2000)


def _rates(delta: Tensor, y: Tensor, signal: Tensor) -> dict[str, list[float]]:
    """Rates by image: of features equal to y, −y and 0 outside the signal set, and inside of y."""
    outside = (~signal).sum(dim=1)
    own = delta == y[:, None]
    rates = {
        "spurious_agreeing": (own & ~signal).sum(dim=1) / outside,
        "spurious_opposed": ((delta == -y[:, None]) & ~signal).sum(dim=1) / outside,
        "no_feature": ((delta == 0) & ~signal).sum(dim=1) / outside,
        "signal_agreeing": (own & signal).sum(dim=1) / signal.sum(dim=1),
        "label": y,
    }
    return {name: rate.tolist() for name, rate in rates.items()}


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Draw ``config.N`` images.

    Returns
    -------
    dict
        ``metrics``: mean over images, with standard error, of the rates of features equal to y, to
        −y and to 0 among patches outside the signal set, of features equal to y inside it, and of
        the label; ``labels``: the set of each patch; ``images``: the first image with y = 1 and
        the first with y = −1: y, signal_set, delta, and pixels (side, side) to three decimals.
    """
    generator = torch.Generator(options.device).manual_seed(config.seed)
    law = config.law(generator)
    X, y, signal_set, delta = law.sample(config.N, generator, latents=True)
    assert signal_set is not None
    assert delta is not None
    signal = torch.tensor(law.partition.labels, device=options.device) == signal_set[:, None]
    kept = [int((y == label).nonzero()[0]) for label in (1, -1)]
    pixels = as_images(X[kept])[:, 0].double().tolist()
    images = [
        {
            "y": int(y[i]),
            "signal_set": int(signal_set[i]),
            "delta": delta[i].int().tolist(),
            "pixels": [[round(value, 3) for value in row] for row in image],
        }
        for i, image in zip(kept, pixels, strict=True)
    ]
    rates = _rates(delta, y, signal)
    return {
        "metrics": {name: asdict(estimate(values)) for name, values in rates.items()},
        "labels": list(law.partition.labels),
        "images": images,
    }


EXPERIMENT = Experiment(run, LIGHT)
