"""Arguments: whatever type an integer or a real number comes in, the same objects come out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.data.gaussian import GaussianConvolution
from numerics.data.permuted import PatchPermutation
from numerics.data.structured import StructuredData, random_direction
from numerics.engine import FitConfig
from numerics.engine.batches import seed_of
from numerics.measure.coefficients import chance_association
from numerics.measure.cost import Shape, flops
from numerics.measure.history import evenly, recorded_steps
from numerics.measure.spatial import grid_distance
from numerics.models.cnn import build_cnn
from numerics.models.vit import build_vit
from numerics.training.new_feature import freeze_attention
from numerics.training.random_start import random_start
from theory.bounds.encodings import encodings, set_derangement
from theory.bounds.invariant import all_partitions
from theory.bounds.linear import window_probabilities
from theory.bounds.transfer import averaging_failure, empty_boxes
from theory.data.gaussian import critical_b, set_drive
from theory.data.law import (
    bayes_error,
    f_star_error,
    invariant_error,
    log_loss_floor,
    set_law,
    set_types,
    spurious_law,
)
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.descent import gradient_descent
from theory.dynamics.start import start_rates
from theory.inputs import integer, real
from theory.model.association import top_c
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Coefficients, Setting
from theory.symmetry.orbitals import grid_shift_generators, product_generators
from theory.symmetry.proof import prove_reduction

WIDTHS = [np.dtype(f"{kind}{size}").type for kind in "iu" for size in (1, 2, 4, 8)]
FOREIGN = [*WIDTHS, sp.Integer]
REST: dict[str, Any] = {"p": 3, "nu": 0, "sigma_A": 1}


# --- the two helpers ------------------------------------------------------------------------------


@given(st.sampled_from(WIDTHS), st.data())
def test_every_integer_of_numpy_is_the_int_that_it_equals(width: type, data: st.DataObject) -> None:
    info = np.iinfo(width)
    value = data.draw(st.integers(int(info.min), int(info.max)))
    number = integer("n", width(value))
    assert type(number) is int
    assert number == value
    assert type(real("x", width(value))) is int
    assert (real("x", width(value)), integer("n", sp.Integer(value))) == (value, value)


@given(st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]), st.floats(-9, 9))
def test_every_float_of_numpy_that_float64_holds_is_that_float(width: type, value: float) -> None:
    number = real("x", width(value))
    assert type(number) is float
    assert number == width(value)


@given(st.fractions())
def test_rationals_stay_exact(value: Fraction) -> None:
    parts = np.array([value.numerator, value.denominator], dtype=object)
    assert real("x", value) == real("x", sp.Rational(*parts)) == value
    assert type(real("x", sp.Rational(*parts))) in (int, Fraction)


def test_a_fraction_of_numpy_integers_becomes_one_of_python() -> None:
    rate = Fraction(np.int8(1), np.int8(100))
    assert type(rate.denominator) is np.int8
    assert type(real("q", rate).denominator) is int
    assert real("q", rate) ** 2 == Fraction(1, 10_000)


@given(
    st.integers(-20, 20),
    st.none() | st.integers(-9, 9),
    st.none() | st.integers(-9, 9),
    st.booleans(),
)
def test_bounds_are_kept(value: int, least: int | None, most: int | None, odd: bool) -> None:
    fits = (
        (least is None or value >= least)
        and (most is None or value <= most)
        and not (odd and value % 2 == 0)
    )
    if fits:
        assert integer("n", value, least=least, most=most, odd=odd) == value
    else:
        with pytest.raises(ValueError, match=f"owner.n = {value}: n must be an"):
            integer("owner.n", value, least=least, most=most, odd=odd)
    for name, bound, holds in [
        ("least", least, value >= (least or 0)),
        ("above", least, value > (least or 0)),
        ("most", most, value <= (most or 0)),
        ("below", most, value < (most or 0)),
    ]:
        bounds: dict[str, Any] = {name: bound or 0}
        if holds:
            assert real("x", value, **bounds) == value
        else:
            with pytest.raises(ValueError, match="x must be a finite number [<>]"):
                real("x", value, **bounds)


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), Fraction(2), "2", None])
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="n must be an integer >= 1"):
        integer("n", value, least=1)


# --- a setting of foreign numbers -----------------------------------------------------------------


@pytest.mark.parametrize("width", FOREIGN)
@pytest.mark.parametrize("q", [Fraction(1, 3), Fraction(1, 4), 1 / 3, 0.0])
@pytest.mark.parametrize(("L", "C"), [(6, 5), (16, 4), (12, 11)])
def test_laws_are_those_of_python_integers(width: Callable, L: int, C: int, q: Any) -> None:
    setting = Setting(L=width(L), C=width(C), q=q, p=width(3), nu=width(0), sigma_A=width(1))
    expected = Setting(L=L, C=C, q=q, **REST)
    assert setting == expected
    kinds = {type(getattr(setting, field.name)) for field in dataclasses.fields(setting)}
    assert kinds <= {int, float, Fraction}
    one = 1 if isinstance(q, Fraction) else pytest.approx(1, rel=1e-12)
    for law in (set_types, set_law, spurious_law):
        probability = law(setting).probability
        assert (probability == law(expected).probability).all()
        assert (probability >= 0).all()
        assert q == 0 or (probability > 0).all()
        assert probability.sum() == one
    for error in (bayes_error, f_star_error, invariant_error, log_loss_floor):
        assert error(setting) == error(expected)


@given(st.sampled_from(FOREIGN), st.integers(2, 9), st.integers(1, 9), st.integers(0, 2))
def test_any_setting_and_state_of_foreign_numbers(width: Callable, L: int, C: int, k: int) -> None:
    foreign = Setting(width(L), width(C), width(k % 2), width(2 * k + 3), *[width(k + 1)] * 3)
    assert foreign == Setting(L, C, k % 2, 2 * k + 3, *[k + 1] * 3)
    assert foreign.D**9 == (L * C) ** 9
    state = Coefficients(width(k), np.float32(k), sp.Rational(k, 7))
    assert state == Coefficients(k, float(k), Fraction(k, 7))
    assert [type(x) for x in (state.alpha, state.gamma)] == [int, float]


# --- everywhere else ------------------------------------------------------------------------------

SETTING = Setting(L=3, C=2, q=Fraction(1, 2), **REST)
SETS = Partition.contiguous(3, 2)
AXIS = torch.tensor([1.0, 0.0])


def _numbers(value: Any) -> Any:
    """A result in a form that == compares: lists for arrays, tensors and networks."""
    if isinstance(value, torch.nn.Module):
        return [_numbers(parameter) for parameter in value.parameters()]
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return [_numbers(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, (list, tuple)):
        return [_numbers(one) for one in value]
    return value


#: What takes integers, called with all of them made by ``n``.
CALLS: dict[str, Callable[[Callable[[int], Any]], Any]] = {
    "Partition": lambda n: Partition([n(0), n(1), n(0)]),  # type: ignore[arg-type]
    "contiguous": lambda n: Partition.contiguous(n(20), n(13)),
    "scattered by seed": lambda n: Partition.scattered(n(4), n(3), n(100)),
    "scattered by images": lambda n: Partition.scattered(n(2), n(2), [n(k) for k in (2, 0, 3, 1)]),
    "product_generators": lambda n: product_generators(n(3), n(2)),
    "grid_shift_generators": lambda n: grid_shift_generators(n(3), n(2)),
    "top_c": lambda n: top_c(np.eye(4), n(2)),
    "empty_boxes": lambda n: empty_boxes(n(100), n(12)),
    "averaging_failure": lambda n: averaging_failure(SETTING, n(100)),
    "window_probabilities": lambda n: window_probabilities(n(1), n(100)),
    "all_partitions": lambda n: list(all_partitions(n(3), n(2))),
    "enumerate_samples": lambda n: list(enumerate_samples(SETS, n(1))),
    "set_derangement": lambda n: set_derangement(SETS, n(2)),
    "encodings": lambda n: encodings(np.eye(3), n(5)),
    "critical_b": lambda n: critical_b(n(100), n(100)),
    "set_drive": lambda n: set_drive(n(9), n(100), 19.0, 0.1),
    "SimplifiedViT": lambda n: SimplifiedViT(n(2), n(1), polynomial_activation(3, 0)).output,
    "prove_reduction": lambda n: prove_reduction(n(2), n(1), n(3)),
    "start_rates": lambda n: start_rates(n(3)),
    "gradient_descent": lambda n: gradient_descent(
        SETTING, Coefficients(n(0), n(0), n(0)), eta_v=n(1), eta_A=n(1), steps=n(2)
    ),
    "chance_association": lambda n: chance_association(n(100), n(100)),
    "Shape": lambda n: Shape(*[n(k) for k in (101, 100, 96, 127, 12, 3, 48, 10, 127)]),
    "flops": lambda n: flops("full", Shape(*[n(100)] * 9), n(100)),
    "random_direction": lambda n: random_direction(n(3), torch.Generator().manual_seed(0)),
    "StructuredData": lambda n: StructuredData(SETTING, SETS, AXIS).sample(
        n(3), torch.Generator().manual_seed(0)
    ),
    "GaussianConvolution": lambda n: GaussianConvolution(SETS, AXIS, n(2), n(1)).sample(
        n(3), torch.Generator().manual_seed(0)
    ),
    "FitConfig": lambda n: FitConfig(steps=n(100), batch=n(64), log_every=n(2), seed=n(3)),
    "seed_of": lambda n: seed_of("item", n(3), n(100)),
    "build_cnn": lambda n: build_cnn(n(2), width=n(1), channels=n(1), blocks=n(1), seed=n(3)),
    "build_vit": lambda n: build_vit(
        n(8), n(4), n(3), width=n(4), depth=n(1), heads=n(2), seed=n(5), channels=n(1)
    ),
    "PatchPermutation": lambda n: PatchPermutation.random(n(12), n(7), patch=n(2)),
    "random_start": lambda n: (
        random_start(SETTING, n(7), d=n(3), omega_v=n(1), omega_A=n(1), N=n(4)).model
    ),
    "evenly": lambda n: evenly(n(127), n(5)),
    "recorded_steps": lambda n: recorded_steps("train", [n(3), n(127)], 200),
    "freeze_attention": lambda n: freeze_attention(SETTING, torch.zeros(6, 6), n(3)),
    "grid_distance": lambda n: grid_distance(n(12)),
}


@pytest.mark.parametrize("width", FOREIGN)
@pytest.mark.parametrize("call", CALLS)
def test_foreign_integers_give_the_same_objects(call: str, width: Callable) -> None:
    assert _numbers(CALLS[call](width)) == _numbers(CALLS[call](int))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [bool, np.bool_, str])
def test_what_is_no_integer_is_refused_by_name(call: str, kind: Callable) -> None:
    with pytest.raises(ValueError, match="must be"):
        CALLS[call](kind)


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_an_array_are_integers_of_python(width: type) -> None:
    partition = Partition(np.array([0, 1, 1, 0, 2], dtype=width))  # type: ignore[arg-type]
    assert partition.labels == (0, 1, 1, 0, 2)
    assert {type(label) for label in partition.labels} == {int}
