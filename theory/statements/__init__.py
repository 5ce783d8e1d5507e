"""Every numbered statement of the book, with its hypotheses, dependencies and checks."""

from theory.statements import (
    comparison,
    data,
    dynamics,
    expectation,
    gaussian,
    generalization,
    model,
    no_association,
    symmetry,
    transfer,
    vision,
)
from theory.statements.statement import Statement

__all__ = ["STATEMENTS"]

_CHAPTERS = (
    *(data, model, symmetry, generalization, no_association, transfer),
    *(expectation, dynamics, comparison, gaussian, vision),
)

# In the order of the book.
STATEMENTS: tuple[Statement, ...] = tuple(s for chapter in _CHAPTERS for s in chapter.STATEMENTS)
