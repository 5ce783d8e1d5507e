"""The full model in symbols: its derivatives against autograd, its symmetries exactly."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import attention_logits, group_elements, partitions, permutations, value_vectors

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.vit import SimplifiedViT, polynomial_activation

NU = sp.Symbol("nu", real=True)


@cache
def model(D: int, d: int, p: int) -> SimplifiedViT:
    return SimplifiedViT(D, d, polynomial_activation(p, NU))


@cache
def compiled(D: int, d: int, p: int):
    """f(weights, v, X, nu, tau) -> (F, ∂F/∂A as (D, D) array of objects, ∂F/∂v)."""
    vit = model(D, d, p)
    in_A, in_v = vit.gradient(vit.output)
    code = vit.function([vit.output, *in_A, *in_v], NU, vit.tau)

    def evaluate(weights, v, X, nu, tau):
        F, *gradient = code(np.asarray(weights).tolist(), list(v), np.asarray(X).tolist(), nu, tau)
        gradient = np.array(gradient, dtype=object)
        return F, gradient[: D * D].reshape(D, D), gradient[D * D :]

    return evaluate


def rationals(low: int, high: int, denominator: int) -> st.SearchStrategy[Fraction]:
    return st.integers(low, high).map(lambda k: Fraction(k, denominator))


@st.composite
def exact_inputs(draw: st.DrawFn, max_D: int = 4, max_d: int = 3) -> tuple:
    """(D, d, p, weights, v, X, nu, tau) in Fractions; arrays of objects."""
    D, d = draw(st.integers(2, max_D)), draw(st.integers(1, max_d))

    def array(strategy, *shape):
        size = math.prod(shape)
        values = draw(st.lists(strategy, min_size=size, max_size=size))
        return np.array(values, dtype=object).reshape(shape)

    return (
        D,
        d,
        draw(st.sampled_from([2, 3, 5])),
        array(rationals(1, 9, 3), D, D),
        array(rationals(-4, 4, 3), d),
        array(rationals(-4, 4, 3), D, d),
        draw(rationals(0, 4, 3)),
        draw(st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(3)])),
    )


def simplified_vit(A: torch.Tensor, v: torch.Tensor, X: torch.Tensor, p, nu, tau) -> torch.Tensor:
    """The paper's formula in torch, for autograd."""
    O = len(A) * torch.softmax(A / tau, dim=1) @ X @ v
    return (O**p + nu * O).sum()


# --- Derivatives


@pytest.mark.parametrize("which", ["output", "loss"])
def test_gradient_through_weights_is_sympys_gradient_in_logits(which: str) -> None:
    vit = model(2, 1, 3)
    expression = vit.output if which == "output" else vit.loss(-1)
    in_A, in_v = vit.gradient(expression)
    in_logits = vit.in_logits(expression)
    for A, entry in zip(vit.logits, in_A, strict=True):
        difference = in_logits.diff(A) - vit.in_logits(entry)
        # Equal functions of e^{A/τ}: written in the weights again, the difference cancels.
        weights = dict(zip(vit.logits, vit.weights, strict=True))
        difference = difference.subs({a: vit.tau * sp.log(w) for a, w in weights.items()})
        assert sp.simplify(difference) == 0
    assert sp.simplify(in_logits.diff(vit.v[0]) - vit.in_logits(in_v[0])) == 0


@pytest.mark.parametrize("y", [1, -1])
def test_loss_gradient_is_minus_y_sigmoid_times_that_of_the_output(y: int) -> None:
    # For every activation at once: σ is a function without a formula.
    vit = SimplifiedViT(2, 2, sp.Function("sigma"))
    F_in_A, F_in_v = vit.gradient(vit.output)
    loss_in_A, loss_in_v = vit.gradient(vit.loss(y))
    # sig(−yF) = weight / (1 + weight)
    weight = sp.exp(-y * vit.output)
    for loss, F in zip([*loss_in_A, *loss_in_v], [*F_in_A, *F_in_v], strict=True):
        assert sp.expand(loss * (1 + weight)) == sp.expand(-y * weight * F)


@pytest.mark.slow
@given(st.data())
def test_symbolic_gradient_is_autograd_and_finite_differences(data: st.DataObject) -> None:
    D, d = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 3))
    p, tau, nu = data.draw(
        st.tuples(st.sampled_from([2, 3, 5]), st.sampled_from([0.5, 1.0, 2.0]), st.just(0.3))
    )
    A, v = data.draw(attention_logits(D)), data.draw(value_vectors(d))
    X = np.array([data.draw(value_vectors(d)) for _ in range(D)])
    F, in_A, in_v = compiled(D, d, p)(np.exp(A / tau), v, X, nu, tau)

    tensors = [torch.tensor(x, requires_grad=True) for x in (A, v)]
    value = simplified_vit(*tensors, torch.tensor(X), p, nu, tau)
    automatic = torch.autograd.grad(value, tensors)
    scale = 1e-13 * (1 + D ** (p + 1))
    assert math.isclose(F, value.item(), rel_tol=1e-12, abs_tol=scale)
    np.testing.assert_allclose(in_A.astype(float), automatic[0].numpy(), rtol=1e-10, atol=scale)
    np.testing.assert_allclose(in_v.astype(float), automatic[1].numpy(), rtol=1e-10, atol=scale)

    def at(A: np.ndarray, v: np.ndarray) -> float:
        return compiled(D, d, p)(np.exp(A / tau), v, X, nu, tau)[0]

    h = 1e-5
    i, j, k = (data.draw(st.integers(0, n - 1)) for n in (D, D, d))
    dA, dv = np.zeros((D, D)), np.zeros(d)
    dA[i, j], dv[k] = h, h
    # Central differences err by h² times a third derivative, which D^p bounds in size.
    tolerance = dict(rel=1e-6, abs=1e-7 * D ** (p + 1))
    assert (at(A + dA, v) - at(A - dA, v)) / (2 * h) == pytest.approx(in_A[i, j], **tolerance)
    assert (at(A, v + dv) - at(A, v - dv)) / (2 * h) == pytest.approx(in_v[k], **tolerance)


# --- Symmetries of one sample, in rational arithmetic


@given(exact_inputs(), st.data())
def test_softmax_ignores_row_shifts(inputs: tuple, data: st.DataObject) -> None:
    D, d, p, weights, *rest = inputs
    # A shift of row i of A by τ log c_i multiplies its weights by c_i.
    scales = data.draw(st.lists(rationals(1, 9, 4), min_size=D, max_size=D))
    F, in_A, in_v = compiled(D, d, p)(weights, *rest)
    shifted = compiled(D, d, p)(weights * np.array(scales)[:, None], *rest)
    assert isinstance(F, Fraction)
    assert shifted[0] == F
    assert (shifted[1] == in_A).all()
    assert (shifted[2] == in_v).all()


@given(exact_inputs())
def test_gradient_in_logits_conserves_row_sums(inputs: tuple) -> None:
    D, d, p, *rest = inputs
    _, in_A, _ = compiled(D, d, p)(*rest)
    assert (in_A.sum(axis=1) == 0).all()


@given(exact_inputs(), st.data())
def test_equivariance_under_permutations_of_patches(inputs: tuple, data: st.DataObject) -> None:
    D, d, p, weights, v, X, *rest = inputs
    g = data.draw(permutations(D))
    F, in_A, in_v = compiled(D, d, p)(weights, v, X, *rest)
    moved = compiled(D, d, p)(weights[np.ix_(g, g)], v, X[g], *rest)
    assert moved[0] == F
    assert (moved[1] == in_A[np.ix_(g, g)]).all()
    assert (moved[2] == in_v).all()


@given(exact_inputs())
def test_equivariance_under_rotation_of_pixels(inputs: tuple) -> None:
    D, d, p, weights, v, X, *rest = inputs
    Q = np.array([[Fraction(k == m) for k in range(d)] for m in range(d)], dtype=object)
    if d >= 2:
        Q[-2:, -2:] = [[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]]
    F, in_A, in_v = compiled(D, d, p)(weights, v, X, *rest)
    turned = compiled(D, d, p)(weights, Q @ v, X @ Q.T, *rest)
    assert turned[0] == F
    assert (turned[1] == in_A).all()
    assert (turned[2] == Q @ in_v).all()


@given(exact_inputs())
def test_label_flip_needs_an_odd_activation(inputs: tuple) -> None:
    D, d, p, weights, v, X, *rest = inputs
    F, in_A, _ = compiled(D, d, p)(weights, v, X, *rest)
    flipped, flipped_in_A, _ = compiled(D, d, p)(weights, v, -X, *rest)
    if p % 2:
        assert flipped == -F
        assert (flipped_in_A == -in_A).all()
    else:
        # Σ O² is the part that keeps its sign; it vanishes only where all patches see nothing.
        squares = (F + flipped) / 2
        assert squares >= 0
        assert (squares == 0) == all(O == 0 for O in pre_activations(weights, v, X))


def pre_activations(weights: np.ndarray, v: np.ndarray, X: np.ndarray) -> np.ndarray:
    return weights @ (X @ v) / weights.sum(axis=1)


# --- The data law


@given(partitions(max_D=6), st.fractions(0, 1, max_denominator=6))
def test_law_is_assumption_1(partition: Partition, q: Fraction) -> None:
    samples = list(enumerate_samples(partition, q))
    L, C, n = partition.L, partition.C, partition.D - partition.C
    assert len(samples) == 2 * L * 3**n
    assert len({(s.y, s.signal, s.delta) for s in samples}) == len(samples)
    assert sum(s.probability for s in samples) == 1
    assert all(isinstance(s.probability, Fraction) for s in samples)
    for s in samples:
        assert all(s.delta[j] == s.y for j in partition.sets[s.signal])
    # Second moment of a patch outside the signal set: q; all pairs of them uncorrelated.
    spurious = [
        (s.probability, [x for j, x in enumerate(s.delta) if partition.labels[j] != s.signal])
        for s in samples
    ]
    assert sum(P * sum(x) for P, x in spurious) == 0
    assert sum(P * sum(k * k for k in x) for P, x in spurious) == n * q
    assert sum(P * sum(x) ** 2 for P, x in spurious) == n * q
    assert sum(P * sum(x) ** 4 for P, x in spurious) == n * q + 3 * n * (n - 1) * q**2
    assert len(partition.sets[0]) == C


def law(partition: Partition, q: Fraction, move=lambda delta: delta, sign: int = 1) -> Counter:
    """(y, δ) with probabilities, after moving δ and flipping signs."""
    total: Counter = Counter()
    for s in enumerate_samples(partition, q):
        delta = tuple(sign * x for x in move(s.delta))
        total[sign * s.y, delta] += s.probability
    return total


@given(partitions(max_D=6), st.data())
def test_law_has_the_symmetries_of_its_partition(partition: Partition, data: st.DataObject) -> None:
    q = Fraction(1, 3)
    g = data.draw(group_elements(partition))
    original = law(partition, q)
    assert law(partition, q, lambda delta: [delta[i] for i in g]) == original
    assert law(partition, q, sign=-1) == original


def test_law_breaks_under_a_permutation_that_tears_the_sets() -> None:
    partition = Partition.contiguous(2, 2)
    torn = law(partition, Fraction(1, 3), lambda delta: [delta[i] for i in (0, 2, 1, 3)])
    assert torn != law(partition, Fraction(1, 3))


@pytest.mark.parametrize(("p", "odd"), [(3, True), (5, True), (2, False)])
def test_population_margin_of_the_two_labels(p: int, odd: bool) -> None:
    """E[yF | y = 1] = E[yF | y = −1] for odd σ; for p = 2 the labels are not exchangeable."""
    partition, q = Partition.contiguous(2, 2), Fraction(1, 3)
    weights = np.array([[Fraction(1 + (i + 2 * j) % 5) for j in range(4)] for i in range(4)])
    margins = {1: Fraction(0), -1: Fraction(0)}
    for s in enumerate_samples(partition, q):
        F = compiled(4, 1, p)(
            weights, [Fraction(1, 2)], [[Fraction(x)] for x in s.delta], Fraction(1, 5), 1
        )[0]
        margins[s.y] += s.probability * s.y * F
    assert (margins[1] == margins[-1]) is odd
