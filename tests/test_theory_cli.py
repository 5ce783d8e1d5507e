"""The command line of the theory: what it prints, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from theory.__main__ import app
from theory.dynamics.certificates import TABLE, Run, path_of
from theory.dynamics.certificates.proof import is_kept
from theory.dynamics.certified import Certificate, certify_descent, write_certificate
from theory.setting import Coefficients, Setting

runner = CliRunner()


def invoke(*arguments: str):
    return runner.invoke(app, list(arguments))


def test_iterate_prints_and_draws_the_path(tmp_path):
    picture = tmp_path / "path.png"
    done = invoke("iterate", "--L", "4", "--C", "2", "--q", "1/4", "--steps", "5", "--plot",
                  str(picture))  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "margin" in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--L", "1"], "Setting.L = 1: L must be an integer >= 2"),
        (["--q", "3/2"], "Setting.q = 1.5"),
        (["--p", "4"], "Setting.p = 4: p must be an odd integer >= 3"),
        (["--q", "many"], "is not a number such as 0.25 or 1/4"),
        (["--steps", "-1"], "steps must be an integer >= 0"),
        (["--eta-v", "0"], "eta_v must be a finite number > 0"),
        (["--alpha", "1e200"], "reduce alpha"),
        (["--alpha", "nan"], "is not a number"),
    ],
)
def test_iterate_names_what_is_wrong(arguments, message):
    failed = invoke("iterate", *arguments)
    assert failed.exit_code == 2
    # The frame around a message folds it over lines.
    words = " ".join(failed.output.replace("│", " ").split())
    assert message in words


def test_a_picture_that_cannot_be_written_loses_no_table(tmp_path):
    failed = invoke("iterate", "--L", "3", "--C", "1", "--steps", "2", "--plot",
                    str(tmp_path / "path.nonsense"))  # fmt: skip
    assert failed.exit_code == 2
    assert "margin" in failed.output
    assert "cannot write" in failed.output


@pytest.fixture
def three_steps(tmp_path, monkeypatch) -> Certificate:
    """A small certificate in the place of 12-patches, and a cache of its own."""
    setting = Setting(L=2, C=3, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
    start = Coefficients(Fraction(1, 5), 0, 0)
    made = certify_descent(setting, start, eta_v="1/100", eta_A=2, steps=3, digits=40.0)
    run = Run(setting, Fraction(1, 5), Fraction(1, 100), Fraction(2), 3, 40.0)
    file = tmp_path / "12-patches.json"
    monkeypatch.setitem(TABLE, "12-patches", run)
    monkeypatch.setattr("theory.dynamics.certificates.path_of", lambda name: file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_certificate(made, file)
    return made


def test_check_proves_every_step_and_keeps_it(three_steps, monkeypatch):
    done = invoke("check", "12-patches", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "4 of 4 steps" in done.output
    assert is_kept(three_steps)
    # It proves again whatever is kept.
    monkeypatch.setattr(
        "theory.dynamics.certificates.proof.check_step", lambda certificate, step: step > 1
    )
    failed = invoke("check", "12-patches", "--jobs", "1")
    assert failed.exit_code == 1
    assert "2 of 4 steps" in failed.output
    assert "12-patches, step 1: not proved" in failed.output


def test_a_partial_check_says_how_many(three_steps):
    done = invoke("check", "12-patches", "--steps", "1", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "1 of 4 steps" in done.output
    assert not is_kept(three_steps)


def false_at(certificate: Certificate, step: int | None) -> Certificate:
    """A certificate that was written whole, and is false at one box, or at its loss."""
    if step is None:
        return replace(certificate, loss=["1e-9", "1e-20"])
    states = json.loads(json.dumps(certificate.states))
    states[step][1] = ["100", "1e-9"]
    return replace(certificate, states=states)


@pytest.mark.parametrize("step", [1, 3, None])
def test_check_fails_where_a_step_is_not_proved(three_steps, tmp_path, step):
    write_certificate(false_at(three_steps, step), tmp_path / "12-patches.json")
    failed = invoke("check", "12-patches", "--jobs", "1")
    assert failed.exit_code == 1
    assert f"step {3 if step is None else step - 1}: not proved" in failed.output
    # The last two steps come first; the box in the middle escapes them.
    partial = invoke("check", "12-patches", "--jobs", "1", "--steps", "2")
    assert partial.exit_code == (0 if step == 1 else 1)


def test_check_refuses_a_corrupted_certificate(tmp_path, monkeypatch):
    text = path_of("12-patches").read_text(encoding="utf-8")
    corrupted = tmp_path / "12-patches.json"
    place = text.index("4", text.index("states"))
    corrupted.write_text(text[:place] + "5" + text[place + 1 :], encoding="utf-8")
    monkeypatch.setattr("theory.dynamics.certificates.path_of", lambda name: corrupted)
    failed = invoke("check", "12-patches")
    assert failed.exit_code == 2
    assert "digest differs" in failed.output


def test_unknown_certificates_are_named():
    for command in ("certify", "check"):
        failed = invoke(command, "nothing")
        assert failed.exit_code == 2
        assert "no certificate is called 'nothing'" in failed.output
