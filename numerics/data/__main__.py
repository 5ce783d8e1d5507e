"""Read a data set, or fetch it: ``python -m numerics.data cifar10 --root data --download``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sized
from typing import cast

from numerics.data.sets import NAMES, load_dataset


def main(arguments: list[str]) -> None:
    """The command that error messages name: read a set, fetching it on request."""
    parser = argparse.ArgumentParser(
        prog="python -m numerics.data", description="Read a data set, or fetch it."
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--root", default="data", help="folder of the data sets")
    parser.add_argument("--download", action="store_true", help="fetch what is not there")
    chosen = parser.parse_args(arguments)
    try:
        found = load_dataset(chosen.name, chosen.root, download=chosen.download)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    train, test = (len(cast(Sized, part)) for part in (found.train, found.test))
    print(
        f"{chosen.name}: {train} images to train, {test} to test, {found.classes} classes, "
        f"{found.channels} × {found.side} × {found.side}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
