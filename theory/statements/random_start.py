"""Statements of the chapter on random starts: what the sign of α decides, and how it changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.exact import Derivatives, network, rational_sigmoid
from theory.statements.statement import Statement, certified, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]
Image = tuple[Fraction, int, list[list[Fraction]]]

# Weights e^{A_ij} without any symmetry; the sets are {0, 1} and {2, 3}, the first pixel is w*.
_WEIGHTS = [
    [Fraction(entry) for entry in row]
    for row in ((3, 1, 5, 2), (1, 4, 2, 2), (7, 1, 1, 3), (2, 6, 1, 1))
]
_PARTITION = Partition.contiguous(2, 2)
_NOISE = Fraction(1, 2)


def _images() -> list[Image]:
    """Every image of Assumption 1 at q = 1/3, with noise ±1/2 in the second pixel of each patch."""
    signs = list(product((-_NOISE, _NOISE), repeat=_PARTITION.D))
    return [
        (
            s.probability / len(signs),
            s.y,
            [[Fraction(x), z] for x, z in zip(s.delta, xi, strict=True)],
        )
        for s in enumerate_samples(_PARTITION, Fraction(1, 3))
        for xi in signs
    ]


def _starts() -> Iterator[tuple[Fraction, Fraction]]:
    """Values of (α, u) with α ≤ 0."""
    alphas = (Fraction(-1, 3), Fraction(-1, 20), Fraction(0))
    yield from product(alphas, (Fraction(0), Fraction(2, 5)))


def _at(v: Sequence[Fraction], nu: Fraction, image: Image) -> Derivatives:
    return network(_WEIGHTS, v, image[2], 3, nu)


def _crossing_rate(u: Fraction, nu: Fraction) -> Fraction:
    """½ C Σ_i (ν + 3 s_i²), with s_i² = D² s² u² Σ_j S_ij² and s² the variance of the noise."""
    D, C = _PARTITION.D, 2
    total = Fraction(0)
    for row in _WEIGHTS:
        norm = sum(row)
        squares = sum((entry * entry for entry in row), Fraction(0)) / (norm * norm)
        total += nu + 3 * D * D * _NOISE * _NOISE * u * u * squares
    return Fraction(C, 2) * total


@symbolic(
    "at α = 0, every image of (2, 2) with two-point noise, one A without symmetry, ν = 1/3, 0"
)
def mirror_and_crossing() -> Claims:
    images = _images()
    for nu, u in product((Fraction(1, 3), Fraction(0)), (Fraction(0), Fraction(2, 5))):
        rate, still = Fraction(0), True
        for image in images:
            at = _at((Fraction(0), u), nu, image)
            rate += image[0] * image[1] * rational_sigmoid(image[1] * at.F) * at.in_v[0]
            still &= not any(at.in_v) and not any(entry for row in at.in_A for entry in row)
        yield f"velocity of α at α = 0, ν = {nu}, u = {u}", rate, _crossing_rate(u, nu)
        if u == 0:
            yield f"v = 0 is a stationary point iff ν = 0, ν = {nu}", still, nu == 0
    v = (Fraction(1, 7), Fraction(2, 5))
    for image in images[::23]:
        mirrored = _at((-v[0], -v[1]), Fraction(1, 3), image).F
        yield "F changes sign with v", mirrored, -_at(v, Fraction(1, 3), image).F


@certified("the same images and A, ν = 1/3, three α ≤ 0, with and without a part of v off w*")
def a_negative_alpha_learns_nothing() -> Margins:
    images = _images()
    for alpha, u in _starts():
        mean, wrong = Fraction(0), Fraction(0)
        for image in images:
            margin = image[1] * _at((alpha, u), Fraction(1, 3), image).F
            mean += image[0] * margin
            wrong += image[0] * (margin <= 0)
        where = f"α = {alpha}, u = {u}"
        # Margins are strict: at α = 0 the mean is exactly 0, and the error may be exactly ½.
        yield f"E[yF] ≤ 0 at {where}", -mean if alpha else Fraction(mean == 0)
        yield f"error ≥ ½ at {where}", wrong - Fraction(1, 2) + Fraction(wrong == Fraction(1, 2))


STATEMENTS = (
    Statement(
        id="prop-sign-alpha",
        kind="proposition",
        title=r"The sign of $\alpha$",
        text=r"""For every $A$ and $v=\alpha w^\star+u$: $\mathcal L(A,-v)=\mathcal L(A,v)+\E[yF]$;
            if $\alpha\le0$ the loss is at least $\log2$ and the error at least $\frac12$; at
            $\alpha=0$ the velocity of $\alpha$ is $\frac C2\sum_i\E\sigma'(O_i)$.""",
        hypotheses=(
            r"noise orthogonal to $w^\star$, independent of the features, of symmetric law",
            r"$\sigma$ odd and increasing",
        ),
        depends=("asm-data", "def-loss"),
        checks=(mirror_and_crossing, a_negative_alpha_learns_nothing),
    ),
    Statement(
        id="cor-gate",
        kind="corollary",
        title="A gate that opens one way",
        text=r"""Under population gradient flow $\alpha$ changes sign at most once, and upwards,
            if $\nu>0$ or $u\ne0$; if $\nu=0$ and $v^0=\alpha^0w^\star$ with $\alpha^0<0$, the error
            is at least $\frac12$ for all time.""",
        hypotheses=(r"those of the proposition; Gaussian noise of variance $s^2>0$",),
        depends=("prop-sign-alpha", "thm-feature-line"),
        checks=(mirror_and_crossing,),
    ),
)
