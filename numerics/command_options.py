"""Options of a command made from a dataclass, which alone has their names, types and defaults.

In: a command that takes a configuration.  Out: one that takes its fields, as typer reads them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console

__all__ = ["failure", "with_options_of"]


def failure(message: str) -> typer.Exit:
    """Print what went wrong; raise the result to end the command with status 2."""
    Console(stderr=True).print(message, style="red", markup=False, highlight=False)
    return typer.Exit(2)


def _helps(config: type) -> dict[str, str]:
    """What the docstring of a dataclass says of each of its fields, under ``Parameters``."""
    found = re.findall(r"^ *(\w+(?:, \w+)*) : .*\n((?: {8}.+\n)+)", config.__doc__ or "", re.M)
    return {
        name: " ".join(text.replace("``", "").split())
        for names, text in found
        for name in names.split(", ")
    }


def with_options_of(config: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of a dataclass, for its argument ``config``.

    Examples
    --------
    >>> from numerics.engine import FitConfig
    >>> @with_options_of(FitConfig)
    ... def train(model: str, config: FitConfig) -> None:
    ...     print(model, config.steps, config.lr)
    >>> train("vit", steps=7)
    vit 7 0.001
    >>> list(inspect.signature(train).parameters)[:3]
    ['model', 'steps', 'batch']
    """
    hints, helps = get_type_hints(config), _helps(config)

    own = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[hints[field.name], typer.Option(help=helps[field.name])],
        )
        for field in fields(config)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(*arguments: Any, **options: Any) -> None:
            chosen = {one.name: options.pop(one.name) for one in own if one.name in options}
            try:
                made = config(**chosen)
            except ValueError as error:
                raise failure(str(error)) from error
            command(*arguments, config=made, **options)

        others = inspect.signature(command, eval_str=True).parameters.values()
        kept = [one for one in others if one.name != "config"]
        call.__signature__ = inspect.Signature([*kept, *own])  # type: ignore[attr-defined]
        return call

    return decorate
