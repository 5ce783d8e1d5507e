"""The independent checker: itself checked by brute force, then the project's balls by it."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
import torch
from flint import arb, ctx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from theory.dynamics.certificates import path_of
from theory.expectation.certified import certified_expectation
from theory.setting import Coefficients, Setting

PATH = path_of("failure").with_name("independent.py")
VALUES = ("loss", "alpha", "gamma", "rho")
SMALL = ("12-patches", "failure", "success")
State = tuple[Fraction, Fraction, Fraction]


def load(*changes: tuple[str, str]) -> ModuleType:
    """The checker, from its source with some pieces of text replaced by others."""
    source = PATH.read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    module = ModuleType("independent")
    exec(compile(source, str(PATH), "exec"), module.__dict__)
    return module


CHECKER = load()


def test_it_is_short_and_imports_nothing_of_the_project() -> None:
    source = PATH.read_text("utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += ["." * n.level + str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= {"flint", *sys.stdlib_module_names}
    assert "importlib" not in names
    assert "__import__" not in source
    assert len(source.splitlines()) <= 100


# ---------------------------------------------------------------- the checker against brute force

# Settings and states in which nothing is 0 or 1 by chance.
FEW = Setting(
    L=2, C=2, q=Fraction(1, 3), p=3, nu=Fraction(1, 20), sigma_A=2, temperature=Fraction(1, 2)
)
MORE = Setting(
    L=3, C=2, q=Fraction(4, 5), p=5, nu=Fraction(3), sigma_A=Fraction(-1), temperature=Fraction(3)
)
BRUTE = [
    (FEW, (Fraction(1, 5), Fraction(1, 2), Fraction(-3, 10))),
    (MORE, (Fraction(-1, 10), Fraction(-2), Fraction(1, 4))),
    (replace(FEW, C=3), (Fraction(1, 10), Fraction(-1, 2), Fraction(1, 5))),
]


def brute_force(setting: Setting, state: State) -> list[float]:
    """Loss and gradient from all 3^n patterns of features, by automatic differentiation in A."""
    L, C, D, q = setting.L, setting.C, setting.D, float(setting.q)
    own = torch.block_diag(*[torch.ones(C, C)] * L).bool()
    diagonal = torch.eye(D).bool()
    alpha, gamma, rho = (torch.tensor(float(x), dtype=torch.float64) for x in state)
    A = torch.where(diagonal, float(setting.sigma_A), torch.where(own, gamma, rho))
    alpha.requires_grad_()
    A.requires_grad_()
    patterns = product((-1, 0, 1), repeat=D - C)
    x = torch.tensor([(*[1] * C, *pattern) for pattern in patterns], dtype=torch.float64)
    zeros = (x == 0).sum(1, dtype=torch.float64)
    probability = (1 - q) ** zeros * (q / 2) ** (D - C - zeros)
    O = D * alpha * x @ torch.softmax(A / float(setting.temperature), 1).T
    F = (O**setting.p + float(setting.nu) * O).sum(1)
    loss = (probability * torch.nn.functional.softplus(-F)).sum()
    loss.backward()
    inside, across = A.grad[own & ~diagonal].mean(), A.grad[~own].mean()
    return [float(x) for x in (loss.detach(), alpha.grad, inside, across)]


def balls(checker: ModuleType, setting: Setting, state: State, bits: int = 400) -> list[arb]:
    with ctx.workprec(bits):
        exact = [arb(checker.exact(x)) for x in state]
        return list(checker.expectation(asdict(setting), *exact, bits))


def wrong_by_brute_force(checker: ModuleType) -> set[str]:
    """Values of these problems that are further from floats than floats are from the truth."""
    return {
        name
        for problem in BRUTE
        for name, ball, value in zip(
            VALUES, balls(checker, *problem), brute_force(*problem), strict=True
        )
        if not abs(float(ball) - value) <= 1e-14 * max(1.0, abs(value))
    }


def wrong_by_balls(checker: ModuleType, setting: Setting, state: State) -> set[str]:
    """Values whose ball, as the project finds it, does not hold what the checker finds."""
    result = certified_expectation(setting, Coefficients(*state))
    gradient = result.gradient
    ours = [result.loss, gradient.alpha, gradient.gamma, gradient.rho]
    for bits in (400, 800, 1600):  # a tiny loss has few digits at a precision that is absolute
        theirs = balls(checker, setting, state, bits)
        if all(t.rad() <= o.rad() / 2**20 for t, o in zip(theirs, ours, strict=True)):
            break
    # A value without radius, as a derivative that vanishes, lies in the checker's ball instead.
    return {
        name
        for name, our, their in zip(VALUES, ours, theirs, strict=True)
        if not (our.contains(their) if our.rad() > 0 else their.contains(our))
    }


def test_it_finds_what_brute_force_finds() -> None:
    assert wrong_by_brute_force(CHECKER) == set()


def test_it_finds_the_loss_that_the_project_once_got_wrong() -> None:
    setting = Setting(L=2, C=4, q=Fraction(1, 2), p=3, nu=1, sigma_A=1)
    loss = balls(CHECKER, setting, (Fraction(1, 8), Fraction(0), Fraction(0)))[0]
    with ctx.workprec(400):
        assert abs(loss - arb("0.03059076254194966137121443285140373")) < arb("1e-35")


WRONG = [
    ("(prod([o] * p)", "(prod([o] * (p + 2))"),  # in the loss
    ("(p * prod([O[i]] * (p - 1)) + nu)", "((p + 2) * prod([O[i]] * (p + 1)) + nu)"),
    ("+= in_O * D * Sx[i]", "+= fmpq(101, 100) * in_O * D * Sx[i]"),
    ("total[2] / max(C - 1, 1)", "total[2] / max(C, 1)"),
    ("alpha / tau * total[3]", "fmpq(101, 100) * alpha / tau * total[3]"),
    ("alpha / tau * total[2]", "alpha * total[2]"),
    ("[k] / tau).exp()", "[k]).exp()"),
    ("in combinations_with_replacement(range(len(types)), L - 1):",
     "in [*combinations_with_replacement(range(len(types)), L - 1)][1:]:"),
    ("orders = factorial(L - 1) // ", "orders = factorial(L) // "),
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_each_planted_falsehood_is_seen_by_brute_force_and_by_the_balls(change) -> None:
    wrong = load(change)
    assert wrong_by_brute_force(wrong)
    assert any(wrong_by_balls(wrong, *problem) for problem in BRUTE[:2])


def test_too_many_images_are_refused() -> None:
    setting = Setting(L=16, C=4, q=Fraction(1, 4), p=3, nu=1, sigma_A=1)
    with pytest.raises(ValueError, match="L = 16, C = 4 means 77558760 images; at most 20000"):
        balls(CHECKER, setting, (Fraction(1), Fraction(0), Fraction(0)))


# ---------------------------------------------------------------- the project's balls


@st.composite
def problems(draw: st.DrawFn, L: int, C: int) -> tuple[Setting, State]:
    """Exact settings from tame to harsh, and states of several scales."""
    edges = [Fraction(1, 10**9), Fraction(1, 1000), 1 - Fraction(1, 1000)]
    setting = Setting(
        L=L,
        C=C,
        q=draw(st.fractions(0, 1, max_denominator=20) | st.sampled_from(edges)),
        p=draw(st.sampled_from([3, 5])),
        nu=draw(st.sampled_from([Fraction(x) for x in ("1/20", "1", "0", "10")])),
        sigma_A=draw(st.fractions(-6, 8, max_denominator=10)),
        temperature=draw(st.sampled_from([Fraction(x) for x in ("1", "1/2", "3/10", "20")])),
    )
    alpha = Fraction(draw(st.integers(1, 20)), draw(st.sampled_from([100, 1000, 10**5])))
    logit = st.fractions(-3, 3, max_denominator=10)
    return setting, (alpha * draw(st.sampled_from([1, -1])), draw(logit), draw(logit))


SHAPES = [(4, 1), (3, 2), (5, 2), (2, 4), (3, 3), (2, 5), (4, 3), (3, 4), (2, 7)]


@pytest.mark.parametrize(("L", "C"), SHAPES)
@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_the_projects_balls_hold_what_the_checker_finds(L: int, C: int, data) -> None:
    setting, state = data.draw(problems(L, C))
    assert wrong_by_balls(CHECKER, setting, state) == set()


# ---------------------------------------------------------------- certificates


def stored(ball: arb) -> list[str]:
    """An interval of 46 decimals with a tenth more room than a ball needs, at least 100 units."""
    middle, radius = (Fraction(str(x.fmpq())) * 10**46 for x in (ball.mid(), ball.rad()))
    return [f"{round(middle)}e-46", f"{max(100, math.ceil(radius * Fraction(11, 10)))}e-46"]


@pytest.fixture(scope="module")
def run() -> dict:
    """A certificate of three steps, made from the checker's own images."""
    rates = [CHECKER.exact(x) for x in ("1/100", "20", "20")]
    setting = {name: str(value) for name, value in asdict(BRUTE[1][0]).items()}
    states, loss = [[["-1/50", "0"], ["-2", "0"], ["1/4", "0"]]], None
    for _ in range(3):
        states.append([stored(x) for x in CHECKER.image(setting, rates, states[-1], 512)[1:]])
    loss = stored(CHECKER.image(setting, rates, states[-1], 512)[0])
    return {"setting": setting, "eta_v": "1/100", "eta_A": "20", "states": states, "loss": loss}


def changed(certificate: dict, *keys: str | int, to: object) -> dict:
    """A copy of the certificate with one entry replaced."""
    copy = json.loads(json.dumps(certificate))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return copy


def test_a_certificate_that_fits_is_proved(run: dict) -> None:
    assert CHECKER.prove(run) == (3, True)


def falsehoods(run: dict) -> dict[str, tuple[dict, int]]:
    """Certificates with one thing changed, and the number of steps that are still right."""

    def moved(interval: list[str]) -> list[str]:
        """By its radius and a hair: box 1 holds a point in its middle."""
        middle, radius = map(Fraction, interval)
        return [str(middle + radius * Fraction(101, 100)), interval[1]]

    states, loss = run["states"], run["loss"]
    found = {
        "a start that is no point": (changed(run, "states", 0, 1, 1, to="1e-60"), 0),
        "another temperature": (changed(run, "setting", "temperature", to="299/100"), 0),
        "another rate": (changed(run, "eta_A", to="20.00001"), 0),
        "a loss moved": (changed(run, "loss", to=moved(loss)), 3),
        "a loss with half the room": (changed(run, "loss", 1, to=str(Fraction(loss[1]) / 2)), 3),
    }
    for k, n in product((1, 2, 3), range(3)):
        middle, radius = states[k][n]
        digits = middle.removesuffix("e-46")
        digits = f"{digits[:-4]}{(int(digits[-4]) + 1) % 10}{digits[-3:]}e-46"
        found[f"digit {k} {n}"] = (changed(run, "states", k, n, 0, to=digits), k - 1)
        found[f"shift {k} {n}"] = (changed(run, "states", k, n, to=moved(states[k][n])), k - 1)
        if k > 1:
            half = str(Fraction(radius) / 2)
            found[f"half {k} {n}"] = (changed(run, "states", k, n, 1, to=half), k - 1)
    return found


def test_each_planted_falsehood_in_a_certificate_is_rejected(run: dict) -> None:
    assert {name: CHECKER.prove(bad) for name, (bad, _) in falsehoods(run).items()} == {
        name: (steps, False) for name, (_, steps) in falsehoods(run).items()
    }


def test_a_ball_without_bound_is_in_no_interval() -> None:
    assert CHECKER.holds(["0", "1.0001"], arb(0, 1))
    assert not CHECKER.holds(["0", "1"], arb(0).log())
    assert not CHECKER.holds(["0", "1"], 1 / arb(0, 1))


def outside(checker: ModuleType, at: State, radii: State) -> int:
    """How many images of corners and centres of a box's faces are not in the image of the box."""
    setting, rates = asdict(BRUTE[1][0]), [checker.exact(1)] * 3
    box = checker.image(setting, rates, [*zip(at, radii, strict=True)], 512)
    missed = 0
    for signs in product((-1, 0, 1), repeat=3):
        point = [(m + s * r, 0) for m, s, r in zip(at, signs, radii, strict=True)]
        values = checker.image(setting, rates, point, 512)
        missed += sum(not b.contains(x) for b, x in zip(box, values, strict=True))
    return missed


def test_the_image_of_a_wide_box_holds_the_images_of_its_points() -> None:
    at, radii = BRUTE[1][1], (Fraction(1, 10**4), Fraction(1, 1000), Fraction(1, 1000))
    assert outside(CHECKER, at, radii) == 0
    assert outside(load(("(1, *h)", "(1, *(x / 2 for x in h))")), at, radii) > 0


def run_as_a_script(*files: Path) -> tuple[int, list[str]]:
    command = [sys.executable, "-I", PATH, *files]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_the_script_says_what_it_proved(run: dict, tmp_path: Path) -> None:
    bad = {name: falsehoods(run)[name][0] for name in ("shift 2 1", "a loss moved")}
    files = []
    for name, certificate in {"good": run, **bad}.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(certificate), "utf-8")
    lines = [
        "good: 3 of 3 steps proved, loss proved",
        "shift 2 1: 1 of 3 steps proved, loss not proved",
        "a loss moved: 3 of 3 steps proved, loss not proved",
    ]
    assert run_as_a_script(*files) == (1, lines)
    assert run_as_a_script(files[2]) == (1, lines[2:])
    assert run_as_a_script(files[0]) == (0, lines[:1])
    assert run_as_a_script() == (1, [])


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_stored_certificates_are_proved(name: str) -> None:
    certificate = json.loads(path_of(name).read_text("utf-8"))
    assert CHECKER.prove(certificate) == (len(certificate["states"]) - 1, True)
