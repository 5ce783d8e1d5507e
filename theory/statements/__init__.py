"""Every numbered statement of the book, with its hypotheses, dependencies and checks."""

from theory.statements import (
    assumption_2,
    comparison,
    concentration,
    data,
    drive,
    dynamics,
    expectation,
    gaussian,
    generalization,
    model,
    no_association,
    perturbation,
    random_start,
    stability,
    start,
    symmetry,
    transfer,
    vision,
)
from theory.statements.statement import Statement

__all__ = ["STATEMENTS"]

_MODULES = (
    *(data, model, symmetry, stability, generalization, no_association, transfer),
    *(expectation, start, drive, dynamics, assumption_2, concentration),
    *(perturbation, comparison),
    *(random_start, gaussian, vision),
)

# In the order of the book.
STATEMENTS: tuple[Statement, ...] = tuple(s for module in _MODULES for s in module.STATEMENTS)
