"""What one training is: its length, its batch, its learning rate and its options, all checked.

In: numbers.  Out: a frozen :class:`FitConfig`, or a ``ValueError`` that names the field.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from theory.inputs import integer, real

__all__ = ["GONE", "PRECISIONS", "FitConfig"]

#: Arithmetic by Fabric's name: float32, or bfloat16 products with float32 weights.
PRECISIONS = ("32-true", "bf16-mixed")
#: Fields that older checkpoints and records name, at the values at which they did nothing.
GONE = {"accumulate": 1, "ema": None, "mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}


@dataclass(frozen=True)
class FitConfig:
    """One training.

    Parameters
    ----------
    steps : int
        Updates of the weights.
    batch : int
        Images in one update, over all devices together.
    lr : float
        The largest learning rate.
    weight_decay : float
        Decoupled, of AdamW; none on encodings, class tokens, biases and norms.
    warmup : float
        Fraction of the steps, in [0, 1), over which the learning rate rises linearly; a half cosine
        takes it to 0 in the rest.
    precision : str
        ``32-true`` or ``bf16-mixed``.
    clip : float, optional
        Largest norm of the gradient.
    checkpoint_every : int, optional
        Updates between checkpoints; a tenth of the steps by default.
    log_every : int
        Updates between lines of ``metrics.jsonl``.
    seed : int
        Of every batch and of what is random inside the model; at least 0.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> FitConfig(steps=100).warmup_steps
    10
    >>> FitConfig(lr=0)
    Traceback (most recent call last):
        ...
    ValueError: FitConfig.lr = 0: lr must be a finite number > 0
    """

    steps: int = 1000
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    precision: str = "32-true"
    clip: float | None = None
    checkpoint_every: int | None = None
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        self._integers("steps", "batch", "log_every", least=1)
        self._integers("seed", least=0)
        if self.checkpoint_every is not None:
            self._integers("checkpoint_every", least=1)
        self._reals("lr", above=0)
        self._reals("weight_decay", least=0)
        self._reals("warmup", least=0, below=1)
        if self.clip is not None:
            self._reals("clip", above=0)
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"FitConfig.precision = {self.precision!r}: precision must be one of "
                f"{', '.join(PRECISIONS)}"
            )

    def _integers(self, *names: str, least: int) -> None:
        for name in names:
            value = integer(f"FitConfig.{name}", getattr(self, name), least=least)
            object.__setattr__(self, name, value)

    def _reals(self, *names: str, **bounds: float) -> None:
        for name in names:
            value = real(f"FitConfig.{name}", getattr(self, name), **bounds)
            object.__setattr__(self, name, float(value))

    def decisive(self) -> dict[str, Any]:
        """The fields that decide the weights at the end, the seed apart."""
        free = {"checkpoint_every", "log_every", "seed"}
        return {name: value for name, value in asdict(self).items() if name not in free}

    @property
    def warmup_steps(self) -> int:
        """Updates before the learning rate is largest; at least one comes after them."""
        return min(round(self.warmup * self.steps), self.steps - 1)

    @property
    def checkpoint_steps(self) -> int:
        """Updates between checkpoints."""
        return self.checkpoint_every or max(1, self.steps // 10)
