"""Statements on whole paths: acts, descent and flow, certified trajectories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import sympy as sp
from flint import arb, ctx

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.certificates import TABLE, certificate
from theory.dynamics.certificates.proof import all_steps, proved_steps
from theory.dynamics.descent import acts, gradient_descent, gradient_flow
from theory.expectation.certified import ball, certified_expectation
from theory.setting import Coefficients, Setting
from theory.statements.statement import Check, Statement, certified, property_, require, symbolic
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]


@property_("one succeeding path, (L, C, q) = (4, 3, 0.3), σ_A = 2: each ends where it should")
def acts_of_the_code() -> None:
    setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    path = gradient_descent(setting, Coefficients(0.05, 0, 0), eta_v=0.002, eta_A=5.0, steps=40)
    found = acts(path)
    if found.plateau is None or found.half_rise is None or found.learnt is None:
        require(False, "the acts end")
        return
    speed, plateau = np.abs(np.gradient(path.alpha)), int(found.plateau)
    slow = 0.05 * speed.max()
    require(speed[plateau] <= slow < speed[plateau - 1], "act I ends where α has stopped rising")
    gap, half, learnt = path.gamma - path.rho, int(found.half_rise), int(found.learnt)
    require(gap[half] >= gap.max() / 2 > gap[half - 1], "act II ends at half of the way")
    require(path.loss[learnt] < 0.1 <= path.loss[learnt - 1], "act III ends below 0.1")


@certified("the exact error by enumeration against the loss in balls, at twelve states")
def loss_bounds_the_error() -> Margins:
    setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
    with ctx.workprec(128):
        for alpha, gamma, rho in product(("1/50", "1/4"), ("-1", "0", "2"), ("0", "-1/2")):
            state = Coefficients(*map(Fraction, (alpha, gamma, rho)))
            own, inside, across = (ball(x).exp() for x in (2, state.gamma, state.rho))
            Z = own + inside + 4 * across
            levels = AttentionLevels(own / Z, inside / Z, across / Z)
            error = Fraction(0)
            for s in enumerate_samples(Partition.contiguous(3, 2), setting.q):
                if s.y == 1 and s.probability:
                    T, F = sum(s.delta), arb(0)
                    for k in range(3):
                        x = s.delta[2 * k : 2 * k + 2]
                        F += set_terms(
                            setting,
                            ball(state.alpha),
                            levels,
                            x.count(1),
                            x.count(-1),
                            T,
                            number=ball,
                        ).F
                    # A ball around 0 counts as an error: the bound is then the harder one.
                    error += 0 if F > 0 else 2 * s.probability
            loss = certified_expectation(setting, state).loss
            yield f"at {alpha, gamma, rho}", loss / arb(2).log() - ball(error)


@symbolic("e^{−x} = 1 + s with s ≥ 0 where x ≤ 0")
def loss_of_an_error() -> Claims:
    s = sp.Symbol("s", nonnegative=True)
    yield "(1 + e^{−x})/2 ≥ 1 there", (1 + (1 + s)) / 2 - 1, s / 2


@property_("one flow at (L, C, q) = (3, 2, 0.4) to t = 20: gaps at four halvings of the step")
def euler_is_of_first_order() -> float:
    setting = Setting(L=3, C=2, q=0.4, p=3, nu=0.05, sigma_A=2.0)
    start, time = Coefficients(0.05, 0.1, 0.0), np.linspace(0, 20, 11)
    flow = gradient_flow(setting, start, eta_v=0.02, eta_A=8.0, time=time, method="enumeration")
    gaps = []
    for k in (1, 2, 4, 8):
        path = gradient_descent(
            setting, start, eta_v=0.02 / k, eta_A=8.0 / k, steps=20 * k, method="enumeration"
        )
        gaps.append(
            max(
                np.abs(getattr(path, x)[:: 2 * k] - getattr(flow, x)).max()
                for x in ("alpha", "gamma", "rho")
            )
        )
    ratios = [a / b for a, b in pairwise(gaps)]
    require(all(abs(r - 2) < 0.25 for r in ratios), f"the gap changes by {ratios} at halvings")
    return abs(ratios[-1] - 2)


@symbolic("the recursion of the proof: e_k ≤ ½ ε m (e^{λt} − 1)")
def euler_recursion() -> Claims:
    eps, lam, m, k = sp.symbols("epsilon lambda m k", positive=True)
    # The solution of e_{k+1} = (1 + ελ) e_k + ½ ε² λ m with e_0 = 0.
    solution = eps * m / 2 * ((1 + eps * lam) ** k - 1)
    step = (1 + eps * lam) * solution + eps**2 * lam * m / 2
    yield "solves the recursion", sp.expand(step - solution.subs(k, k + 1), power_exp=True), 0
    yield "starts at 0", solution.subs(k, 0), sp.S.Zero


def _row(name: str) -> Check:
    """One row of the certified table: every step of it, its margins and its error."""

    @certified(f"{name}: its start, every step and the loss, its margin and error")
    def row() -> Margins:
        found = certificate(name)  # raises if it is of another run, or absent
        proved, steps = proved_steps(found), all_steps(found)
        for step in steps:
            # False means "not proved", so it must not read as a refutation.
            where = f"{name}: {len(proved)} of {len(steps)} steps"
            yield where, arb(1) if step in proved else arb(0, 1)
        if name == "failure":
            yield f"{name} starts", found.margin(1)
            yield f"{name} fails", -1 - found.margin()
        else:
            yield f"margin of {name}", found.margin() - 1
        if name.endswith("patches"):
            yield f"error of {name}", ball("1/20") - found.error_bound()

    return row


@certified("the balls of the rows failure and success, whose settings differ in σ_A alone")
def one_task_two_ends() -> Margins:
    failure, success = (TABLE[name] for name in ("failure", "success"))
    stronger = replace(failure.setting, sigma_A=success.setting.sigma_A)
    alike = replace(failure, setting=stronger, digits=success.digits)
    if alike != success:
        raise ValueError("the two runs differ in more than their diagonal")
    for name in ("failure", "success"):
        yield f"{name} starts", certificate(name).margin(1)
    yield "failure", -certificate("failure").margin()
    yield "success", certificate("success").margin()
    yield "a positive diagonal fails", failure.setting.sigma_A


@property_(
    "two paths at (5, 2, 0.8), ν = 1: σ_A = 0.3 turns away from the sets, σ_A = 3 finds them"
)
def seen_on_paths() -> None:
    start, time = Coefficients(0.01, 0, 0), np.array([0.0, 1e2, 1e3, 1e4])
    for sigma, found in ((0.3, False), (3.0, True)):
        setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=sigma)
        path = gradient_flow(
            setting, start, eta_v=0.01, eta_A=1.0, time=time, method="enumeration", rtol=1e-6
        )
        require((path.margin[-1] > 0) == found, f"σ_A = {sigma} ends at margin {path.margin[-1]}")


STATEMENTS = (
    Statement(
        id="def-acts",
        kind="definition",
        title="The acts",
        text=r"""Times at which $\alpha$ has settled after its rise, $\gamma-\rho$ has half risen
            and does not end at its start or below, the loss is low.""",
        depends=("def-descent",),
        checks=(acts_of_the_code,),
    ),
    Statement(
        id="lem-loss-error",
        kind="lemma",
        title="The loss bounds the error",
        text=r"$\Pr(yF\le0)\le\E\log(1+e^{-yF})/\log2$.",
        checks=(loss_of_an_error, loss_bounds_the_error),
    ),
    Statement(
        id="prop-euler",
        kind="proposition",
        title="The gap is linear in the step",
        text=r"Descent with steps $\epsilon\eta$ stays within $c\,\epsilon$ of the flow.",
        hypotheses=(r"the flow exists on $[0,t_1]$", r"$\epsilon\le\epsilon_0$"),
        depends=("def-descent",),
        checks=(euler_recursion, euler_is_of_first_order),
    ),
    Statement(
        id="thm-certified",
        kind="theorem",
        title="Certified descent",
        text=r"""After the steps of each row of the table gradient descent has the margin, the loss
            and the error of that row: association at 12, 64 and 196 patches, and at 10 patches a
            failure though $\sigma_A>0$ beside a success at a larger $\sigma_A$.""",
        hypotheses=("a row of the table", r"$\gamma^0=\rho^0=0$", r"$\tau=1$", "$p=3$"),
        depends=("def-descent", "prop-margin", "lem-loss-error", "prop-pieces"),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=tuple(_row(name) for name in TABLE),
    ),
    Statement(
        id="rem-proved",
        kind="remark",
        title="What is proved and what is seen",
        text="Which claims of the chapter are theorems, and which are read off exact paths.",
        depends=(
            *("thm-start", "cor-frozen", "prop-plateau", "thm-drive", "prop-euler", "def-acts"),
            *("thm-certified", "prop-drive-negative"),
        ),
        checks=(one_task_two_ends, seen_on_paths),
    ),
)
