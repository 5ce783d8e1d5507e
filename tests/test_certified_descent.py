"""Certificates: enclosures that the float path lies in, and that a changed digit breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

import theory.dynamics.certified as descent
from theory.dynamics.certificates import TABLE, certificate, path_of
from theory.dynamics.certified import (
    Certificate,
    certify_descent,
    check_step,
    decimal_above,
    read_certificate,
    write_certificate,
)
from theory.dynamics.descent import gradient_descent
from theory.setting import Coefficients, Setting

SETTING = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
START = Coefficients(Fraction(1, 5), 0, 0)


@pytest.fixture(scope="module")
def short() -> Certificate:
    return certify_descent(SETTING, START, eta_v="1/100", eta_A=2, steps=4, digits=50.0)


def changed(found: Certificate, step: int, coefficient: int, part: int, text: str) -> Certificate:
    states = json.loads(json.dumps(found.states))
    states[step][coefficient][part] = text
    return replace(found, states=states)


def test_floats_lie_in_the_balls(short):
    path = gradient_descent(
        SETTING, Coefficients(0.2, 0.0, 0.0), eta_v=0.01, eta_A=2.0, steps=short.steps
    )
    for step in range(short.steps + 1):
        balls, floats = short.state(step), path.state(step)
        for name in ("alpha", "gamma", "rho"):
            assert abs(getattr(balls, name) - getattr(floats, name)) < 1e-13
    assert abs(float(short.margin()) - path.margin[-1]) < 1e-12


def test_every_step_is_proved_again(short):
    assert all(check_step(short, step) for step in range(short.steps + 1))


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("coefficient", [0, 1, 2])
def test_one_changed_digit_is_not_proved(short, step, coefficient):
    """A digit above the radius moves the ball off the true state."""
    middle, _ = short.states[step][coefficient]
    digits, exponent = middle.split("e")
    # Radii have five digits or more before the places of the midpoint end.
    corrupted = changed(short, step, coefficient, 0, f"{int(digits) + 10**6}e{exponent}")
    assert not (check_step(corrupted, step - 1) and check_step(corrupted, step))


def test_a_narrowed_ball_is_not_proved(short):
    corrupted = changed(short, 2, 0, 1, "1e-60")
    assert not check_step(corrupted, 1)


def decimals(low: Fraction, high: Fraction) -> list[str]:
    """Midpoint and radius of exactly this interval, whose ends are dyadic."""
    return [f"{(low + high) / 2}", f"{(high - low) / 2}"]


@pytest.mark.parametrize("step", [0, 2, 4])
def test_an_image_must_lie_in_the_stored_decimals_to_the_last_unit(short, step):
    """Boxes that end where the image ends, and a hair short of it: a fraction 10⁻¹² of the radius.

    What the next step starts from is wider than the decimals by the rounding of its midpoint; the
    image lies in that, which proves nothing.
    """
    with ctx.workprec(descent._bits(short.digits[step])):
        moved, found = descent._image(
            *(SETTING, short.state(step), Fraction(1, 100), Fraction(2), short.digits[step]),
        )
    for number, x in enumerate([found.loss] if step == short.steps else moved):
        middle, radius = descent._fraction(x.mid()), descent._fraction(x.rad())
        hair = radius / 10**12
        for low, high, inside in (
            (middle - radius, middle + radius, True),
            (middle - radius + hair, middle + radius, False),
            (middle - radius, middle + radius - hair, False),
            (middle - radius + hair, middle + radius + hair, False),
        ):
            pair = decimals(low, high)
            if step == short.steps:
                tight = replace(short, loss=pair)
            else:
                states = json.loads(json.dumps(short.states))
                states[step + 1][number] = pair
                tight = replace(short, states=states)
            assert check_step(tight, step) is inside


@pytest.mark.parametrize("digits", [30.0, 300.0, 900.0])
def test_the_next_step_starts_from_all_of_the_stored_interval(digits):
    """At any precision, and for radii below every float."""
    pair = ["1/3", f"1/{10 ** int(digits / 2.4)}"]
    low, high = descent._ends(pair)
    for precision in (20, 53, descent._bits(digits)):
        with ctx.workprec(precision):
            ball = descent._enclosure(pair)
            middle, radius = descent._fraction(ball.mid()), descent._fraction(ball.rad())
            assert middle - radius <= low < high <= middle + radius
            assert descent._inside(ball, descent._decimals(ball))


def test_the_margin_holds_the_lesser_of_both(short):
    """γ = 0.3000001 ± 0.01 has its midpoint above σ_A = 0.3, and may be 0.291."""
    setting = short.setting | {"sigma_A": "3/10"}
    last = [["1", "0"], ["0.3000001", "0.01"], ["0", "0"]]
    near = replace(short, setting=setting, states=[*short.states[:-1], last])
    assert near.margin().contains(0.291)
    assert near.margin().lower() < 0.2901
    assert near.margin().upper() < 0.3001
    # Of one patch in a set no γ is asked.
    alone = replace(near, setting=setting | {"C": "1"})
    assert alone.margin().contains(arb(3) / 10)
    assert alone.margin().rad() < 1e-15


def test_the_error_bound_is_above_the_whole_ball(short):
    wide = replace(short, loss=["0.3", "0.1"])
    bound = wide.error_bound()
    assert bound.is_exact()
    assert bound * arb(2).log() >= arb(2) / 5 - 1e-15
    assert Fraction(decimal_above(bound, 6)) == Fraction("0.577079")
    assert float(decimal_above(bound, 6)) > bound


@pytest.mark.parametrize("step", [-1, 5, True, 1.0, np.int64(1)])
def test_steps_that_there_are_not_are_refused(short, step):
    with pytest.raises(ValueError, match="step must be an integer from 0 to 4"):
        check_step(short, step)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eta_v": 0.01}, "eta_v = 0.01: eta_v must be an int, a Fraction or a string"),
        ({"eta_A": True}, "eta_A = True"),
        ({"eta_A": np.int64(2)}, "eta_A must be an int, a Fraction or a string"),
        ({"eta_A": "nan"}, "eta_A must be a rational number"),
        ({"digits": [50.0]}, "there must be as many"),
        ({"digits": [50.0] * 4 + [float("inf")]}, "digits must be floats > 0 and <= 10000"),
        ({"digits": [50.0] * 4 + [1e308]}, "digits must be floats > 0 and <= 10000"),
        ({"loss": ["0.1", "-1e-9"]}, "negative radius"),
        ({"loss": ["0.1"]}, "must be a midpoint and a radius"),
        ({"loss": ["0.1", 1e-9]}, "must be a midpoint and a radius, both strings"),
        ({"states": [[["1", "0"]]] * 5}, "must hold α, γ and ρ"),
    ],
)
def test_what_is_no_certificate_is_refused(short, change, message):
    with pytest.raises(ValueError, match=message):
        replace(short, **change)


@pytest.mark.parametrize("L", [2.5, True, "5/2", np.int64(3)])
def test_a_setting_is_not_rounded(short, L):
    with pytest.raises(ValueError, match=r"L must be"):
        replace(short, setting=short.setting | {"L": L})


def test_a_lower_loss_is_not_proved(short):
    middle, radius = short.loss
    digits, exponent = middle.split("e")
    corrupted = replace(short, loss=[f"{int(digits) * 99 // 100}e{exponent}", radius])
    assert not check_step(corrupted, short.steps)


def test_another_step_size_is_not_proved(short):
    assert not check_step(replace(short, eta_A="201/100"), 1)


def test_floats_are_refused():
    with pytest.raises(ValueError, match="q = 0.5: q must be an int, a Fraction or a string"):
        certify_descent(
            replace(SETTING, q=0.5), START, eta_v="1/100", eta_A=2, steps=1, digits=40.0
        )
    with pytest.raises(ValueError, match="eta_v = 0.01"):
        certify_descent(SETTING, START, eta_v=0.01, eta_A=2, steps=1, digits=40.0)
    with pytest.raises(ValueError, match="steps = -1: steps must be an integer >= 0"):
        certify_descent(SETTING, START, eta_v="1/100", eta_A=2, steps=-1, digits=40.0)


def test_too_few_digits_are_refused():
    with pytest.raises(ArithmeticError, match="start with more digits"):
        certify_descent(SETTING, START, eta_v="1/100", eta_A=2, steps=8, digits=15.0)


def test_files_round_trip_and_broken_ones_are_named(short, tmp_path):
    file = tmp_path / "short.json"
    write_certificate(short, file)
    assert read_certificate(file) == short
    file.write_text("{")
    with pytest.raises(ValueError, match="short.json is not a certificate"):
        read_certificate(file)
    write_certificate(short, file)
    text = file.read_text()
    place = text.rindex("7", 0, text.index("sha256"))
    file.write_text(text[:place] + "8" + text[place + 1 :])
    with pytest.raises(ValueError, match="its digest differs"):
        read_certificate(file)
    file.write_text(json.dumps({"steps": 3}))
    with pytest.raises(ValueError, match="short.json is not a certificate"):
        read_certificate(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_stored_certificates_are_of_the_table(name):
    found = certificate(name)
    margin = found.margin()
    if name == "failure":
        assert found.margin(1) > 0
        assert margin < -1
        assert found.exact_setting().sigma_A > 0
    else:
        assert margin > 1
        # At q = 4/5 one random set in three is full: only the rows by patches claim a small error.
        assert found.error_bound() < (0.05 if name.endswith("patches") else 1)
    assert check_step(found, 0)


def test_unknown_certificates_are_named():
    with pytest.raises(ValueError, match="no certificate is called 'x'; there are: 12-patches"):
        path_of("x")
