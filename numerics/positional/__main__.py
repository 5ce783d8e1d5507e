"""Run a Python script, such as timm's ``train.py``, with the positional models registered.

python -m numerics.positional train.py --model vit_small_patch16_224_positional …
torchrun --nproc-per-node 8 -m numerics.positional train.py …
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Run the script ``arguments[0]`` as if Python had been called with ``arguments``."""
    if not arguments or not Path(arguments[0]).is_file():
        found = f"no file {arguments[0]!r}" if arguments else "no script"
        raise SystemExit(f"{found}: usage: python -m numerics.positional SCRIPT [ARGUMENT …]")
    sys.argv = arguments
    # A script finds the modules that lie beside it, as it does when Python runs it directly.
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
