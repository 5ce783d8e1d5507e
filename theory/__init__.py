"""Exact population dynamics of the three attention coefficients of a one-layer ViT.

Everything a reader needs to compute is here; each room has more.  A name is imported when it is
first asked for, so that ``import theory`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theory.data.law import bayes_error, invariant_error
    from theory.dynamics.descent import gradient_descent, gradient_flow, plateau
    from theory.expectation.population import evaluate, population_gradient, population_loss
    from theory.setting import Coefficients, Setting

__all__ = [
    "Coefficients",
    "Setting",
    "bayes_error",
    "evaluate",
    "gradient_descent",
    "gradient_flow",
    "invariant_error",
    "plateau",
    "population_gradient",
    "population_loss",
]

_HOMES = {
    "theory.data.law": ["bayes_error", "invariant_error"],
    "theory.dynamics.descent": ["gradient_descent", "gradient_flow", "plateau"],
    "theory.expectation.population": ["evaluate", "population_gradient", "population_loss"],
    "theory.setting": ["Coefficients", "Setting"],
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
