"""What an experiment is: a configuration, which decides the results, and options, which do not.

In: numbers.  Out: frozen dataclasses from which an experiment derives its own, and the
:class:`Experiment` by which the command line, the records and the tests know it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from theory.setting import Setting

__all__ = ["QUIET", "Experiment", "OfSetting", "OnDatasets", "Options", "Repeated", "Seeded"]


@dataclass(frozen=True)
class Options:
    """How something is run, whatever its results.

    Parameters
    ----------
    device : str
    progress : bool
        Show progress bars.
    directory : path, optional
        Of the checkpoints, with a folder for each training; none are kept without it.
    resume : bool
        Go on from the checkpoints that are there; see :func:`numerics.engine.fit`.

    Examples
    --------
    >>> Options(directory=Path("runs")).within("seed-0").directory.name
    'seed-0'
    """

    device: str = "cpu"
    progress: bool = False
    directory: Path | None = None
    resume: bool = False

    def within(self, folder: str) -> Options:
        """The same in a folder of the directory."""
        return replace(self, directory=self.directory and self.directory / folder)


#: On the CPU, with nothing shown and nothing kept.
QUIET = Options()


@dataclass(frozen=True)
class Seeded:
    """What every configuration has."""

    seed: int = 0


@dataclass(frozen=True)
class Repeated(Seeded):
    """A configuration of independent runs, with seeds ``seed``, …, ``seed + runs − 1``.

    Examples
    --------
    >>> list(Repeated(runs=2, seed=5).seeds)
    [5, 6]
    """

    runs: int = 3

    @property
    def seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.seed, self.seed + self.runs)

    def check_spread(self) -> None:
        """Raise a ``ValueError`` if there are not runs enough for a standard error."""
        if self.runs < 2:
            raise ValueError(
                f"Config.runs = {self.runs}: runs must be >= 2, or there is no standard error"
            )


@dataclass(frozen=True)
class OfSetting:
    """A configuration with the fields of a :class:`~theory.setting.Setting`."""

    L: int = 9
    C: int = 4
    q: float = 0.2
    p: int = 3
    nu: float = 0.05
    sigma_A: float = 2.0

    def setting(self) -> Setting:
        """The part that theory knows of."""
        return Setting(L=self.L, C=self.C, q=self.q, p=self.p, nu=self.nu, sigma_A=self.sigma_A)


@dataclass(frozen=True)
class OnDatasets:
    """A configuration on one data set of :mod:`numerics.data.sets`, or on several.

    Examples
    --------
    >>> OnDatasets("digits").datasets
    ('digits',)
    """

    dataset: str | tuple[str, ...]
    root: str = "data"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets, also where it is one."""
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset


C = TypeVar("C", bound=Seeded)


@dataclass(frozen=True)
class Experiment(Generic[C]):
    """One experiment.

    Parameters
    ----------
    run : callable
        From a configuration and :class:`Options` to results that JSON can hold, ``metrics`` among
        them.
    light : Config
        A configuration that runs in under a minute.  Its class has the size of the record by
        default; one of :class:`OnDatasets` makes an experiment that runs on any data set
        (``--dataset``, ``--root``).
    fixed : callable
        From a configuration to what the results depend on beyond it, in plain values.
    resumable : bool
        Whether ``run`` keeps checkpoints (``--resume``).
    from_checkpoint : callable, optional
        From the name of a trained network to what is read off it (``--checkpoint``).
    table : callable, optional
        From results to rows of text by column, to be printed beside the metrics.
    """

    run: Callable[[C, Options], dict[str, Any]]
    light: C
    fixed: Callable[[C], dict[str, Any]] = lambda config: {}
    resumable: bool = False
    from_checkpoint: Callable[[str], dict[str, Any]] | None = None
    table: Callable[[dict[str, Any]], list[dict[str, str]]] | None = None

    @property
    def Config(self) -> type[Any]:
        """The class of its configurations."""
        return type(self.light)
