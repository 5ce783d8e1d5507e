"""The certified table: trajectories proved in balls, from 12 patches to the 196 of a ViT-B/16.

Each entry says what is run; the JSON file of its name beside this module is the certificate, made
by ``python -m theory certify NAME`` and proved again, step by step, by ``python -m theory check``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from theory.dynamics.certified import Certificate, certify_descent, read_certificate
from theory.setting import Coefficients, Setting

__all__ = ["TABLE", "Run", "certificate", "path_of", "run"]


@dataclass(frozen=True)
class Run:
    """Gradient descent from (α, 0, 0): everything exact, and the digits to start with."""

    setting: Setting
    alpha: Fraction
    eta_v: Fraction
    eta_A: Fraction
    steps: int
    digits: float


def _setting(L: int, C: int, q: str, sigma_A: str, nu: str = "1/20") -> Setting:
    return Setting(L=L, C=C, q=Fraction(q), p=3, nu=Fraction(nu), sigma_A=Fraction(sigma_A))


TABLE = {
    "12-patches": Run(
        _setting(4, 3, "3/10", "2"), Fraction(1, 20), Fraction(1, 500), Fraction(50), 20, 65.0
    ),
    "64-patches": Run(
        _setting(16, 4, "1/4", "2"), Fraction(1, 200), Fraction(1, 5000), Fraction(2000), 20, 80.0
    ),
    "196-patches": Run(
        _setting(49, 4, "1/10", "3"),
        Fraction(1, 1000),
        Fraction(1, 10000),
        Fraction(2000),
        25,
        80.0,
    ),
    # A positive diagonal that is too weak: association starts, and then attention leaves the sets.
    "failure": Run(
        _setting(5, 2, "4/5", "3/10", nu="1"),
        Fraction(1, 100),
        Fraction(1, 200),
        Fraction(5000),
        20,
        131.0,
    ),
    # The same, with a diagonal ten times as strong: attention finds the sets.
    "success": Run(
        _setting(5, 2, "4/5", "3", nu="1"),
        Fraction(1, 100),
        Fraction(1, 200),
        Fraction(5000),
        20,
        152.0,
    ),
}


def path_of(name: str) -> Path:
    """Where the certificate of a table entry is kept."""
    if name not in TABLE:
        raise ValueError(f"no certificate is called {name!r}; there are: {', '.join(TABLE)}")
    return Path(__file__).parent / f"{name}.json"


def certificate(name: str) -> Certificate:
    """The stored certificate of a table entry.

    Raises
    ------
    ValueError
        If there is no such entry, or if the file is of another run than the table says.
    FileNotFoundError
        If it has not been made.

    Examples
    --------
    >>> bool(certificate("12-patches").margin() > 1)
    True
    """
    path, entry = path_of(name), TABLE.get(name)
    if not path.exists():
        raise FileNotFoundError(f"make it with `python -m theory certify {name}`")
    found = read_certificate(path)
    assert entry is not None
    start = [Fraction(text) for text, _ in found.states[0]]
    same = (
        found.exact_setting() == entry.setting
        and start == [entry.alpha, 0, 0]
        and (Fraction(found.eta_v), Fraction(found.eta_A)) == (entry.eta_v, entry.eta_A)
        and found.steps == entry.steps
    )
    if not same:
        raise ValueError(f"{path.name} is of another run: `python -m theory certify {name}`")
    return found


def run(name: str, *, progress: Callable[[range], Iterable[int]] = iter) -> Certificate:
    """Make the certificate of a table entry; minutes at 196 patches."""
    path_of(name)
    entry = TABLE[name]
    return certify_descent(
        entry.setting,
        Coefficients(entry.alpha, 0, 0),
        eta_v=entry.eta_v,
        eta_A=entry.eta_A,
        steps=entry.steps,
        digits=entry.digits,
        progress=progress,
    )
