"""Hypothesis strategies that build valid objects of the theory, never filter.

Every real number drawn is a dyadic rational with few digits: floats hold it exactly, so float and
exact arithmetic see the same number, and failures shrink to something readable.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from theory.data.partition import Partition
from theory.setting import Coefficients, Setting

__all__ = [
    "attention_logits",
    "coefficients",
    "group_elements",
    "partitions",
    "permutations",
    "rational_settings",
    "settings",
    "small_settings",
    "value_vectors",
    "weights",
]


def _dyadic(low: float, high: float, denominator: int = 16) -> st.SearchStrategy[float]:
    """Multiples of 1/denominator in [low, high]; shrinks towards 0."""
    return st.integers(math.ceil(low * denominator), math.floor(high * denominator)).map(
        lambda k: k / denominator
    )


def _shapes(max_D: int, max_C: int) -> st.SearchStrategy[tuple[int, int]]:
    """(L, C) with L >= 2, 1 <= C <= max_C and L*C <= max_D."""
    return st.integers(1, min(max_C, max_D // 2)).flatmap(
        lambda C: st.tuples(st.integers(2, max_D // C), st.just(C))
    )


@st.composite
def settings(draw: st.DrawFn, max_D: int = 36, max_C: int = 6) -> Setting:
    """Settings with float parameters, the edges q = 0 and q = 1 included."""
    L, C = draw(_shapes(max_D, max_C))
    return Setting(
        L=L,
        C=C,
        q=draw(_dyadic(0, 1)),
        p=draw(st.sampled_from([3, 5])),
        nu=draw(_dyadic(0, 1)),
        sigma_A=draw(_dyadic(-3, 3)),
        temperature=draw(st.sampled_from([1.0, 0.5, 2.0])),
    )


def small_settings(max_D: int = 9, max_C: int = 4) -> st.SearchStrategy[Setting]:
    """Settings so small that every configuration of patches can be enumerated: 3**n <= 6561."""
    return settings(max_D=max_D, max_C=max_C)


@st.composite
def rational_settings(draw: st.DrawFn, max_D: int = 9, max_C: int = 4) -> Setting:
    """As small_settings, with ``Fraction`` parameters: here thirds and fifths are welcome too."""
    L, C = draw(_shapes(max_D, max_C))
    denominator = draw(st.integers(1, 6))
    return Setting(
        L=L,
        C=C,
        q=Fraction(draw(st.integers(0, denominator)), denominator),
        p=draw(st.sampled_from([3, 5])),
        nu=draw(st.fractions(0, 1, max_denominator=6)),
        sigma_A=draw(st.fractions(-3, 3, max_denominator=6)),
        temperature=draw(st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(2)])),
    )


@st.composite
def coefficients(draw: st.DrawFn, setting: Setting, bound: float = 60.0) -> Coefficients:
    """A state with |F| <= bound on every input, and logits gaps of at most 6 temperatures.

    Rows of the softmax sum to 1 and features are at most 1, so |O| <= κ = |α| D and
    |F| <= D (κ^p + ν κ); each term is kept below half of the bound.
    """
    kappa = (bound / (2 * setting.D)) ** (1 / setting.p)
    if setting.nu:
        kappa = min(kappa, bound / (2 * setting.D * float(setting.nu)))
    scale = 2.0 ** math.floor(math.log2(kappa / setting.D))
    tau = float(setting.temperature)
    return Coefficients(
        alpha=scale * draw(_dyadic(-1, 1, 32)),
        gamma=tau * draw(_dyadic(-3, 3)),
        rho=tau * draw(_dyadic(-3, 3)),
    )


@st.composite
def partitions(draw: st.DrawFn, max_D: int = 24, max_C: int = 6) -> Partition:
    """Scattered partitions of [LC] into L sets of C patches (the contiguous ones among them)."""
    L, C = draw(_shapes(max_D, max_C))
    return Partition.scattered(L, C, draw(st.permutations(range(L * C))))


def permutations(D: int) -> st.SearchStrategy[np.ndarray]:
    """Permutations g of [D] as integer arrays: patch i goes to g[i]."""
    return st.permutations(range(D)).map(np.array)


@st.composite
def group_elements(draw: st.DrawFn, partition: Partition) -> np.ndarray:
    """Elements g of the symmetry group of a partition: g[i] is where patch i goes.

    Sets of equal size are permuted, then the patches of each set; for L sets of C this is all of
    the wreath product S_C ≀ S_L.
    """
    g = np.empty(partition.D, dtype=int)
    by_size: dict[int, list[tuple[int, ...]]] = {}
    for members in partition.sets:
        by_size.setdefault(len(members), []).append(members)
    for sets in by_size.values():
        for source, target in zip(sets, draw(st.permutations(sets)), strict=True):
            g[list(source)] = draw(st.permutations(target))
    return g


@st.composite
def attention_logits(draw: st.DrawFn, D: int, diagonal: float | None = None) -> np.ndarray:
    """Matrices A of shape (D, D) with entries in [-2, 2]; the diagonal is fixed where given."""
    A = draw(hnp.arrays(np.int64, (D, D), elements=st.integers(-32, 32))) / 16
    if diagonal is not None:
        np.fill_diagonal(A, diagonal)
    return A


def value_vectors(d: int) -> st.SearchStrategy[np.ndarray]:
    """Vectors v of shape (d,) with entries in [-1/2, 1/2]."""
    return hnp.arrays(np.int64, (d,), elements=st.integers(-16, 16)).map(lambda v: v / 32)


@st.composite
def weights(draw: st.DrawFn, setting: Setting, d: int | None = None) -> tuple:
    """A full model (A, v) with A_ii = sigma_A, shapes (D, D) and (d,); d = D where not given."""
    A = draw(attention_logits(setting.D, diagonal=float(setting.sigma_A)))
    return A, draw(value_vectors(setting.D if d is None else d))
