"""The closed forms at the start, against the full list of samples and against hand-made forms."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import rational_settings

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.start import start_rates
from theory.setting import Setting
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms


def test_closed_forms_for_p_3() -> None:
    """For all L, C >= 2, q, ν, α, τ and σ_A at once."""
    C, D, q, nu = symbols.C, symbols.D, symbols.q, symbols.nu
    tau, alpha, b = symbols.tau, symbols.alpha, symbols.b
    n, Z = D - C, D + b
    V = q * n
    K = 3 * alpha**3 * D**2 * C / (2 * tau * Z**4)
    bracket = (D + 3 * b) * (C**2 + 3 * V) + 3 * b**2 * (C + V) + b**3
    rates = start_rates(3)
    expected = {
        "alpha": nu * D * C / 2 + 3 * alpha**2 * D**3 * C / (2 * Z**3) * bracket,
        "gamma": K * b * n * (2 * C - 6 * q + b * (1 - 3 * q)),
        "gap": K * Z * b * (b * (1 - q) + 2 * (C - 2 * q)),
    }
    actual = {
        "alpha": rates[symbols.alpha],
        "gamma": rates[symbols.gamma],
        "gap": rates[symbols.gamma] - rates[symbols.rho],
    }
    for name, form in expected.items():
        assert sp.cancel(actual[name] - form) == 0, name


def exact_rates(setting: Setting, alpha: Fraction, excess: Fraction) -> list[Fraction]:
    """½ E[∂F] by the list of all samples of label +1, in Fractions."""
    Z = setting.D + excess
    levels = AttentionLevels((1 + excess) / Z, 1 / Z, 1 / Z)
    partition = Partition.contiguous(setting.L, setting.C)
    chances: Counter = Counter()
    for sample in enumerate_samples(partition, setting.q):
        if sample.y == 1:
            for members in partition.sets:
                features = [sample.delta[j] for j in members]
                kind = features.count(1), features.count(-1), sum(sample.delta)
                # P(y = 1) = ½ is in the probability, and stands for the ½ of the sigmoid.
                chances[kind] += sample.probability
    rates = [Fraction(0)] * 3
    for kind, chance in chances.items():
        terms = set_terms(setting, alpha, levels, *kind)
        terms = (terms.alpha, terms.gamma, terms.rho)
        rates = [rate + chance * term for rate, term in zip(rates, terms, strict=True)]
    return rates


@given(
    rational_settings(max_D=6, max_C=3),
    st.fractions(-1, 1, max_denominator=6),
    st.integers(-3, 12).map(lambda k: Fraction(k, 4)),
)
def test_rates_are_the_exact_expectation(
    setting: Setting, alpha: Fraction, excess: Fraction
) -> None:
    rates = start_rates(setting.p)
    values = symbols.at(
        L=setting.L, C=setting.C, q=setting.q, nu=setting.nu, tau=setting.temperature
    ) | symbols.at(alpha=alpha, b=excess)
    coefficients = symbols.alpha, symbols.gamma, symbols.rho
    exact = dict(zip(coefficients, exact_rates(setting, alpha, excess), strict=True))
    if setting.C == 1:
        # No pair holds γ, and what set_terms gives for it is 0.
        assert exact.pop(symbols.gamma) == 0
    for x, value in exact.items():
        assert rates[x].subs(values) == sp.Rational(value), x


def signs(L: int, C: int, q: str, excess: int) -> tuple[sp.Rational, sp.Rational]:
    """Signs of γ' and γ' − ρ' for p = 3 and α > 0."""
    rates = start_rates(3)
    point = symbols.at(L=L, C=C, q=sp.Rational(q), alpha=1, tau=1, b=excess)
    gamma, rho = rates[symbols.gamma].subs(point), rates[symbols.rho].subs(point)
    return sp.sign(gamma), sp.sign(gamma - rho)


def test_association_can_start_while_gamma_falls() -> None:
    assert signs(3, 2, "1/2", 19) == (-1, 1)


@pytest.mark.parametrize(("L", "C", "q"), [(2, 2, "1/3"), (3, 2, "9/10"), (5, 4, "1")])
def test_association_starts_iff_the_diagonal_is_raised(L: int, C: int, q: str) -> None:
    assert [signs(L, C, q, sp.Rational(k, 4))[1] for k in (-3, -1, 0, 1, 40)] == [-1, -1, 0, 1, 1]


def test_association_does_not_start_from_pairs_of_full_noise() -> None:
    """C = 2 and q = 1 is the one exception: γ' = ρ' for every σ_A."""
    rates = start_rates(3)
    gap = (rates[symbols.gamma] - rates[symbols.rho]).subs(symbols.at(C=2, q=1))
    assert sp.cancel(gap) == 0
    gap_below = (rates[symbols.gamma] - rates[symbols.rho]).subs(symbols.at(C=2))
    assert sp.cancel(gap_below) != 0


def test_the_linear_part_of_the_activation_moves_no_logit_at_the_start() -> None:
    rates = start_rates(5)
    assert not rates[symbols.gamma].has(symbols.nu)
    assert not rates[symbols.rho].has(symbols.nu)
    assert rates[symbols.alpha].has(symbols.nu)
