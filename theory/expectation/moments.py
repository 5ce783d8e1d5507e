"""E[e^{−sF} G; T] for many totals T and complex s at once, with what rounding costs.

Once T is fixed F is a sum over sets, so the expectation is one coefficient of the (L−1)-th power of
a polynomial in z, read off by a discrete Fourier sum on the circle |z| = e^t.  On the line
Re s = c everything is in units of e^{K_T(c)}, the largest value on the circle (see
:mod:`theory.expectation.plan`), under the *law* of types tilted by e^{−cf + tς}.
In: a plan, totals, lines.  Out: moments, and bounds on their errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from theory.expectation.plan import ABSCISSAE, QuadraturePlan, log_sum, window_size
from theory.expectation.rows import Moment, Part
from theory.symmetry.terms import SetTerms

__all__ = ["EPS", "TiltedSamples"]

EPS = float(np.finfo(float).eps)
# Complex numbers on circles that are handled at once: what fits into a cache.
_BLOCK = 1 << 16


def _power(less_one: np.ndarray, exponent: int) -> np.ndarray:
    """(1 + x)^exponent with an error relative to x, however large the exponent.

    Squarings carry (1 + x)^m − 1, except for the last three, after which a power far from 1 has
    digits of its own.
    """
    base, leading = 1 + less_one, exponent >> 3
    result = np.ones_like(less_one)
    if leading:
        x = less_one
        for bit in f"{leading:b}"[1:]:
            x = x * (2 + x)
            if bit == "1":
                x = x + less_one + x * less_one
        result = 1 + x
    for place in range(min(3, exponent.bit_length()) - 1, -1, -1):
        result = result * result
        if exponent >> place & 1:
            result = result * base
    return result


def _turn(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """e^{i·angle}, and the same less 1, with digits of its own where the angle is small."""
    half = np.exp(0.5j * angle)
    return half * half, 2j * half.imag * half


class TiltedSamples:
    """Samples of given totals, each on its line and its circle.

    Parameters
    ----------
    plan : QuadraturePlan
    others : int
        L − 1.
    index, line : ndarray of int, shape (n,)
        Totals and abscissae, as indices into the plan and ``ABSCISSAE``.
    digits : float
    refinement : int
        As for the plan; the window is multiplied too.

    Attributes
    ----------
    scale : ndarray, shape (n,)
        Logarithms of the units.
    """

    def __init__(
        self,
        plan: QuadraturePlan,
        others: int,
        index: np.ndarray,
        line: np.ndarray,
        *,
        digits: float,
        refinement: int,
    ) -> None:
        samples, c, tilt = plan.samples, ABSCISSAE[line], plan.bounds.tilt[line, index]
        self.others, self.first = others, samples.first
        self.sums, self.spurious = samples.set_sum[samples.first], samples.spurious[index]
        self.kinds = np.diff(samples.first, append=len(samples.set_sum))  # of each sum
        windows, *_ = window_size(
            plan.bounds.log_coefficients[line, :, index].T,
            *(tilt, self.spurious, self.sums, others, digits),
        )
        # Few sizes, so that many circles are handled together: 1, 2, 3, 4, 6, 8, 12, 16, …
        power = 2 ** np.ceil(np.log2(windows)).astype(int)
        self.window = refinement * np.where(windows <= 3 * power // 4, 3 * power // 4, power)

        def table(terms: SetTerms[np.ndarray]) -> np.ndarray:
            """Array (4, n) or (4, n, types)."""
            return np.array([part.T[index] for part in terms])

        self.of_set, self.of_signal = table(samples.terms), table(samples.signal)
        self.set_errors, self.signal_errors = table(samples.errors), table(samples.signal_errors)

        # Probabilities add up to 1, so the norm of the tilted law less 1 is a sum of small terms,
        # and its power keeps its digits for large L.
        p, log_p = samples.probability, samples.log_probability
        by_sum, by_F = tilt[:, None] * samples.set_sum, c[:, None] * self.of_set[Part.F]
        exponent = by_sum - by_F
        moved = p * np.expm1(np.minimum(exponent, 30.0))
        small = np.abs(moved).sum(axis=1)
        near_one = (small < 0.5) & (exponent.max(axis=1) < 30)
        log_norm = np.where(
            near_one,
            np.log1p(np.where(near_one, moved.sum(axis=1), 0.0)),
            log_sum(log_p + exponent, axis=1),
        )
        log_law = log_p + exponent - log_norm[:, None]
        rare = ~near_one[:, None] | (p == 0)
        tilted = p * np.exp(np.minimum(exponent - log_norm[:, None], 700.0))
        self.law = np.where(rare, np.exp(log_law), tilted)

        # Roundings, in units of EPS: of exponents, of the law, of the logarithm of the unit.
        rough = np.abs(by_sum) + np.abs(by_F) + np.where(rare, np.abs(log_p), 0.0)
        self.of_law = 4 + rough + 2 * np.abs(log_norm)[:, None]
        of_norm = np.where(near_one, 4 * small, 4.0) + 2 * np.abs(log_norm)
        of_norm += np.einsum("mt,mt->m", rough, self.law)
        self.scale = others * log_norm - tilt * self.spurious - c * self.of_signal[Part.F]
        self.of_scale = 16 + others * of_norm + np.abs(tilt * self.spurious)
        self.of_scale += c * np.abs(self.of_signal[Part.F]) + np.abs(self.scale)

    def _lift(self, mean: np.ndarray) -> np.ndarray:
        """How much larger |a|^{k−1} may be in the mean than |a|^k, k = L − 2, |a| ≤ 1 (Jensen)."""
        if self.others == 1:
            return np.ones_like(mean)
        return np.maximum(mean, 1e-300) ** (-1 / (self.others - 1))

    def blocks(self, entry: np.ndarray) -> Iterator[np.ndarray]:
        """Positions in ``entry`` (an index into the samples each) that are best handled at once."""
        window = self.window[entry]
        for size in np.unique(window):
            (places,) = np.nonzero(window == size)
            yield from np.array_split(places, math.ceil(len(places) * size / _BLOCK))

    def moments(
        self, entry: np.ndarray, omega: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """E[e^{−sF} G; T] at s = c + iω, one ω for each entry; all entries have one window.

        Parameters
        ----------
        entry : ndarray of int, shape (m,)
        omega : ndarray, shape (m,)

        Returns
        -------
        moments : ndarray of complex, shape (8, m)
            Of the rows :class:`~theory.expectation.rows.Moment`, in units of e^{scale}.
        rounding : ndarray, shape (5, m)
            Bounds on the rounding of the checked ones.
        mean : ndarray, shape (m,)
            Root mean square of the (L−2)-th power on the circle, ≤ 1.
        """
        others, law = self.others, self.law[entry]
        of_set, of_signal = self.of_set[:, entry], self.of_signal[:, entry]
        phase, phase_less_one = _turn(-omega[:, None] * of_set[Part.F])
        weight = law * phase
        grouped = np.add.reduceat(weight, self.first, axis=1)

        window = int(self.window[entry[0]])
        angle = 2 * np.pi / window * np.arange(window)
        _, circle_less_one = _turn(np.outer(self.sums, angle))
        less_one = grouped @ circle_less_one + (law * phase_less_one).sum(axis=1, keepdims=True)
        power = _power(less_one, others - 1)
        # [z^{R−k}] of the power, for each possible sum k of the remaining set.
        places = (self.spurious[entry, None] - self.sums) % window
        rest = np.take_along_axis(np.fft.fft(power), places, axis=1) / window
        weight = weight * np.repeat(rest, self.kinds, axis=1)

        moments = np.empty((8, len(entry)), dtype=complex)
        moments[Moment.ONE] = mass = weight.sum(axis=1)
        moments[Moment.TERMS] = of_signal * mass + others * np.einsum("gmt,mt->gm", of_set, weight)
        size, size_signal = np.abs(of_set), np.abs(of_signal)
        moments[Moment.SIZES] = size_signal[Part.SLOPES] * mass
        moments[Moment.SIZES] += others * np.einsum("gmt,mt->gm", size[Part.SLOPES], weight)
        moments *= np.exp(-1j * omega * of_signal[Part.F])

        square = power.real**2 + power.imag**2
        mean = np.sqrt(square.mean(axis=1))
        chord = np.sqrt(square @ np.abs(_turn(angle)[1]) ** 2 / window)
        # |x| is at most E|1 − e^{−iωf}| + E|ς| |1 − z|.
        wide = law @ np.repeat(np.abs(self.sums), self.kinds)
        apart = omega * np.einsum("mt,mt->m", size[Part.F], law) * mean + wide * chord
        steps = 6 + 2 * math.log2(others)  # roundings per squaring, and squarings
        whole = steps * (others - 1) * self._lift(mean) * apart
        whole += mean * (32 + self.of_scale[entry] + omega * size_signal[Part.F])
        # The law of types is rounded too, and so is each phase.
        own = self.of_law[entry] + omega[:, None] * size[Part.F]
        factor = EPS * law * (whole[:, None] + mean[:, None] * own)
        rounding = np.empty((5, len(entry)))
        rounding[Moment.ONE] = of_one = factor.sum(axis=1)
        rounding[Moment.TERMS] = size_signal * of_one + others * np.einsum(
            "gmt,mt->gm", size, factor
        )
        return moments, rounding, mean

    def of_terms(self, entry: np.ndarray, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on E[e^{−cF}|dG|; T] and E[e^{−cF}|dF|e^{|dF|}|G|; T], summed over entries.

        dF and dG are what rounding moves F and G = F, ∂F by, arrays (4,); the second has G = 1 in
        place of F.
        """
        mean = np.empty(len(entry))
        for block in self.blocks(entry):
            *_, mean[block] = self.moments(entry[block], np.zeros(len(block)))
        law, others, size = self.law[entry], self.others, np.abs(self.of_set[:, entry])
        errors, errors_signal = self.set_errors[:, entry], self.signal_errors[:, entry]

        def over_sets(of_set: np.ndarray) -> np.ndarray:
            return others * np.einsum("gmt,mt->gm", of_set, law)

        direct = errors_signal + over_sets(errors)
        of_F = direct[Part.F]
        # E[ΣdΣ|g|] over independent sets, from above.
        both = of_F * (np.abs(self.of_signal[:, entry]) + over_sets(size))
        both += over_sets(size * errors[Part.F])
        both[Part.F] = of_F
        largest = errors_signal[Part.F] + others * errors[Part.F].max(axis=1)
        unit = np.minimum(1.0, mean * self._lift(mean))
        unit *= np.exp(self.scale[entry] - log_unit)
        with np.errstate(over="ignore"):
            return direct @ unit, both @ (unit * np.exp(np.minimum(largest, 700.0)))
