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


def with_options_of(config: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of a dataclass, instead of its argument ``config``.

    What the docstring of the dataclass says of a field is the help of its option.

    Examples
    --------
    >>> from numerics.engine import FitConfig
    >>> @with_options_of(FitConfig)
    ... def train(model: str, config: FitConfig) -> None:
    ...     print(model, config.steps, config.lr)
    >>> train("vit", steps=7)
    vit 7 0.001
    """
    said = dict(re.findall(r"^ *(\w+) : .*\n((?: {8}.+\n)+)", config.__doc__, re.MULTILINE))
    hints = get_type_hints(config)
    own = {
        field.name: inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[
                hints[field.name],
                typer.Option(help=" ".join(said[field.name].replace("``", "").split())),
            ],
        )
        for field in fields(config)
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(*arguments: Any, **options: Any) -> None:
            try:
                made = config(**{name: options.pop(name) for name in own if name in options})
            except ValueError as error:
                raise failure(str(error)) from error
            command(*arguments, config=made, **options)

        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        del parameters["config"]
        call.__signature__ = inspect.Signature([*parameters.values(), *own.values()])  # type: ignore[attr-defined]
        return call

    return decorate
