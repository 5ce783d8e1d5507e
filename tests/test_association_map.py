"""The outcome maps at tiny size, and the path of slow attention they rest on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flint import arb

from numerics.experiments import association_map
from numerics.experiments.association_map import Config
from theory.dynamics.descent import gradient_flow, plateau
from theory.dynamics.slow_attention import _settle, slow_attention
from theory.expectation.equal_logits import climb_floor, equal_logits, plateau_at_equal_logits
from theory.expectation.population import evaluate
from theory.setting import Coefficients, Setting

FAILING = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
TINY = Config(
    D=12,
    C=(2,),
    q=(0.3,),
    sigma_A=(0.5,),
    small_D=10,
    small_C=(2,),
    small_q=(0.1, 0.9),
    small_sigma_A=(0.3,),
    step=0.25,
    ratios=(1.0, 1e8),
)


@pytest.mark.slow
def test_the_map_finds_both_outcomes_and_the_ratio_decides() -> None:
    found = association_map.run(TINY)
    outcomes = [cell["outcome"] for cell in found["small"]]
    assert outcomes == ["associates", "turns away"]
    assert all(cell["margin"] * cell["first_gap"] > 0 for cell in found["small"])
    assert found["large"][0]["outcome"] == "associates"
    assert found["refined"] == pytest.approx({"cells": 1, "flips": 0, "loss": 0}, abs=0.02)
    slow, fast = found["ratios"]["margin"]
    assert slow == pytest.approx(found["ratios"]["slow_margin"], abs=0.02)
    assert fast > 0
    assert sum(m["mean"] for name, m in found["metrics"].items() if name[:5] == "small") == 1


def test_an_undecided_cell_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(TINY, steps=1)
    cell = association_map._cell(short, FAILING, "enumeration")
    assert (cell["outcome"], cell["reason"]) == ("undecided", "1 steps")

    def breaks(*arguments: object, **options: object) -> None:
        raise ArithmeticError("no digits left")

    monkeypatch.setattr(association_map, "slow_attention", breaks)
    cell = association_map._cell(TINY, FAILING, "enumeration")
    assert (cell["outcome"], cell["reason"]) == ("undecided", "no digits left")


def test_sets_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="must divide"):
        association_map.run(replace(TINY, C=(5,)))


def test_the_slow_path_rests_on_the_plateau_and_follows_the_flow() -> None:
    path = slow_attention(FAILING, step=0.05, stop=0.5, method="enumeration")
    for k in (0, len(path) // 2, len(path) - 1):
        found = evaluate(FAILING, path.state(k), method="enumeration")
        assert abs(found.gradient.alpha) < 1e-4 * found.scale.alpha
    flow = gradient_flow(
        FAILING,
        Coefficients(0.01, 0.0, 0.0),
        eta_v=1.0,
        eta_A=1.0,
        time=path.time,
        method="enumeration",
        rtol=1e-6,
    )
    assert np.abs(flow.margin - path.margin).max() < 2e-3


def test_the_midpoint_rule_is_of_second_order() -> None:
    setting = Setting(L=4, C=3, q=0.5, p=3, nu=0.5, sigma_A=1.0)
    ends = []
    for step in (0.1, 0.05, 0.025):
        path = slow_attention(
            setting, step=step, stop=10.0, steps=round(0.8 / step), method="enumeration"
        )
        ends.append(path.rho[-1])
    first, second = np.abs(np.diff(ends))
    assert 3 < first / second < 6  # 4 in the limit


def test_a_plateau_at_which_the_velocity_of_alpha_rises_is_refused() -> None:
    level, still = plateau_at_equal_logits(FAILING), np.zeros(2)
    assert _settle(FAILING, level, -1.0, still, "enumeration").slope < 0
    with pytest.raises(ArithmeticError, match="does not fall"):
        _settle(FAILING, level, 1.0, still, "enumeration")


@pytest.mark.parametrize("bad", [{"step": 0.0}, {"stop": -1.0}])
def test_a_step_that_is_not_positive_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be a finite number > 0"):
        slow_attention(FAILING, **bad)


@pytest.mark.parametrize("q", [0.3, 1.0])
@pytest.mark.parametrize(("L", "C"), [(5, 2), (4, 3), (9, 4)])
def test_sums_over_counts_agree_with_the_quadrature(L: int, C: int, q: float) -> None:
    setting = Setting(L=L, C=C, q=q, p=5, nu=0.3, sigma_A=0.7, temperature=1.3)
    for alpha, gamma in ((0.02, 0.0), (0.05, 0.4)):
        found = equal_logits(setting, alpha, gamma)
        exact = evaluate(setting, Coefficients(alpha, gamma, gamma))
        assert found.loss == pytest.approx(exact.loss, rel=1e-9)
        assert -found.climb == pytest.approx(exact.gradient.alpha, abs=1e-9 * exact.scale.alpha)
        drive = exact.gradient.rho - exact.gradient.gamma
        assert found.drive == pytest.approx(drive, abs=1e-9 * exact.scale.gamma)
        balls = equal_logits(setting, arb(alpha), gamma)
        for ball, value in zip(balls, found, strict=True):
            assert abs(float(ball) - value) < 1e-12 * max(1, abs(value))


def test_both_plateaus_are_one() -> None:
    setting = Setting(L=9, C=4, q=0.25, p=3, nu=0.05, sigma_A=2.0)
    assert plateau_at_equal_logits(setting) == pytest.approx(plateau(setting), rel=1e-9)


def test_the_floor_of_the_climb_is_below_it_and_closes_in() -> None:
    for low in (0.02, 0.1, 0.3):
        for factor in (1.5, 1.001):
            floor = climb_floor(FAILING, low, factor * low)
            inside = [equal_logits(FAILING, a).climb for a in np.linspace(low, factor * low, 9)]
            assert floor <= min(inside) + 1e-12
        assert floor == pytest.approx(inside[0], rel=0.02, abs=0.02)


def test_sets_of_one_patch_have_no_drive() -> None:
    with pytest.raises(ValueError, match="no pair inside"):
        equal_logits(Setting(L=5, C=1, q=0.5, p=3, nu=1, sigma_A=1), 0.1)
