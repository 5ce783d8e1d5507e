"""From a symmetric state to the weights near it: one sample, a random start, and their whole path.

Let ‖X_j‖ ≤ K for every patch of a sample, and let weights (A, v) be within a (largest entry) and w
(length) of a symmetric state.  Then the empirical gradient differs from that at the state by at
most the components of

    M (a, w)ᵀ,    M = M(α, levels, K, a, w) ≥ 0 explicit,

in the largest entry of A and in the length of v (:func:`lipschitz_matrix`).  The gap at the states
of the population path is that of :mod:`theory.finite_sample.concentration`, so a run on N images
stays within B_{t+1} = B_t + η(M B_t + ε_t) of the path, B_0 the distance of the two starts
(:func:`path_bound`).

Near 0 no path is needed: whatever A is, the population gradient is −½νDC w* in v and 0 in A, up to
terms that vanish with v (:func:`small_start_bound`).

In: a setting, states, sizes.  Out: bounds in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.data.partition import Partition
from theory.dynamics.descent import Trajectory
from theory.finite_sample.concentration import chi_radius, event_count, gap_at
from theory.finite_sample.image_law import gradient_law
from theory.inputs import integer, real
from theory.setting import Coefficients, Setting
from theory.symmetry.levels import attention_levels

__all__ = [
    "PathBound",
    "SmallStart",
    "lipschitz_matrix",
    "patch_length",
    "path_bound",
    "small_start_bound",
    "start_distance",
]


def _slopes(setting: Setting, x: float) -> tuple[float, float]:
    """σ′(x) and σ″(x) at x ≥ 0, where both are largest over [−x, x]."""
    p = setting.p
    return p * x ** (p - 1) + float(setting.nu), p * (p - 1) * x ** (p - 2)


def patch_length(d: int, noise_std: float, s: float) -> float:
    """√(1 + σ²(√(d−1) + √(2s))²): a patch is longer with probability at most e^{−s}.

    Examples
    --------
    >>> patch_length(1, 0.5, 3.0)
    1.0
    """
    return math.hypot(1.0, noise_std * chi_radius(d - 1, s) if d > 1 else 0.0)


def lipschitz_matrix(
    setting: Setting, state: Coefficients, length: float, a: float, w: float
) -> NDArray[np.float64]:
    """What a change of the weights does to the gradient of a sample, at most.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
        The symmetric state at one end.
    length : float
        K, at least the length of every patch of the sample.
    a, w : float
        The other weights have entries of A within a (the diagonal is equal) and v within w.

    Returns
    -------
    ndarray, shape (2, 2)
        M with |∂ℓ/∂A_ij(θ) − ∂ℓ/∂A_ij(θ̄)| ≤ M_00 a + M_01 w for all i ≠ j, and
        ‖∂ℓ/∂v(θ) − ∂ℓ/∂v(θ̄)‖ ≤ M_10 a + M_11 w, for every image and hence for every mean.
        Infinite where float64 overflows.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=1.0, sigma_A=0.0)
    >>> M = lipschitz_matrix(setting, Coefficients(0.0, 0.0, 0.0), 1.0, 0.0, 0.0)
    >>> M.tolist()  # at v = 0 and uniform attention, D = 4, S = 1/4, Q = 4
    [[0.0, 2.0], [16.0, 64.0]]
    """
    D, tau = setting.D, float(setting.temperature)
    levels, K = attention_levels(setting, state), length
    try:
        m = abs(float(state.alpha)) + w * K
        x = D * m
        first, second = _slopes(setting, x)
        Q = D * D * first * first / 4 + D * second
        S = min(1.0, max(levels.Gamma, levels.Xi) * math.exp(min(2 * a / tau, 700.0))) / tau
        return np.array(
            [
                [S / tau * x * (2 * Q * m + 5 * first), 2 * S * K * (x * Q + D * first)],
                [D * D * K * (Q * m + first) / tau, D * D * K * K * Q],
            ]
        )
    except OverflowError:
        return np.full((2, 2), math.inf)


def start_distance(setting: Setting, d: int, omega: float, s: float) -> NDArray[np.float64]:
    """Largest entry of A⁰ and length of v⁰ orthogonal to w*, Gaussian of standard deviation ω.

    One of the two is larger with probability at most (2D(D−1) + 1)e^{−s}.
    """
    off = chi_radius(d - 1, s) if d > 1 else 0.0
    return omega * np.array([math.sqrt(2 * s), off])


@dataclass(frozen=True)
class PathBound:
    """How far a run can be from the population path, at most, but for a probability δ.

    Attributes
    ----------
    A, v : ndarray, shape (steps + 1,)
        Largest gap of an entry of A, and length of the gap in v, after 0, 1, … steps; infinite
        where the bound leaves float64.
    margin : ndarray, shape (steps + 1,)
        Of the population path.
    """

    A: NDArray[np.float64]
    v: NDArray[np.float64]
    margin: NDArray[np.float64]

    @property
    def associated(self) -> NDArray[np.bool_]:
        """Where the bound proves that the run has learnt every set: 2 A < margin."""
        return self.margin > 2 * self.A


def path_bound(
    path: Trajectory,
    *,
    eta_v: float,
    eta_A: float,
    N: int,
    d: int,
    omega: float,
    failure: float,
    noise_std: float | None = None,
) -> PathBound:
    """Bound on the distance of gradient descent on one sample from the population path.

    Parameters
    ----------
    path : Trajectory
        Exact gradient descent with the steps given here, C ≥ 2.
    eta_v, eta_A : float
    N, d : int
        The images, the same at every step, and the dimension of a patch.
    omega : float
        The run starts at v⁰ = α_0 w* + ω (Gaussian orthogonal to w*), A⁰ = that of the path plus
        ω (Gaussian) off the diagonal.
    failure : float
        δ.
    noise_std : float, optional
        Of the Gaussian noise; 1/√d by default.

    Examples
    --------
    >>> from theory.dynamics.descent import gradient_descent
    >>> setting = Setting(L=3, C=2, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> steps = {"eta_v": 1e-3, "eta_A": 1.0}
    >>> path = gradient_descent(setting, Coefficients(0.05, 0.0, 0.0), steps=2, **steps)
    >>> few = path_bound(path, N=10**4, d=8, omega=0.0, failure=0.05, **steps)
    >>> many = path_bound(path, N=10**8, d=8, omega=0.0, failure=0.05, **steps)
    >>> bool(0 < 50 * many.A[1] < few.A[1]), float(few.A[0])
    (True, 0.0)
    """
    N, d = integer("N", N, least=1), integer("d", d, least=1)
    failure = float(real("failure", failure, above=0, below=1))
    setting, steps = path.setting, len(path) - 1
    D = setting.D
    noise_std = 1 / math.sqrt(d) if noise_std is None else float(noise_std)
    events = max(steps, 1) * event_count(setting) + N * D + 2 * D * (D - 1) + 1
    # Half of δ is left to images that are rare at one of the states.
    s, rare = math.log(2 * events / failure), failure / (8 * N * max(steps, 1))
    K = patch_length(d, noise_std, s)
    eta = np.array([eta_A, eta_v])
    bounds = np.full((steps + 1, 2), math.inf)
    now = start_distance(setting, d, omega, s)
    for t in range(steps + 1):
        if not np.isfinite(now).all():
            break
        bounds[t] = now
        if t == steps:
            break
        M = lipschitz_matrix(setting, path.state(t), K, *map(float, now))
        gap = gap_at(gradient_law(setting, path.state(t)), N, d, noise_std, s, rare)
        with np.errstate(over="ignore", invalid="ignore"):
            now = now + eta * (M @ now + np.array([gap.A, gap.v]))
    return PathBound(A=bounds[:, 0], v=bounds[:, 1], margin=path.margin)


@dataclass(frozen=True)
class SmallStart:
    """How far the population gradient at small weights is from −½νDC w* in v and from 0 in A.

    Attributes
    ----------
    alpha, off_axis : float
        Bounds on |∂L/∂v·w* + ½νDC| and on the length of ∂L/∂v orthogonal to w*.
    A : ndarray, shape (D, D)
        Bounds on |∂L/∂A_ij|.
    """

    alpha: float
    off_axis: float
    A: NDArray[np.float64]


def _double_factorial(p: int) -> int:
    """(2p − 1)!! = E G^{2p} of a standard Gaussian G."""
    return math.prod(range(1, 2 * p, 2))


def small_start_bound(
    setting: Setting,
    A: NDArray[np.float64],
    partition: Partition,
    *,
    alpha: float,
    off_axis: float,
    noise_std: float,
) -> SmallStart:
    """Bound on what the population gradient knows of A and v when v is small.

    Parameters
    ----------
    setting : Setting
    A : ndarray, shape (D, D)
        Any logits, diagonal included.
    partition : Partition
        The hidden sets, of sizes as in the setting.
    alpha, off_axis : float
        ⟨v, w*⟩, and the length of the rest of v.
    noise_std : float
        σ of the noise along each direction of w*⊥.

    Examples
    --------
    With ν = 0, ten times smaller weights are a hundred times nearer to the law.

    >>> setting, partition = Setting(3, 2, 0.3, 3, 0.0, 2.0), Partition.contiguous(3, 2)
    >>> A = np.diag(np.full(6, 2.0))
    >>> one, ten = (small_start_bound(setting, A, partition, alpha=x, off_axis=x, noise_std=0.3)
    ...             for x in (1e-6, 1e-5))
    >>> round(ten.alpha / one.alpha)
    100
    """
    partition.require(setting.L, setting.C)
    D, p, nu, q = setting.D, setting.p, float(setting.nu), float(setting.q)
    logits = np.asarray(A, dtype=np.float64) / float(setting.temperature)
    S = np.exp(logits - logits.max(axis=1, keepdims=True))
    S /= S.sum(axis=1, keepdims=True)
    labels = np.asarray(partition.labels)
    of_sets = S @ (labels[:, None] == np.arange(partition.L))
    P, n = of_sets.max(axis=1), np.linalg.norm(S, axis=1)
    M = _double_factorial(p) ** (1 / (2 * p))
    kappa = max((q / _double_factorial(r)) ** (1 / (2 * r)) for r in range(1, p + 1))

    size, noise = abs(alpha), noise_std * abs(off_axis)
    feature = P + kappa * M * n
    x = D * (size * feature + M * n * noise)
    spread = np.sqrt(1 + n * n)
    contrast = D * (size * (1 + kappa * M * spread) + M * spread * noise)
    slope = p * x ** (p - 1)
    output = (x**p + nu * x).sum()
    bracket = slope / 2 + output * (slope + nu) / 4
    return SmallStart(
        alpha=float(D * bracket @ feature),
        off_axis=float(D * bracket @ (noise_std * M * n)),
        A=S / float(setting.temperature) * (contrast * bracket)[:, None],
    )
