"""``python -m theory.formal``: compile every proof and print what each theorem assumes."""

from __future__ import annotations

import sys

from theory.formal import ProofError, assumptions, compile_proofs, theorems

if __name__ == "__main__":
    try:
        found = assumptions(theorems(), compile_proofs())
    except ProofError as error:
        sys.exit(str(error))
    for name, axioms in found.items():
        print(f"{name:50} {', '.join(axioms) or 'no axioms'}")
    sys.exit(int(any(found.values())))
