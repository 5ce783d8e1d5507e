"""The experiments: each module of this package is one, and says what it is in ``EXPERIMENT``.

Adding a module adds an experiment: underscores of its name are hyphens on the command line and in
the name of its record, and the first line of its docstring says what it shows.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from numerics.experiment import Experiment

__all__ = ["load_experiment", "names", "summary"]


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
