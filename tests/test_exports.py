"""What `theory` exports, and what `evaluate` returns by each method."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import theory
from theory import Coefficients, Setting, evaluate, gradient_descent, gradient_flow

SETTING = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
STATE = Coefficients(alpha=0.1, gamma=0.5, rho=-0.1)


def test_names_come_when_they_are_asked_for() -> None:
    code = """
import sys, theory
heavy = {"numpy", "scipy", "sympy", "flint", "torch"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert dir(theory) == theory.__all__ == sorted(theory.__all__)
assert all(callable(getattr(theory, name)) for name in theory.__all__)
assert not hasattr(theory, "nothing")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(theory.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        n.module: [a.name for a in n.names] for n in block.body if isinstance(n, ast.ImportFrom)
    }
    homes = next(
        n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_HOMES"
    )
    assert seen == ast.literal_eval(homes.value)
    assert sorted(name for names in seen.values() for name in names) == theory.__all__


def test_every_method_gives_a_number_with_its_error() -> None:
    proved = evaluate(SETTING, STATE, method="certified")
    for method in ("quadrature", "enumeration"):
        found = evaluate(SETTING, STATE, method=method)
        pairs = [(found.loss, found.loss_error, proved.loss, proved.loss_error)]
        for name in ("alpha", "gamma", "rho"):
            parts = (found.gradient, found.gradient_error, proved.gradient, proved.gradient_error)
            pairs.append(tuple(getattr(part, name) for part in parts))
        for value, error, ball, radius in pairs:
            assert abs(value - float(ball.mid())) <= error + radius
            assert radius > 0
            assert ball.rad() == radius  # a radius has 30 bits: the float is exact


def test_descent_and_flow_run_in_floats() -> None:
    with pytest.raises(ValueError, match="method = 'certified'"):
        gradient_descent(SETTING, STATE, eta_v=0.1, eta_A=1.0, steps=1, method="certified")
    with pytest.raises(ValueError, match="method = 'certified'"):
        gradient_flow(SETTING, STATE, eta_v=0.1, eta_A=1.0, time=[0.0, 1.0], method="certified")
