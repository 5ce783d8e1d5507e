"""The command line of the theory: what it prints, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from theory.__main__ import app
from theory.certificates import certificate, path_of
from theory.certified_descent import write_certificate

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


def test_check_proves_stored_steps_again():
    done = invoke("check", "12-patches", "--steps", "1")
    assert done.exit_code == 0, done.output
    assert "1 of 1" in done.output


def test_check_fails_where_a_step_is_not_proved(tmp_path, monkeypatch):
    """A certificate that was written whole, and is false at its sixth step."""
    stored = certificate("12-patches")
    states = json.loads(json.dumps(stored.states))
    states[5][1] = states[6][1]
    false = tmp_path / "12-patches.json"
    write_certificate(replace(stored, states=states), false)
    monkeypatch.setattr("theory.certificates.path_of", lambda name: false)
    # The last two steps come first, then the draws of the seed.
    draws = [int(np.random.default_rng(seed).permutation(19)[0]) for seed in range(60)]
    for step, code in ((4, 1), (12, 0)):
        done = invoke("check", "12-patches", "--steps", "3", "--seed", str(draws.index(step)))
        assert done.exit_code == code
        assert f"{3 - code} of 3" in done.output


@pytest.mark.parametrize("part", ["loss", "last box"])
def test_check_fails_where_the_result_was_changed(tmp_path, monkeypatch, part):
    stored = certificate("12-patches")
    states = json.loads(json.dumps(stored.states))
    if part == "last box":
        states[-1][1] = ["100", "1e-9"]
        changed = replace(stored, states=states)
    else:
        changed = replace(stored, loss=["1e-9", "1e-20"])
    false = tmp_path / "12-patches.json"
    write_certificate(changed, false)
    monkeypatch.setattr("theory.certificates.path_of", lambda name: false)
    for seed in (0, 1):
        assert invoke("check", "12-patches", "--steps", "2", "--seed", str(seed)).exit_code == 1


def test_check_refuses_a_corrupted_certificate(tmp_path, monkeypatch):
    text = path_of("12-patches").read_text(encoding="utf-8")
    corrupted = tmp_path / "12-patches.json"
    place = text.index("4", text.index("states"))
    corrupted.write_text(text[:place] + "5" + text[place + 1 :], encoding="utf-8")
    monkeypatch.setattr("theory.certificates.path_of", lambda name: corrupted)
    failed = invoke("check", "12-patches")
    assert failed.exit_code == 2
    assert "digest differs" in failed.output


def test_unknown_certificates_are_named():
    for command in ("certify", "check"):
        failed = invoke(command, "nothing")
        assert failed.exit_code == 2
        assert "no certificate is called 'nothing'" in failed.output
