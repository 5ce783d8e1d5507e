"""How far the gradient on N images is from the population's, at a symmetric state.

At v = αw* and A in the three-coefficient form the gradient of one image has components g_ij (for
A_ij), g_α (along w*) and, given the features, a Gaussian part orthogonal to w*.  The first two are
bounded, with exact variances V and ranges b, so a mean of N has a gap above

    √(2Vs/N) + bs/(3N)

with probability at most e^{−s} to each side (Bernstein's inequality, solved for the gap); the third
has exactly E‖·‖² = σ²(d−1)E W/N, where σ² is the variance of the noise along a direction.  The
range belongs to images so rare that N hardly meet one: V and b are taken with those cut off, at the
price of their probability and of a shift of the mean.

In: a setting, a state, N, d, σ, δ.  Out: bounds on the four gaps, and how many images are enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from theory.finite_sample.image_law import GradientLaw, Moments, gradient_law
from theory.inputs import integer, real
from theory.setting import Coefficients, Setting

__all__ = [
    "GapBound",
    "association_slack",
    "bernstein_radius",
    "chi_radius",
    "event_count",
    "gap_at",
    "gap_bound",
    "images_for_association",
]


def bernstein_radius(moments: Moments, N: int, s: float) -> float:
    """√(2Vs/N) + bs/(3N), and the shift: Bernstein's inequality at the probability e^{−s}.

    If none of N images is rare, their mean exceeds ``moments.mean`` by more with at most that
    probability, and likewise on the other side.

    Examples
    --------
    >>> bernstein_radius(Moments(mean=0.0, variance=1.0, largest=3.0), N=100, s=2.0)
    0.22
    """
    spread = math.sqrt(2 * float(moments.variance) * s / N)
    return spread + float(moments.largest) * s / (3 * N) + float(moments.shift)


def chi_radius(dimension: int, s: float) -> float:
    """√k + √(2s): a standard Gaussian vector of R^k is longer with probability at most e^{−s}."""
    return math.sqrt(dimension) + math.sqrt(2 * s)


def event_count(setting: Setting) -> int:
    """K = 2D(D−1) + 4: two sides for g_α and each entry of A, one for W and one for the length."""
    return 2 * setting.D * (setting.D - 1) + 4


@dataclass(frozen=True)
class GapBound:
    """Bounds on |ĝ_α − g_α|, on max|ĝ_ij − g_ij| inside sets and across, and on ‖ĝ_⊥‖."""

    alpha: float
    gamma: float
    rho: float
    off_axis: float

    @property
    def A(self) -> float:
        """Of the largest gap over all entries of A off the diagonal."""
        return max(self.gamma, self.rho)

    @property
    def v(self) -> float:
        """Of the length of the gap in v."""
        return math.hypot(self.alpha, self.off_axis)


def gap_at(
    law: GradientLaw, N: int, d: int, noise_std: float, s: float, rare: float = 0.0
) -> GapBound:
    """Bounds of which each of K events (:func:`event_count`) fails with probability ≤ e^{−s}.

    Besides, an image is rare for one of the four kinds with probability at most 4 ``rare``.
    """
    moments = law.moments(rare)
    W = moments.noise.mean + bernstein_radius(moments.noise, N, s)
    return GapBound(
        alpha=bernstein_radius(moments.alpha, N, s),
        gamma=bernstein_radius(moments.gamma, N, s),
        rho=bernstein_radius(moments.rho, N, s),
        # In one dimension the patches have no noise.
        off_axis=noise_std * math.sqrt(W / N) * chi_radius(d - 1, s) if d > 1 else 0.0,
    )


def gap_bound(
    setting: Setting,
    state: Coefficients,
    N: int,
    d: int,
    failure: float,
    *,
    noise_std: float | None = None,
    law: GradientLaw | None = None,
) -> GapBound:
    """Bounds on the gap of the gradient of N images that fail together with probability ≤ failure.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    N, d : int
        Number of images, dimension of a patch.
    failure : float
        δ, the probability allowed for any of the four bounds to fail.  Half of it is left to rare
        images, those of the largest gradients, and half to Bernstein's inequality for the others.
    noise_std : float, optional
        Standard deviation of the Gaussian noise along each direction of w*⊥; 1/√d by default.
    law : GradientLaw, optional
        Of this state, where it is known already.

    Raises
    ------
    ValueError, ArithmeticError
        If an argument is not allowed, or as in :func:`theory.finite_sample.image_law.gradient_law`.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> state = Coefficients(alpha=0.05, gamma=0.5, rho=0.0)
    >>> bound = gap_bound(setting, state, N=10_000, d=16, failure=0.05)
    >>> bound.rho < bound.gamma, bound.alpha < 1
    (True, True)
    """
    N, d = integer("N", N, least=1), integer("d", d, least=1)
    failure = float(real("failure", failure, above=0, below=1))
    noise_std = 1 / math.sqrt(d) if noise_std is None else float(noise_std)
    s = math.log(2 * event_count(setting) / failure)
    return gap_at(law or gradient_law(setting, state), N, d, noise_std, s, failure / (8 * N))


def association_slack(setting: Setting, law: GradientLaw, N: int, failure: float) -> float:
    """(g_ρ − g_γ) − (ε_γ + ε_ρ) for N images: positive, and they tell every set apart.

    Half of ``failure`` is left to images that are rare for one of the two kinds, the rest to the
    2D(D − 1) sides of the entries: s = log(4D(D−1)/δ).
    """
    s = math.log(4 * setting.D * (setting.D - 1) / failure)
    gamma, rho = (kind.moments(failure / (4 * N)) for kind in (law.gamma, law.rho))
    gap = float(rho.mean) - float(gamma.mean)
    return gap - bernstein_radius(gamma, N, s) - bernstein_radius(rho, N, s)


def images_for_association(
    setting: Setting, state: Coefficients, failure: float, *, law: GradientLaw | None = None
) -> int:
    """Number N of images whose gradient tells every set apart, but for a probability ``failure``.

    From γ = ρ one step on them then associates, as long as it is not so long that an entry across
    sets passes the diagonal.  At N the slack of :func:`association_slack` is positive and at N − 1
    it is not; N is found by bisection.

    Raises
    ------
    ArithmeticError
        If the population gradient does not favour the own set: no number of images will do.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> state = Coefficients(alpha=0.05, gamma=0.0, rho=0.0)
    >>> fewer, more = (images_for_association(setting, state, x) for x in (0.1, 0.001))
    >>> 100 < fewer < more < 2000
    True
    """
    failure = float(real("failure", failure, above=0, below=1))
    law = law or gradient_law(setting, state)
    gap = float(law.rho.moments().mean) - float(law.gamma.moments().mean)
    if gap <= 0:
        raise ArithmeticError(
            f"g_rho - g_gamma = {gap:.3g}: the population gradient does not favour the own set"
        )
    high = 2
    while association_slack(setting, law, high, failure) <= 0:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if association_slack(setting, law, middle, failure) > 0:
            high = middle
        else:
            low = middle
    return high
