"""Learning a new feature with and without the sets: finite-size bounds around Theorem 5.1.

A network that has associated is shown N images of a new feature.  Its first step from v = 0 is the
average of y_n Σ_j X_j, whose component along the new w* is C + R̄ up to scale; by Bernstein's
inequality Pr(C + R̄ ≤ C/2) ≤ exp(−N C² / (8 (qn + C/6))) (:func:`averaging_bound`).  With γ = ρ
held equal the network is invariant, and its error is at least e_inv for every v and N (Theorem A).
An algorithm that has to find a uniformly random partition as well errs, whatever it does, with
probability at least

    E[(K/L) e_inv(K, C, q)],    K = number of empty boxes after N throws into L boxes,

because the K sets that were never the signal stay hidden (:func:`box_bound`).

In: a setting and N.  Out: exact rationals where q is rational.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
from scipy.stats import binom

from theory.data.law import invariant_error
from theory.inputs import Number, integer
from theory.setting import Setting

__all__ = [
    "averaging_bound",
    "averaging_failure",
    "box_bound",
    "empty_boxes",
]


def averaging_bound(setting: Setting, N: int) -> float:
    """exp(−N C² / (8 (qn + C/6))), at least Pr(C + R̄ ≤ C/2) for the average of N images.

    Examples
    --------
    >>> setting = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    >>> round(averaging_bound(setting, 50), 4)
    0.0065
    """
    N = integer("N", N, least=1)
    C = setting.C
    return math.exp(-N * C * C / (8 * (float(setting.q) * setting.n + C / 6)))


def averaging_failure(setting: Setting, N: int) -> Fraction | float:
    """Pr(C + R̄ ≤ C/2) itself: N R̄ is a sum of N n independent spurious features.

    Exact for rational q; for a float to about 1e-12, by binomial laws.

    Examples
    --------
    >>> print(averaging_failure(Setting(L=2, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1), 1))
    5/16
    """
    N = integer("N", N, least=1)
    features, least = N * setting.n, (N * setting.C + 1) // 2  # failure: N R̄ ≤ −least
    q = setting.q
    if isinstance(q, float):
        nonzero = np.arange(features + 1)
        # Of k nonzero features, k − j are −1 and j are +1: the sum is 2j − k.
        below = binom.cdf((nonzero - least) // 2, nonzero, 0.5)
        return float(binom.pmf(nonzero, features, q) @ below)
    side, unit = q.numerator, 2 * q.denominator
    power = flint.fmpz_poly([side, unit - 2 * side, side]) ** features
    # The sum k stands at the power k + features.
    return Fraction(sum(int(power[k]) for k in range(features - least + 1)), unit**features)


def empty_boxes(L: int, N: int) -> list[Fraction]:
    """Law of the number of empty boxes, 0, …, L, after N uniform throws into L boxes.

    Examples
    --------
    >>> print(*empty_boxes(3, 2))
    0 2/3 1/3 0
    """
    L, N = integer("L", L, least=1), integer("N", N, least=0)
    ways = [0] * L + [1]
    for _ in range(N):
        # A throw fills one of the k empty boxes, or hits one of the L − k others.
        ways = [ways[k] * (L - k) + (ways[k + 1] * (k + 1) if k < L else 0) for k in range(L + 1)]
    return [Fraction(way, L**N) for way in ways]


def box_bound(setting: Setting, N: int) -> Number:
    """E[(K/L) e_inv(K, C, q)] with K as in :func:`empty_boxes`; e_inv = 0 for one set or none.

    Parameters
    ----------
    setting : Setting
        L, C and q.
    N : int
        Number of training images, N ≥ 0.

    Returns
    -------
    Fraction or float
        A lower bound on the error, averaged over a uniformly random partition, of every algorithm
        that is given N images and then has to label one.  Exact for rational q.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)
    >>> print(box_bound(setting, 0), box_bound(setting, 1))
    23/256 1/48
    """
    boxes = empty_boxes(setting.L, N)
    total: Number = Fraction(0)
    for K in range(2, setting.L + 1):
        if boxes[K]:
            total += boxes[K] * Fraction(K, setting.L) * invariant_error(replace(setting, L=K))
    return total
