"""Settings and coefficients: valid ones are cast to Python's numbers, each bad field is named."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import rational_settings, settings

from theory.setting import Coefficients, Setting

GOOD = {"L": 3, "C": 2, "q": 0.5, "p": 3, "nu": 0.1, "sigma_A": 1.0, "temperature": 1.0}
NOT_REAL = [True, np.True_, "1", None, 1j, [1.0], np.array([1.0, 2.0]), np.timedelta64(3)]
NOT_REAL += [Decimal("0.5"), np.longdouble("0.1"), sp.Float("0.1", 50), sp.pi]
NOT_NUMBERS = [math.nan, math.inf, -math.inf, np.float32("nan"), *NOT_REAL]
NOT_INTEGERS = [*NOT_NUMBERS, 2.0, 3.5, Fraction(3)]
BAD = {
    "L": ([*NOT_INTEGERS, 1, 0, -3], "an integer >= 2"),
    "C": ([*NOT_INTEGERS, 0, -1], "an integer >= 1"),
    "q": (
        [*NOT_NUMBERS, -0.1, 1.1, Fraction(-1, 7), Fraction(8, 7)],
        "a finite number >= 0 and <= 1",
    ),
    "p": ([*NOT_INTEGERS, 2, 4, 1, -3, 0], "an odd integer >= 3"),
    "nu": ([*NOT_NUMBERS, -0.01, Fraction(-1, 9)], "a finite number >= 0"),
    "sigma_A": (NOT_NUMBERS, "a finite number"),
    "temperature": ([*NOT_NUMBERS, 0, 0.0, -1.0], "a finite number > 0"),
}


def kinds_named(value: object) -> str:
    """What a message adds where the value is nothing that float64 or a Fraction holds."""
    return ", as an int, float or Fraction" if any(value is other for other in NOT_REAL) else ""


def test_every_field_is_tried() -> None:
    assert set(BAD) == set(GOOD) == {field.name for field in dataclasses.fields(Setting)}


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [(field, value, allowed) for field, (values, allowed) in BAD.items() for value in values],
)
def test_a_bad_field_is_named_with_its_value_and_what_is_allowed(
    field: str, value: object, allowed: str
) -> None:
    with pytest.raises(ValueError, match=field) as error:
        Setting(**GOOD | {field: value})
    kinds = "" if "integer" in allowed else kinds_named(value)
    assert str(error.value) == f"Setting.{field} = {value!r}: {field} must be {allowed}{kinds}"


def test_one_set_holding_every_patch_is_refused() -> None:
    # C = D: without a random set there is nothing to tell the signal set from.
    with pytest.raises(ValueError, match=r"Setting\.L = 1: L must be an integer >= 2"):
        Setting(L=1, C=6, q=0.5, p=3, nu=0.1, sigma_A=1.0)


@pytest.mark.parametrize("field", ["q", "nu", "sigma_A", "temperature"])
def test_an_integer_beyond_float64_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"Setting.{field}"):
        Setting(**GOOD | {field: 10**400})


@pytest.mark.parametrize("C", [1, np.int64(4)])
@pytest.mark.parametrize("q", [0, 1, 0.0, 1.0, Fraction(1, 3), np.float64(0.25)])
def test_the_edges_of_the_range_are_valid(C: int, q: float) -> None:
    setting = Setting(L=2, C=C, q=q, p=3, nu=0, sigma_A=-2)
    assert (setting.D, setting.n) == (2 * C, C)
    assert setting.q == q
    assert setting.temperature == 1


@given(st.one_of(settings(), rational_settings()))
def test_a_setting_keeps_what_it_was_given(setting: Setting) -> None:
    assert setting.D == setting.L * setting.C == setting.n + setting.C
    assert dataclasses.replace(setting) == setting
    assert hash(dataclasses.replace(setting)) == hash(setting)
    for field in dataclasses.fields(setting):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(setting, field.name, 1)


@pytest.mark.parametrize("field", ["alpha", "gamma", "rho"])
@pytest.mark.parametrize("value", [*NOT_NUMBERS, flint.arb("nan"), flint.arb("inf")])
def test_a_bad_coefficient_is_named(field: str, value: object) -> None:
    good = {"alpha": 0.1, "gamma": 0.2, "rho": -0.3}
    with pytest.raises(ValueError, match=field) as error:
        Coefficients(**good | {field: value})
    expected = f"Coefficients.{field} = {value!r}: {field} must be a finite number"
    assert str(error.value) == expected + kinds_named(value)


@pytest.mark.parametrize("value", [0, -1.5, Fraction(1, 3), flint.arb(2)])
def test_a_coefficient_keeps_its_type(value: object) -> None:
    state = Coefficients(alpha=value, gamma=value, rho=value)
    assert state.alpha == state.gamma == state.rho == value
    assert type(state.alpha) is type(state.gamma) is type(state.rho) is type(value)
