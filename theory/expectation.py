"""What an exact expectation over the data returns, whichever method computed it.

The population loss is L = E log(1 + e^{−yF}); by the label flip everything is computed at y = 1.
Its gradient on the invariant subspace is −E[sig(−F) ∂F].  Near a plateau that mean cancels, so its
error is judged against the *scale* E[sig(−F) Σ_sets |∂F_set|], which does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from theory.setting import Coefficients

__all__ = ["Expectation"]


@dataclass(frozen=True)
class Expectation:
    """Population loss and gradient with absolute error bounds.

    Attributes
    ----------
    loss, loss_error : float
    gradient, gradient_error : Coefficients
        ∂loss/∂v·w* and ∂loss/∂A_ij for one ordered pair inside a set (γ) and across sets (ρ).
    scale : Coefficients
        E[sig(−F) Σ_sets |∂F_set|], component by component.
    """

    loss: float
    gradient: Coefficients
    scale: Coefficients
    loss_error: float
    gradient_error: Coefficients

    @property
    def relative_error(self) -> float:
        """Largest error, relative to the loss and to the scale of each component."""
        pairs = [(self.loss_error, self.loss)]
        for name in ("alpha", "gamma", "rho"):
            pairs.append((getattr(self.gradient_error, name), getattr(self.scale, name)))
        # A component that vanishes identically (γ when C = 1) has no scale and no error.
        return max((error / scale for error, scale in pairs if error > 0), default=0.0)
