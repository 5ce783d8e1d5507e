"""One seed from which many streams are drawn, none of which tells of another.

In: what a stream is for, and integers that single it out.  Out: a seed for a generator of torch.
"""

from __future__ import annotations

import numpy as np

from theory.inputs import integer

__all__ = ["seed_of"]

#: Streams of a run beside that of its seed itself, which is below 2³¹: what is added to it.
ADDED = {"test crops": 2**31, "new features": 2**32, "real ViTs": 2**33}
#: Streams of a training, told apart by its seed and a step or a place: numbers that are hashed with
#: them.  They stay as they are, or the records could not be made again.
HASHED = {"batch": 0, "model": 2, "order": 3, "item": 4}


def seed_of(use: str, *numbers: int) -> int:
    """A seed below 2⁶³ for one use and integers ≥ 0, the first of them the seed of a run.

    Examples
    --------
    >>> seed_of("new features", 5) == 2**32 + 5
    True
    >>> len({seed_of("batch", 0, 1), seed_of("batch", 1, 0), seed_of("order", 0, 1)})
    3
    """
    numbers = tuple(integer("number", number, least=0) for number in numbers)
    if use in ADDED:
        return ADDED[use] + sum(numbers)
    entropy = (HASHED[use], len(numbers), *numbers)
    high, low = np.random.SeedSequence(entropy).generate_state(2, np.uint32).tolist()
    return (high << 31) ^ low
