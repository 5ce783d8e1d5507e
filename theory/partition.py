from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

__all__ = ["Partition"]


@dataclass(frozen=True)
class Partition:
    labels: tuple[int, ...]

    @classmethod
    def contiguous(cls, L: int, C: int) -> Partition:
        return cls(tuple(i // C for i in range(L * C)))

    @classmethod
    def scattered(cls, L: int, C: int, permutation: Sequence[int] | int) -> Partition:
        if isinstance(permutation, Integral):
            permutation = np.random.default_rng(int(permutation)).permutation(L * C)
        labels = [0] * (L * C)
        for i, image in enumerate(permutation):
            labels[image] = i // C
        return cls(tuple(labels))

    @property
    def D(self) -> int:
        return len(self.labels)

    @property
    def L(self) -> int:
        return max(self.labels) + 1

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(i for i, label in enumerate(self.labels) if label == l) for l in range(self.L)
        )
