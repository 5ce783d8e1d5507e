"""The symbols of the reduced model, under the paper's names: one table for every formula.

Used as ``symbols.gamma`` after ``from theory.symmetry import symbols``.
"""

from __future__ import annotations

import sympy as sp

L, C = sp.symbols("L C", integer=True, positive=True)
D = L * C
p = sp.Symbol("p", integer=True, positive=True)
q, nu = sp.symbols("q nu", nonnegative=True)
tau = sp.Symbol("tau", positive=True)
sigma_A, alpha, gamma, rho = sp.symbols("sigma_A alpha gamma rho", real=True)
Lambda, Gamma, Xi = sp.symbols("Lambda Gamma Xi", positive=True)
# The type of a set, the feature of a patch, and the total of a sample.
n_plus, n_minus = sp.symbols("n_plus n_minus", integer=True, nonnegative=True)
delta, T = sp.symbols("delta T", integer=True)
# What a patch weighs to itself beyond what it weighs to another one: b = e^{σ_A/τ} − 1 > −1.
b = sp.Symbol("b", real=True)


def at(**values: object) -> dict[sp.Symbol, object]:
    """The substitution that gives symbols their values.

    Examples
    --------
    >>> (D - C).subs(at(L=3, C=2))
    4
    """
    return {globals()[name]: value for name, value in values.items()}
