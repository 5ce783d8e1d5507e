"""What an exact expectation over the data returns, whichever method computed it.

The population loss is L = E log(1 + e^{−yF}); by the label flip everything is computed at y = 1.
Its gradient on the invariant subspace is −E[sig(−F) ∂F].  Near a plateau that mean cancels, so its
error is judged against the *scale* E[sig(−F) Σ_sets |∂F_set|], which does not.  The share ∂F_set
of a set is that of :func:`theory.symmetry.terms.set_terms`: what cancels identically, whatever
the image, is in neither, so a gradient that is small for that reason is not excused.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from theory.expectation.rows import Part
from theory.setting import Coefficients

__all__ = ["Expectation"]


@dataclass(frozen=True)
class Expectation:
    """Population loss and gradient with bounds on their absolute errors.

    Attributes
    ----------
    loss, loss_error : float
    gradient, gradient_error : Coefficients
        ∂loss/∂v·w* and ∂loss/∂A_ij for one ordered pair inside a set (γ) and across sets (ρ).
    scale : Coefficients
        E[sig(−F) Σ_sets |∂F_set|], component by component.
    """

    loss: float
    gradient: Coefficients[float]
    scale: Coefficients[float]
    loss_error: float
    gradient_error: Coefficients[float]

    @classmethod
    def of_sums(cls, value: np.ndarray, error: np.ndarray) -> Expectation:
        """From E of log(1 + e^{−F}), sig(−F)∂F and its sizes, (7,), and errors (4,); see `Part`."""
        return cls(
            loss=float(value[Part.LOSS]),
            gradient=Coefficients(*(-value[Part.SLOPES]).tolist()),
            scale=Coefficients(*value[Part.SIZES].tolist()),
            loss_error=float(error[Part.LOSS]),
            gradient_error=Coefficients(*error[Part.SLOPES].tolist()),
        )

    @property
    def relative_error(self) -> float:
        """Largest error, relative to the loss and to the scale of each component.

        A component that vanishes on every image has no scale of its own: the largest serves.
        """
        tiny, names = sys.float_info.min, ("alpha", "gamma", "rho")
        pairs = [(getattr(self.gradient_error, x), getattr(self.scale, x)) for x in names]
        # Below the smallest normal number a component has no digits; a loss of 0 is an underflow.
        relative = [self.loss_error / self.loss if self.loss > 0 else math.inf]
        largest = max(scale for _, scale in pairs)
        relative += [error / (scale or largest or tiny) for error, scale in pairs if error > tiny]
        return max(relative)
