"""Certificates: enclosures that the float path lies in, and that a changed digit breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from theory.certificates import TABLE, certificate, path_of
from theory.certified_descent import (
    Certificate,
    certify_descent,
    check_step,
    read_certificate,
    write_certificate,
)
from theory.dynamics import gradient_descent
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


@pytest.mark.parametrize("name", TABLE)
def test_stored_certificates_are_of_the_table(name):
    found = certificate(name)
    margin = found.margin()
    if name == "failure":
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
