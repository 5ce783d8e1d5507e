"""The experiments: each module of this package is one, and says what it is in ``EXPERIMENT``.

Adding a module with an :class:`Experiment` adds an experiment: underscores of its name are hyphens
on the command line and in the name of its record, and the first line of its docstring says what it
shows.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from numerics.configs import Options, Seeded

__all__ = ["Experiment", "load_experiment", "names", "summary"]

C = TypeVar("C", bound=Seeded)
Results = dict[str, Any]


@dataclass(frozen=True)
class Experiment(Generic[C]):
    """One experiment.

    Parameters
    ----------
    run : callable
        From a configuration and :class:`~numerics.configs.Options` to results that JSON can hold,
        ``metrics`` among them.
    light : Config
        A configuration that runs in under a minute.  Its class, a frozen dataclass, has the size of
        the record by default; one of :class:`~numerics.configs.OnDatasets` makes an experiment that
        runs on any data set (``--dataset``, ``--root``).
    fixed : callable
        From a configuration to what the results depend on beyond it, in plain values.
    resumable : bool
        Whether ``run`` keeps checkpoints in ``options.directory``, a folder for each training
        (``--resume``).
    from_checkpoint : callable, optional
        From the name of a trained network to what is read off it (``--checkpoint``).
    table : callable, optional
        From results to rows of text by column, to be printed beside the metrics.
    """

    run: Callable[[C, Options], Results]
    light: C
    fixed: Callable[[C], Results] = lambda config: {}
    resumable: bool = False
    from_checkpoint: Callable[[str], Results] | None = None
    table: Callable[[Results], list[dict[str, str]]] | None = None

    @property
    def Config(self) -> type[C]:
        """The class of its configurations."""
        return type(self.light)


def names() -> list[str]:
    """Names of the experiments, sorted.

    Examples
    --------
    >>> "realistic" in names()
    True
    """
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def _module(name: str) -> Any:
    if name not in names():
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def load_experiment(name: str) -> Experiment:
    """Import an experiment.

    Raises
    ------
    ValueError
        If there is no experiment of that name; the message lists those there are.

    Examples
    --------
    >>> load_experiment("nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: no experiment is called 'nothing'; there are: ...
    """
    return _module(name).EXPERIMENT


def summary(name: str) -> str:
    """First line of an experiment's docstring.

    Examples
    --------
    >>> summary("realistic").endswith(".")
    True
    """
    return _module(name).__doc__.splitlines()[0]
