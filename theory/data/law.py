"""The data law of Assumption 1, exactly, and what no labelling rule can beat under it.

An image with label y = ±1 (equally likely) has one signal set, uniform among the L sets, whose C
patches all carry the feature y; each of the n = D − C other patches carries +1 and −1 with
probability q/2 each, else 0, independently.  A feature is x_j = ⟨w*, X_j⟩; the noise, orthogonal to
w*, says nothing about y and is left out.  The computed objects are

* the law of one random set by type (n₊, n₋, n₀), and of the total R of the spurious features;
* the labelling function f*(X) = Σ_l s_l 1{|s_l| > 0.9 C}, s_l the sum of set l, and its error;
* the posterior of y, the Bayes error and log-loss, and the error e_inv that every function
  symmetric in all D patches is bound to make.

In: a :class:`~theory.setting.Setting`.  If its q is rational (``Fraction``, ``int``) every
probability comes out as a ``Fraction``; if q is a float, as float64 computed by sums and products
of positive numbers, so that a tiny probability is as accurate, relatively, as a large one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.data.partition import Partition
from theory.setting import Setting

__all__ = [
    "LabelError",
    "Law",
    "SetTypes",
    "bayes_error",
    "f_star",
    "f_star_error",
    "invariant_error",
    "log_loss_floor",
    "posterior",
    "set_law",
    "set_types",
    "spurious_law",
]

Probability = Fraction | float


class SetTypes(NamedTuple):
    """The types of one random set, ordered by sum, then by n₊; three arrays of equal length.

    ``n_plus`` and ``n_minus`` count the features +1 and −1; ``probability`` is float64, or an
    object array of ``Fraction``.  All (C+1)(C+2)/2 types are listed whatever q, hence some with
    probability 0 at q = 0 and q = 1.
    """

    n_plus: NDArray[np.intp]
    n_minus: NDArray[np.intp]
    probability: np.ndarray

    @property
    def sums(self) -> NDArray[np.intp]:
        """n₊ − n₋ of each type, nondecreasing from −C to C."""
        return self.n_plus - self.n_minus

    @property
    def group_starts(self) -> NDArray[np.intp]:
        """First type of each sum −C, …, C (none is empty): what ``np.add.reduceat`` takes."""
        return np.unique(self.sums, return_index=True)[1]


class Law(NamedTuple):
    """A law on consecutive integers: ``value`` ascending, ``probability`` float64 or Fractions."""

    value: NDArray[np.intp]
    probability: np.ndarray

    def total(self, event: NDArray[np.bool_]) -> Probability:
        """Probability of an event given as a mask on ``value``."""
        chosen = self.probability[event]
        if self.probability.dtype == object:
            return sum(chosen, Fraction(0))
        return math.fsum(chosen)


class LabelError(NamedTuple):
    """How often f* errs: ``nonpositive`` = Pr[y f* ≤ 0], ``negative`` = Pr[y f* < 0]."""

    nonpositive: Probability
    negative: Probability


def _rate(setting: Setting) -> Fraction | float:
    q = setting.q
    return q if isinstance(q, float) else Fraction(q)


def _weights(q: Fraction | float) -> tuple[np.ndarray, int]:
    """Weights of the features −1, 0, 1 and their total: integers in the exact case.

    Integers, because convolving Fractions would reduce one at every single product.
    """
    if isinstance(q, Fraction):
        a, b = q.numerator, q.denominator
        return np.array([a, 2 * (b - a), a], dtype=object), 2 * b
    return np.array([q / 2, 1 - q, q / 2]), 1


def _convolution_power(base: np.ndarray, times: int) -> np.ndarray:
    """Weights of the sum of independent copies, by repeated squaring."""
    result = np.ones(1, dtype=base.dtype)
    while times:
        if times & 1:
            result = np.convolve(result, base)
        times >>= 1
        if times:
            base = np.convolve(base, base)
    return result


def _law(weights: np.ndarray, total: int) -> Law:
    """The symmetric law with these weights, centred at 0."""
    half = len(weights) // 2
    if weights.dtype == object:
        weights = np.array([Fraction(w, total) for w in weights], dtype=object)
    return Law(np.arange(-half, half + 1), weights)


def set_types(setting: Setting) -> SetTypes:
    """The multinomial law of the type (n₊, n₋, n₀ = C − n₊ − n₋) of one random set.

    Pr = C! / (n₊! n₋! n₀!) (q/2)^(n₊+n₋) (1−q)^n₀, exact for rational q; for a float q the exact
    value at that float, rounded once.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)
    >>> types = set_types(setting)
    >>> for row in zip(types.sums.tolist(), types.n_plus.tolist(), types.probability.tolist()):
    ...     print(*row)
    -2 0 1/16
    -1 0 1/4
    0 0 1/4
    0 1 1/8
    1 1 1/4
    2 2 1/16
    """
    C, q = setting.C, _rate(setting)
    (side, middle, _), unit = _weights(Fraction(q))
    pairs = [(plus, minus) for plus in range(C + 1) for minus in range(C + 1 - plus)]
    pairs.sort(key=lambda pair: (pair[0] - pair[1], pair[0]))
    exact = []
    for plus, minus in pairs:
        spurious = plus + minus
        ways = math.comb(C, spurious) * math.comb(spurious, plus)
        exact.append(Fraction(ways * side**spurious * middle ** (C - spurious), unit**C))
    n_plus, n_minus = np.array(pairs).T
    probability = np.array(exact, dtype=object if isinstance(q, Fraction) else float)
    return SetTypes(n_plus, n_minus, probability)


def set_law(setting: Setting) -> Law:
    """Law of the sum n₊ − n₋ of one random set, on −C, …, C: mean 0, variance qC."""
    weights, unit = _weights(_rate(setting))
    return _law(_convolution_power(weights, setting.C), unit**setting.C)


def spurious_law(setting: Setting) -> Law:
    """Law of R, the sum of all n = D − C spurious features, on −n, …, n: mean 0, variance qn.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)
    >>> print(*spurious_law(setting).probability)
    1/16 1/4 3/8 1/4 1/16
    """
    weights, unit = _weights(_rate(setting))
    return _law(_convolution_power(weights, setting.n), unit**setting.n)


def _passes(sums: NDArray[np.intp], C: int) -> NDArray[np.bool_]:
    # In integers, so that rounding cannot decide where |s| = 0.9 C exactly.
    return 10 * np.abs(sums) > 9 * C


def _set_sums(features: ArrayLike, partition: Partition) -> NDArray[np.intp]:
    x = np.asarray(features)
    if x.ndim == 0 or x.shape[-1] != partition.D or not np.isin(x, (-1, 0, 1)).all():
        raise ValueError(
            f"features of shape {x.shape}: features must be -1, 0 or 1, {partition.D} in a row"
        )
    member = np.array(partition.labels)[:, None] == np.arange(partition.L)
    return x.astype(np.intp) @ member.astype(np.intp)


def f_star(features: ArrayLike, partition: Partition) -> NDArray[np.intp]:
    """The labelling function of Assumption 1: the sum of all set sums above 0.9 C in size.

    Parameters
    ----------
    features : array (..., D) of -1, 0, 1
        x_j = ⟨w*, X_j⟩.
    partition : Partition
        L sets of C patches.

    Returns
    -------
    ndarray of int, shape (...)

    Raises
    ------
    ValueError
        If the features are of another shape or value, or the sets differ in size.

    Examples
    --------
    >>> print(f_star([[1, 1, 0, -1], [1, 1, -1, -1]], Partition.contiguous(L=2, C=2)))
    [2 0]
    """
    sums = _set_sums(features, partition)
    return (sums * _passes(sums, partition.C)).sum(axis=-1)


def f_star_error(setting: Setting) -> LabelError:
    """Exact probability that f* fails to show the label: Pr[y f* ≤ 0] and Pr[y f* < 0].

    The law of one set is thresholded and convolved over the L − 1 random sets.  For C ≤ 10 only
    |s| = C passes and the result is ½(1 − P_0), ½(1 − P_0 − 2P_1) with
    P_k = [z^k](1 − 2η + ηz + η/z)^(L−1), η = (q/2)^C; from C = 11 on C − 1 passes as well, from
    C = 21 on C − 2, and so on.

    Examples
    --------
    >>> print(*f_star_error(Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)))
    29/256 1/256
    """
    C, times = setting.C, setting.L - 1
    weights, unit = _weights(_rate(setting))
    weights = _convolution_power(weights, C)
    sums = np.arange(-C, C + 1)
    thresholded = np.where(_passes(sums, C), weights, weights[:1] * 0)
    thresholded[C] = weights[~_passes(sums, C)].sum()
    others = _law(_convolution_power(thresholded, times), unit ** (C * times))
    return LabelError(others.total(C + others.value <= 0), others.total(C + others.value < 0))


def posterior(features: ArrayLike, partition: Partition) -> NDArray[np.float64]:
    """Pr(y = +1 | X) = n₊ / (n₊ + n₋), n± counting the sets whose features are all ±1.

    Each pure set may be the signal set; given that it is, the other sets have the same likelihood
    whichever it was, because every pure set is equally likely as a random one, (q/2)^C.
    Parameters as in :func:`f_star`; shape (...).  ``ValueError`` also where no set is pure, which
    has probability 0.
    """
    sums = _set_sums(features, partition)
    plus = (sums == partition.C).sum(axis=-1)
    minus = (sums == -partition.C).sum(axis=-1)
    if not np.all(plus + minus):
        raise ValueError("features without any set that is all +1 or all -1: not an image")
    return plus / (plus + minus)


def _pure_set_weights(setting: Setting) -> tuple[np.ndarray, int]:
    """Weights of a random set being all −1, not pure, all +1."""
    weights, unit = _weights(_rate(setting))
    pure, total = weights[0] ** setting.C, unit**setting.C
    return np.array([pure, total - 2 * pure, pure], dtype=weights.dtype), total


def bayes_error(setting: Setting) -> Probability:
    """The least error of any rule, ½(1 − P_0 − P_1), with P_k as in :func:`f_star_error`.

    The best rule follows the majority among the pure sets; it errs when N₊ − N₋ ≤ −2 among the
    random sets (label +1), and half the time on the tie N₊ − N₋ = −1.

    Examples
    --------
    >>> print(bayes_error(Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)))
    15/256
    """
    weights, total = _pure_set_weights(setting)
    times = setting.L - 1
    law = _law(_convolution_power(weights, times), total**times)
    return law.total(law.value < -1) + law.total(law.value == -1) / 2


def log_loss_floor(setting: Setting) -> float:
    """The least logistic loss of any function, E log(1 + N₋/(1 + N₊)), in nats.

    N± count the random sets that are all ±1.  Their number N₊ + N₋ is binomial(L − 1, 2η), and
    each is then positive with probability ½.
    """
    eta = float(_rate(setting) / 2) ** setting.C
    number = _convolution_power(np.array([1 - 2 * eta, 2 * eta]), setting.L - 1)
    split, terms = np.ones(1), []
    for count, probability in enumerate(number):
        minus = np.arange(count + 1)
        terms.append(probability * (split @ np.log1p(minus / (1 + count - minus))))
        split = np.convolve(split, [0.5, 0.5])
    return math.fsum(terms)


def invariant_error(setting: Setting) -> Probability:
    """e_inv = ½(1 − Pr(−C < R ≤ C)), the least Pr[y g ≤ 0] of any g symmetric in the D patches.

    Such a g sees the counts (N₊, N₋) of features alone, whose likelihood ratio is
    binom(N₊, C) / binom(N₋, C); the sign of T = C + R (label +1) is best, with ties T = 0 split
    fairly.  By the symmetry of R the error is Pr(R < −C) + ½ Pr(R = −C).

    Examples
    --------
    >>> print(invariant_error(Setting(L=4, C=2, q=1, p=3, nu=0, sigma_A=1)))
    29/128
    """
    law = spurious_law(setting)
    return law.total(law.value < -setting.C) + law.total(law.value == -setting.C) / 2
