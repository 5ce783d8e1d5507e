"""A statement of the book as an object, and the four kinds of checks that can stand behind it.

A check is a generator function of no arguments under one of four decorators.  It yields what it
claims, piece by piece; the decorator decides each piece and returns a :class:`Check`:

* ``symbolic``: equalities ``(where, left, right)`` of rational numbers, polynomials, expressions or
  finite objects, decided exactly;
* ``certified``: inequalities ``(where, margin)`` that claim margin > 0, a ball or a rational;
* ``property_``: a property of random examples drawn by Hypothesis, which shrinks a failing one;
* ``simulated``: estimates ``(where, estimate, standard error, expected)``.

The first two answer PROVED, REFUTED or UNDECIDED; the others SUPPORTED or CONTRADICTED, so they are
never all that a claim has: they stand beside one that can prove.  What was decided is the *scope*
of the check, which may be less than the statement: then the proof in the book covers the rest.
In: claims.  Out: :class:`Finding` objects, verdict and evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
from hypothesis import Phase, given, settings

__all__ = [
    "CHECK_KINDS",
    "KINDS",
    "RELATIONS",
    "Check",
    "Finding",
    "Statement",
    "Verdict",
    "certified",
    "property_",
    "require",
    "simulated",
    "symbolic",
]

KINDS = (
    *("definition", "assumption", "lemma", "proposition", "theorem", "corollary"),
    *("remark", "example"),
)
RELATIONS = ("as stated", "finite-size form", "corrected", "ours")
CHECK_KINDS = ("symbolic", "certified", "property", "simulated")
# A true claim of an unbiased estimate is this many standard errors off once in 15 000 times.
MOST_ERRORS = 4.0


class _Contradiction(Exception):
    """A property does not hold for an example."""


def require(condition: object, what: str) -> None:
    """Claim a condition in a property check (an ``assert`` would vanish under ``python -O``)."""
    if not condition:
        raise _Contradiction(what)


class Verdict(StrEnum):
    """What a check says of its claims."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"
    SUPPORTED = "SUPPORTED"
    CONTRADICTED = "CONTRADICTED"


@dataclass(frozen=True)
class Finding:
    """A verdict with its evidence (numbers and strings that JSON can hold)."""

    verdict: Verdict
    evidence: Mapping[str, object]


@dataclass(frozen=True)
class Check:
    """One machine check of a statement.

    Parameters
    ----------
    kind : str
        One of ``CHECK_KINDS``.
    scope : str
        What exactly it decides.
    decide : callable
        Runs it.
    required : bool
        Whether it must say PROVED.  One that is not required stands beside others: that it says
        SUPPORTED is enough, and that it fails counts all the same.
    """

    kind: str
    scope: str
    decide: Callable[[], Finding]
    required: bool = True

    def __post_init__(self) -> None:
        if self.kind not in CHECK_KINDS:
            raise ValueError(f"Check.kind = {self.kind!r}: kind must be one of {CHECK_KINDS}")
        if not self.scope:
            raise ValueError("Check.scope is empty: say what the check decides")

    def __call__(self) -> Finding:
        """Run the check; one that breaks off has decided nothing."""
        try:
            found = self.decide()
        except Exception as error:  # whatever it is, it is evidence, and never a proof
            found = Finding(Verdict.UNDECIDED, {"error": f"{type(error).__name__}: {error}"})
        return Finding(found.verdict, {"scope": self.scope, **found.evidence})


@dataclass(frozen=True)
class Statement:
    """A definition, assumption, lemma, proposition, theorem, corollary or remark of the book.

    Parameters
    ----------
    id : str
        Its label in the book.
    kind, title : str
        As there; ``kind`` is one of ``KINDS``.
    text : str
        What it says, in short; LaTeX between dollars.
    hypotheses : tuple of str
    depends : tuple of str
        Identifiers of the statements that it, or its proof, uses.
    paper : str or None
        Its number in the paper, such as "Definition 2.2".
    relation : str
        To the paper, one of ``RELATIONS``.
    checks : tuple of Check
        A definition or an assumption may have none.

    Raises
    ------
    ValueError
        Naming the field that is not allowed, or a claim without a check.
    """

    id: str
    kind: str
    title: str
    text: str
    hypotheses: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    paper: str | None = None
    relation: str = "ours"
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.id}.kind = {self.kind!r}: kind must be one of {KINDS}")
        if self.relation not in RELATIONS:
            raise ValueError(f"{self.id}.relation = {self.relation!r}: must be one of {RELATIONS}")
        if not self.defines and not any(check.required for check in self.checks):
            raise ValueError(f"{self.id}: a {self.kind} claims something and needs a check")

    @property
    def defines(self) -> bool:
        """Whether it sets terms or hypotheses, rather than claims."""
        return self.kind in ("definition", "assumption")

    @property
    def proof_in_words(self) -> bool:
        """Whether its chapter proves it in words; that proof covers what the scopes leave open."""
        return self.kind in ("lemma", "proposition", "theorem", "corollary")


def _is_exact(value: object) -> bool:
    if isinstance(value, sp.Basic):
        return not value.atoms(sp.Float)
    return not isinstance(value, float | complex | flint.arb | flint.acb)


def _residue(left: Any, right: Any) -> Any:
    """Zero exactly if the two are equal, as far as exact arithmetic can tell."""
    for side in (left, right):
        if not _is_exact(side):
            raise TypeError(f"{side!r} is not exact: an equality needs exact numbers")
    if not isinstance(left, sp.Basic) and not isinstance(right, sp.Basic):
        return 0 if left == right else 1
    difference = sp.sympify(left) - sp.sympify(right)
    for attempt in (sp.expand, sp.cancel, sp.simplify):
        if difference == 0:
            break
        difference = attempt(difference)
    return difference


def _differs(residue: Any) -> bool:
    """Whether a residue that did not simplify to 0 is certainly not the zero function."""
    if not isinstance(residue, sp.Basic) or residue.is_nonzero:
        return True
    symbols = sorted(residue.free_symbols, key=str)
    point = {x: sp.Rational(k + 2, k + 3) for k, x in enumerate(symbols)}
    return bool(residue.subs(point).is_nonzero)


def symbolic(scope: str, *, required: bool = True) -> Callable[[Callable[..., Any]], Check]:
    """A check of exact equalities ``(where, left, right)``.

    Examples
    --------
    >>> @symbolic("all x")
    ... def square():
    ...     x = sp.Symbol("x")
    ...     yield "(x+1)²", (x + 1) ** 2, x**2 + 2 * x + 1
    >>> square().verdict.value, square().evidence["identities"]
    ('PROVED', 1)
    """

    def decorate(claims: Callable[[], Iterable[tuple[str, object, object]]]) -> Check:
        def decide() -> Finding:
            count = 0
            for where, left, right in claims():
                count += 1
                residue = _residue(left, right)
                if residue != 0:
                    verdict = Verdict.REFUTED if _differs(residue) else Verdict.UNDECIDED
                    return Finding(verdict, {"identities": count, "fails": where})
            return Finding(Verdict.PROVED if count else Verdict.UNDECIDED, {"identities": count})

        return Check("symbolic", scope, decide, required)

    return decorate


def _lower_and_upper(margin: Any) -> tuple[Any, Any]:
    if isinstance(margin, flint.arb):
        # An exact midpoint plus or minus a radius, rounded outwards.
        return margin.lower(), margin.upper()
    if isinstance(margin, int | Fraction):
        return margin, margin
    raise TypeError(f"margin {margin!r}: an inequality needs a ball or a rational number")


def certified(scope: str, *, required: bool = True) -> Callable[[Callable[..., Any]], Check]:
    """A check of inequalities ``(where, margin)``, each of which claims margin > 0.

    Examples
    --------
    >>> @certified("x = 3")
    ... def pi_is_larger():
    ...     yield "pi > 3", flint.arb.pi() - 3
    >>> pi_is_larger().verdict.value
    'PROVED'
    """

    def decorate(claims: Callable[[], Iterable[tuple[str, object]]]) -> Check:
        def decide() -> Finding:
            count, least = 0, float("inf")
            for where, margin in claims():
                count += 1
                lower, upper = _lower_and_upper(margin)
                least = min(least, float(lower))
                if not lower > 0:
                    # A ball that reaches 0 from below or holds it says nothing against ≥.
                    verdict = Verdict.REFUTED if upper <= 0 else Verdict.UNDECIDED
                    # JSON has no number for the end of a ball that is not finite.
                    shown = float(lower) if abs(float(lower)) < float("inf") else None
                    evidence = {"inequalities": count, "margin": shown, "fails": where}
                    return Finding(verdict, evidence)
            if not count:
                return Finding(Verdict.UNDECIDED, {"inequalities": 0})
            return Finding(Verdict.PROVED, {"inequalities": count, "margin": least})

        return Check("certified", scope, decide, required)

    return decorate


def property_(
    scope: str, *, examples: int = 50, required: bool = False, **strategies: Any
) -> Callable[[Callable[..., Any]], Check]:
    """A check of a function of random examples drawn by Hypothesis (the same ones every run).

    The function states its claims with :func:`require`; it may return an error, whose largest
    value over the examples is recorded.
    """

    def decorate(holds: Callable[..., Any]) -> Check:
        def decide() -> Finding:
            count, error, last = 0, 0.0, {}

            def examine(**drawn: Any) -> None:
                nonlocal count, error
                count += 1
                last.update(drawn)
                error = max(error, float(holds(**drawn) or 0.0))

            fixed = settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                report_multiple_bugs=False,
                phases=(Phase.generate, Phase.shrink),
            )
            try:
                # Without anything to draw there is one example.
                (fixed(given(**strategies)(examine)) if strategies else examine)()
            except _Contradiction as failure:
                shown = {name: repr(value) for name, value in last.items()}
                evidence = {"examples": count, "fails": str(failure), "at": shown}
                return Finding(Verdict.CONTRADICTED, evidence)
            return Finding(Verdict.SUPPORTED, {"examples": count, "error": error})

        return Check("property", scope, decide, required)

    return decorate


def simulated(scope: str, *, required: bool = False) -> Callable[[Callable[..., Any]], Check]:
    """A check of estimates ``(where, estimate, standard error, expected)``.

    It is contradicted if one is more than ``MOST_ERRORS`` standard errors from what is expected.
    """

    def decorate(claims: Callable[[], Iterator[tuple[str, float, float, float]]]) -> Check:
        def decide() -> Finding:
            count, worst = 0, 0.0
            for where, estimate, standard_error, expected in claims():
                count += 1
                if not standard_error > 0:
                    raise ArithmeticError(f"{where}: an estimate needs a standard error > 0")
                off = abs(float(estimate) - float(expected)) / float(standard_error)
                worst = max(worst, off)
                if not off <= MOST_ERRORS:
                    evidence = {"estimates": count, "standard_errors_off": off, "fails": where}
                    return Finding(Verdict.CONTRADICTED, evidence)
            if not count:
                raise ArithmeticError("nothing was simulated")
            return Finding(Verdict.SUPPORTED, {"estimates": count, "standard_errors_off": worst})

        return Check("simulated", scope, decide, required)

    return decorate
