"""Population loss and gradient on the invariant subspace, exactly: the public entry.

    L(α, γ, ρ) = E log(1 + e^{−yF}),        ∂L = −E[sig(−F) ∂F]  at label +1.

Three components: ∂L/∂v·w*, ∂L/∂A_ij for one ordered pair i ≠ j inside a set, and ∂L/∂A_ij for one
ordered pair across sets, which is what one entry of A moves by in gradient descent, before the
minus sign and the step size.  In: a setting and a state.  Out: numbers with a checked error.
"""

from __future__ import annotations

from collections.abc import Iterable

from flint import arb

from theory.expectation.certified import CertifiedExpectation, certified_expectation
from theory.expectation.enumeration import expectation_by_enumeration
from theory.expectation.quadrature import expectation_by_quadrature
from theory.expectation.result import Expectation
from theory.setting import Coefficients, Setting

__all__ = ["evaluate", "evaluate_in_floats", "population_gradient", "population_loss"]

_METHODS = {
    "quadrature": expectation_by_quadrature,
    "enumeration": expectation_by_enumeration,
}


def _check_method(method: str, allowed: Iterable[str]) -> None:
    if method not in allowed:
        raise ValueError(f"method = {method!r}: method must be one of {sorted(allowed)}")


def evaluate(
    setting: Setting,
    state: Coefficients,
    *,
    method: str = "quadrature",
    tolerance: float = 1e-10,
) -> Expectation | CertifiedExpectation:
    """Population loss and gradient with their errors.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    method : {"quadrature", "enumeration", "certified"}
        Quadrature serves every size; enumeration lists all configurations of a small one;
        "certified" returns balls, as wide as they are.
    tolerance : float
        Largest error allowed, relative to the loss and to the scale of each component (see
        :class:`~theory.expectation.result.Expectation`).

    Returns
    -------
    Expectation or CertifiedExpectation
        Both have ``loss``, ``gradient``, ``loss_error`` and ``gradient_error``.

    Raises
    ------
    ValueError
        If the method is unknown.
    ArithmeticError
        If the tolerance cannot be met; the message says what to change.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> state = Coefficients(alpha=0.1, gamma=0.5, rho=0.0)
    >>> found, proved = (evaluate(setting, state, method=m) for m in ("quadrature", "certified"))
    >>> abs(found.loss - float(proved.loss.mid())) <= found.loss_error + proved.loss_error
    True
    """
    _check_method(method, [*_METHODS, "certified"])
    if method == "certified":
        return certified_expectation(setting, state)
    return evaluate_in_floats(setting, state, method=method, tolerance=tolerance)


def evaluate_in_floats(
    setting: Setting,
    state: Coefficients,
    *,
    method: str = "quadrature",
    tolerance: float = 1e-10,
) -> Expectation:
    """:func:`evaluate` by a method in floats; "certified" is refused with ``ValueError``."""
    _check_method(method, _METHODS)
    result = _METHODS[method](setting, state)
    if result.loss <= result.loss_error:
        raise ArithmeticError(
            f"nothing is known of the loss but that it is below {2 * result.loss_error:.1e}: "
            "use method='certified'"
        )
    if not result.relative_error <= tolerance:
        other = ", use method='enumeration' if L and C are small" * (method == "quadrature")
        raise ArithmeticError(
            f"the relative error may be as large as {result.relative_error:.1e}, above the "
            f"tolerance {tolerance:.1e}: loosen the tolerance{other}, or use method='certified'"
        )
    return result


def population_loss(
    setting: Setting,
    state: Coefficients,
    method: str = "quadrature",
    *,
    tolerance: float = 1e-10,
) -> float | arb:
    """The loss that :func:`evaluate` finds, in nats: a float, or a ball with "certified".

    Examples
    --------
    At α = 0 the network is silent and the loss is log 2.

    >>> setting = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    >>> round(population_loss(setting, Coefficients(alpha=0.0, gamma=0.0, rho=0.0)), 12)
    0.69314718056
    """
    return evaluate(setting, state, method=method, tolerance=tolerance).loss


def population_gradient(
    setting: Setting,
    state: Coefficients,
    method: str = "quadrature",
    *,
    tolerance: float = 1e-10,
) -> Coefficients[float] | Coefficients[arb]:
    """The gradient that :func:`evaluate` finds: of floats, or of balls with "certified".

    Its components are ∂loss/∂v·w*, and ∂loss/∂A_ij for one ordered pair inside a set and one
    across sets.

    Examples
    --------
    >>> setting = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    >>> state = Coefficients(alpha=0.0198, gamma=0.8478, rho=-0.022)
    >>> gradient = population_gradient(setting, state)
    >>> f"{gradient.alpha:.6e} {gradient.gamma:.6e} {gradient.rho:.6e}"
    '-3.136776e-01 -9.077534e-05 1.769843e-06'
    """
    return evaluate(setting, state, method=method, tolerance=tolerance).gradient
