"""Exact population dynamics of the three attention coefficients of a one-layer ViT.

Everything a reader needs to compute is here; each room has more.
"""

from theory.dynamics import gradient_descent
from theory.population import population_gradient, population_loss
from theory.setting import Coefficients, Setting

__all__ = [
    "Coefficients",
    "Setting",
    "gradient_descent",
    "population_gradient",
    "population_loss",
]
