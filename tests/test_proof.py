"""Proofs that are kept: under a hash of all they rest on, whole, and never by trust in a file."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from theory.dynamics.certificates import proof
from theory.dynamics.certificates.proof import all_steps, fingerprint, is_kept, prove, proved_steps
from theory.dynamics.certified import Certificate, certify_descent, check_step
from theory.setting import Coefficients, Setting


@pytest.fixture(scope="module")
def short() -> Certificate:
    setting = Setting(L=2, C=3, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
    start = Coefficients(Fraction(1, 5), 0, 0)
    return certify_descent(setting, start, eta_v="1/100", eta_A=2, steps=3, digits=40.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "patch-association"


def spoilt(certificate: Certificate) -> Certificate:
    """Its second box moved away."""
    states = json.loads(json.dumps(certificate.states))
    states[2][1] = states[3][1]
    return replace(certificate, states=states)


def fail(*arguments):
    raise AssertionError("proved again")


def test_all_steps_are_proved_once_and_kept(short, cache, monkeypatch):
    assert not is_kept(short)
    assert proved_steps(short) == list(all_steps(short)) == [0, 1, 2, 3]
    assert is_kept(short)
    assert [file.stem for file in cache.iterdir()] == [fingerprint(short)]
    monkeypatch.setattr(proof, "check_step", fail)
    assert proved_steps(short) == [0, 1, 2, 3]
    with pytest.raises(AssertionError, match="proved again"):
        prove(short)


def test_processes_prove_the_same(short):
    assert prove(spoilt(short), jobs=2) == [0, 3]


def test_what_is_not_proved_whole_is_not_kept(short, cache):
    assert prove(short, [3, 1]) == [1, 3]
    assert proved_steps(spoilt(short)) == [0, 3]
    assert not cache.exists()
    # One that is proved says nothing of another.
    prove(short)
    assert not is_kept(spoilt(short))


def test_a_broken_file_counts_for_nothing(short, cache):
    prove(short)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for text in (
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[0, 1, 2, 3]",
        whole[:-2],
        whole + b" ",
        whole.replace(b"3]", b"2]"),
    ):
        file.write_bytes(text)
        assert not is_kept(short)
    assert proved_steps(short) == [0, 1, 2, 3]
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_stops_no_proof(short, cache):
    cache.write_text("in the way")
    assert proved_steps(short) == [0, 1, 2, 3]
    assert not is_kept(short)


@pytest.mark.parametrize("given", [None, "", "relative"])
def test_without_a_home_nothing_is_kept_and_no_proof_stopped(short, monkeypatch, tmp_path, given):
    """Nor does a path that is not absolute make the working directory a cache."""

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", homeless)
    if given is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert proved_steps(short) == [0, 1, 2, 3]
    assert not is_kept(short)
    assert not any(tmp_path.iterdir())


def test_a_proof_is_of_the_code_that_was_imported(short, cache, monkeypatch):
    before = fingerprint(short)
    monkeypatch.setattr(proof, "_code", lambda: "edited meanwhile")
    assert prove(short) == [0, 1, 2, 3]
    assert not is_kept(short)
    monkeypatch.setattr(proof, "_CODE", "another")
    assert fingerprint(short) != before


def test_the_hash_covers_all_that_a_proof_runs(short):
    """Every file of the theory in which a function is called while a step is proved."""
    ran: set[Path] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: ran.add(Path(frame.f_code.co_filename)))
    try:
        assert check_step(short, 1)
    finally:
        sys.setprofile(before)
    ran = {file for file in ran if proof._PACKAGE in file.parents}
    assert {file.stem for file in ran} >= {"certified", "exact_plan", "shares", "setting"}
    assert ran <= set(proof.sources())
