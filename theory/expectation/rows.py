"""Names for the rows of the arrays over what is averaged, the same in every method.

In: nothing.  Out: indices and slices.
"""

from __future__ import annotations

__all__ = ["Moment", "Part"]


class Part:
    """Rows of terms, sums and errors: F or the loss, then three derivatives, then their sizes."""

    F = LOSS = 0
    SLOPES = slice(1, 4)
    SIZES = slice(4, 7)


class Moment:
    """Rows of E[e^{−sF} G; T]: G = 1, F, the three derivatives ∂F and their sizes Σ_sets |∂F_set|.

    ``CHECKED`` are those whose rounding is bounded, and ``TERMS`` those that :class:`Part` names.
    """

    ONE, F = 0, 1
    SLOPES = slice(2, 5)
    SIZES = slice(5, 8)
    CHECKED = slice(0, 5)
    TERMS = slice(1, 5)
