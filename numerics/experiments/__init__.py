"""The experiments, found by convention: each module of this package is one.

Such a module has a docstring whose first line says what it shows, a frozen dataclass ``Config``
whose defaults are the size of the record and which has a field ``seed``, an instance ``LIGHT`` of
it that runs in under a minute, and ``run(config, *, device="cpu", progress=True)``, which returns
results that JSON can hold. Where these depend on constants outside ``Config``, a function
``fixed(config)`` returns them, and a record of other constants is refused. A ``Config`` with fields
``dataset`` and ``root`` makes an experiment that runs on any data set of :mod:`numerics.datasets`
(``--dataset``, ``--root``); a ``run`` that also takes ``directory=None`` and ``resume=False``, and
hands them to :func:`numerics.engine.fit` with a folder for each training, makes one that can be
killed and resumed (``--resume``); a function ``from_checkpoint(checkpoint)`` makes one that also
reads a network that is given (``--checkpoint``); a function ``table(results)``, which returns rows
of text by column, has them printed. Adding a module adds an experiment; underscores of its name are
hyphens on the command line and in the name of its record.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields
from types import ModuleType
from typing import Any

__all__ = ["load_experiment", "names", "summary"]


def names() -> list[str]:
    """Names of the experiments, sorted.

    Examples
    --------
    >>> "realistic" in names()
    True
    """
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load_experiment(name: str) -> ModuleType:
    """Import an experiment and check that it keeps the convention.

    Raises
    ------
    ValueError
        If there is no experiment of that name; the message lists those there are.
    TypeError
        If the module lacks a part of the convention.

    Examples
    --------
    >>> load_experiment("nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: no experiment is called 'nothing'; there are: ...
    """
    if name not in names():
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    config: Any = getattr(module, "Config", None)
    parameters: Any = getattr(config, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise TypeError(f"experiment {name}: Config must be a frozen dataclass")
    if "seed" not in {field.name for field in fields(config)}:
        raise TypeError(f"experiment {name}: Config must have a field seed")
    if not isinstance(getattr(module, "LIGHT", None), config):
        raise TypeError(f"experiment {name}: LIGHT must be an instance of its Config")
    if not callable(getattr(module, "run", None)):
        raise TypeError(f"experiment {name}: run must be a function")
    if not (module.__doc__ or "").strip():
        raise TypeError(f"experiment {name}: the module docstring must say what it shows")
    return module


def summary(module: ModuleType) -> str:
    """First line of an experiment's docstring.

    Examples
    --------
    >>> summary(load_experiment("realistic")).endswith(".")
    True
    """
    return (module.__doc__ or "").strip().splitlines()[0]
