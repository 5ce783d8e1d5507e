"""What attention costs: counts against torch's own, the meter, and the experiment at a toy size."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from numerics.__main__ import app
from numerics.experiment import Options
from numerics.experiments import attention_cost
from numerics.measure import cost
from numerics.measure.cost import KINDS, Shape, flops, shape_of, traffic
from numerics.measure.timing import RATES, device_rates, peak_memory, seconds
from numerics.models.cnn import parameter_count
from numerics.positional import PositionalVisionTransformer

CPU = torch.device("cpu")
TINY = "vit_tiny_patch16_224"
CLASSES = {"full": VisionTransformer, "positional": PositionalVisionTransformer}
SMALL = {
    "img_size": 32,
    "patch_size": 4,
    "embed_dim": 48,
    "depth": 2,
    "num_heads": 3,
    "num_classes": 5,
}
# Other than SMALL in all that the formulas know; registers and no class token in the third.
SIZES = {
    "small": SMALL,
    "narrow": SMALL | {"img_size": 16, "embed_dim": 24, "mlp_ratio": 3, "num_heads": 2},
    "registers": SMALL | {"reg_tokens": 3, "class_token": False, "global_pool": "avg", "depth": 1},
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def call(model: nn.Module, batch: int, training: bool) -> None:
    size = model.patch_embed.img_size
    images = torch.zeros(batch, 3, *size, device=next(model.parameters()).device)
    if training:
        model.train()(images).sum().backward()
    else:
        with torch.no_grad():
            model.eval()(images)


def counted_flops(model: nn.Module, batch: int, training: bool) -> int:
    """Torch's count, with attention as products: fused, it would count its own algorithm's."""
    for block in model.blocks:
        block.attn.fused_attn = False
    with FlopCounterMode(display=False) as counter:
        call(model, batch, training)
    return counter.get_total_flops()


# ---------------------------------------------------------------- operations


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_operations_are_those_that_torch_counts(size, kind, training):
    with torch.device("meta"):
        model = CLASSES[kind](**SIZES[size])
    for batch in (1, 3):
        counted = counted_flops(model, batch, training)
        assert flops(kind, shape_of(model), batch, training=training) == counted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch8_224"])
def test_operations_of_registered_models_are_those_that_torch_counts(name, kind):
    with torch.device("meta"):
        model = timm.create_model(name + KINDS[kind], num_classes=1000)
    assert flops(kind, shape_of(model), 2) == counted_flops(model, 2, training=False)


@pytest.mark.parametrize("field", ["N", "patches", "C", "hidden", "depth", "pixels", "classes"])
def test_a_wrong_formula_would_be_caught(field):
    with torch.device("meta"):
        model = VisionTransformer(**SMALL)
    shape = shape_of(model)
    wrong = replace(shape, **{field: getattr(shape, field) - 1})
    for training in (False, True):
        counted = counted_flops(model, 3, training)
        assert flops("full", wrong, 3, training=training) != counted
        assert flops("positional", shape, 3, training=training) != counted


@st.composite
def shapes(draw) -> Shape:
    number = st.integers(1, 2000)
    patches, heads = draw(number), draw(st.integers(1, 16))
    return Shape(
        N=patches + draw(st.integers(0, 5)),
        patches=patches,
        C=heads * draw(st.integers(1, 128)),
        hidden=draw(number),
        depth=draw(st.integers(1, 40)),
        heads=heads,
        pixels=draw(number),
        classes=draw(number),
        parameters=draw(st.integers(1, 10**9)),
    )


@given(shape=shapes(), batch=st.integers(2, 4096), training=st.booleans())
def test_positional_attention_does_fewer_operations_from_two_images_on(shape, batch, training):
    full, positional = (flops(kind, shape, batch, training=training) for kind in KINDS)
    assert positional < full
    # What it saves is the queries, the keys and the map of all images but one.
    maps = shape.N * (4 * shape.C**2 + 2 * shape.N * shape.C)
    assert full - positional == (3 if training else 1) * shape.depth * (batch - 1) * maps
    one = [flops(kind, shape, 1, training=training) for kind in KINDS]
    assert one[0] == one[1]


# ---------------------------------------------------------------- bytes


class Moved(TorchDispatchMode):
    """Bytes of the inputs and the outputs of every operation that is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        views = any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
        if not views and "_unsafe_view" not in str(func) and "detach" not in str(func):
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return out


def moved(kind: str, batch: int, training: bool, depth: int) -> int:
    model = CLASSES[kind](**SMALL | {"depth": depth})
    with Moved() as mode:
        call(model, batch, training)
    return mode.bytes


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_nearly_all_that_separate_operations_move(kind, training):
    # The difference of two depths is what a block moves: embedding and classes drop out.
    found = moved(kind, 32, training, 2) - moved(kind, 32, training, 1)
    shape = replace(shape_of(CLASSES[kind](**SMALL)), depth=1)
    expected = traffic(kind, shape, 32, 4, training=training)
    expected -= cost.OPTIMIZER_BYTES * shape.parameters if training else 0
    assert 0.93 * found < expected <= found


def test_bytes_of_a_number_and_of_the_optimizer():
    shape = shape_of(CLASSES["full"](**SMALL))
    for kind in KINDS:
        assert traffic(kind, shape, 5, 4) == 2 * traffic(kind, shape, 5, 2)
        steps = [traffic(kind, shape, 5, size, training=True) for size in (4, 2)]
        # AdamW keeps float32 whatever the activations are.
        assert 2 * steps[1] - steps[0] == 28 * shape.parameters


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N": 0}, "Shape.N = 0: N must be an integer >= 1"),
        ({"heads": 2.0}, "Shape.heads = 2.0: heads must be an integer >= 1"),
        ({"depth": True}, "Shape.depth = True"),
        ({"patches": 9}, "Shape.patches = 9: patches must be at most N = 8"),
    ],
)
def test_impossible_shapes_are_refused(change, message):
    shape = Shape(8, 7, 4, 16, 1, 2, 3, 5, 100)
    with pytest.raises(ValueError, match=message):
        replace(shape, **change)


def test_impossible_counts_are_refused():
    shape = Shape(8, 7, 4, 16, 1, 2, 3, 5, 100)
    with pytest.raises(ValueError, match="flops.kind = 'self': kind must be one of full, pos"):
        flops("self", shape, 2)
    with pytest.raises(ValueError, match="flops.batch = 0: batch must be an integer >= 1"):
        flops("full", shape, 0)
    with pytest.raises(ValueError, match="traffic.size = 0: size must be an integer >= 1"):
        traffic("full", shape, 2, 0)


@pytest.mark.parametrize(
    "changes",
    [{"block_fn": ParallelScalingBlock}, {"global_pool": "map", "class_token": False}],
)
def test_models_of_another_make_are_refused(changes):
    with torch.device("meta"), pytest.raises(ValueError, match="cost of those is not known"):
        shape_of(VisionTransformer(**SMALL | changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("vit_nothing",)}, "Config.models = .*'vit_nothing'.* one or more of .*tiny"),
        ({"models": ()}, "Config.models = .*: models must be one or more of"),
        ({"cuda_models": ("resnet18",)}, "Config.cuda_models = .*'resnet18'"),
        ({"batch": 0}, "Config.batch = 0: batch must be an integer >= 1"),
        ({"cuda_batch": 1.5}, "Config.cuda_batch = 1.5: cuda_batch must be an integer >= 1"),
        ({"repeats": 0}, "Config.repeats = 0: repeats must be an integer >= 1"),
    ],
)
def test_bad_configurations_say_what_is_allowed(change, message):
    with pytest.raises(ValueError, match=message):
        replace(attention_cost.LIGHT, **change)


def test_other_devices_are_refused():
    with pytest.raises(ValueError, match="device = 'meta': device must be one of cpu, cuda"):
        attention_cost.run(attention_cost.LIGHT, Options(device="meta"))


# ---------------------------------------------------------------- what is measured


def test_memory_counts_the_worst_moment_from_the_start_of_the_call(capfd):
    kept = [torch.zeros(5000)]

    def work() -> None:
        a, b = torch.zeros(1000), torch.zeros(7000)
        del a, b
        kept.append(torch.zeros(6000))
        kept.append(kept[1].clone())

    for _ in range(2):
        assert peak_memory(work, CPU) == 4 * 12000
        del kept[1:]
    assert capfd.readouterr() == ("", "")


def test_rates_are_of_the_work_that_is_said(monkeypatch):
    monkeypatch.setitem(RATES, "cpu", (64, 2**12, 3))
    monkeypatch.setattr("numerics.measure.timing.seconds", lambda call, device: 0.5)
    rates = device_rates(CPU, torch.float32)
    assert rates == {"flops_per_second": 4 * 64**3, "bytes_per_second": 4 * 2**12}
    assert seconds(lambda: None, CPU) >= 0


def test_gradients_are_gone_between_steps_so_memory_starts_the_same():
    runner = attention_cost._Runner(TINY, 1, CPU, 0)
    runner.step()
    assert all(weight.grad is None for weight in runner.model.parameters())
    # The gradients of a step are part of what it needs.
    assert peak_memory(runner.step, CPU) > 4 * parameter_count(runner.model)


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_model_has_the_classes_that_labels_are_drawn_from(kind):
    for name in attention_cost.Config().cuda_models:
        with torch.device("meta"):
            runner = attention_cost._Runner(name + KINDS[kind], 1, torch.device("meta"), 0)
        assert runner.shape.classes == attention_cost.CLASSES


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(RATES, "cpu", (64, 2**12, 3))
    monkeypatch.setattr(attention_cost, "WARMUP", 1)
    return replace(attention_cost.LIGHT, batch=1, repeats=2)


@pytest.mark.slow
def test_the_experiment_returns_what_it_says(toy, capfd):
    results = attention_cost.run(toy)
    assert capfd.readouterr() == ("", "")
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert (results["precision"], results["compiled"], results["batch"]) == ("float32", False, 1)
    assert set(results["rates"]) == {"flops_per_second", "bytes_per_second"}
    names = {f"{TINY}_forward_ratio", f"{TINY}_step_ratio"}
    assert set(results["metrics"]) == set(results["bound_ratio"]) == names
    rows = {(row["phase"], row["kind"]): row for row in results["rows"]}
    assert set(rows) == {(phase, kind) for phase in ("forward", "step") for kind in KINDS}
    for (phase, kind), row in rows.items():
        assert row["model"] == TINY
        assert len(row["seconds"]) == 2
        assert row["images_per_second"] == pytest.approx(2 / sum(row["seconds"]), rel=1e-3)
        assert row["seconds_by_flops"] == row["flops"] / results["rates"]["flops_per_second"]
        assert row["peak_memory"] > 4 * 197 * 192 * (1 if phase == "forward" else 12)
        shape = shape_of(timm.create_model(TINY + KINDS[kind]))
        assert row["flops"] == flops(kind, shape, 1, training=phase == "step")
        assert row["bytes"] == traffic(kind, shape, 1, 4, training=phase == "step")
    for phase in ("forward", "step"):
        pair = [rows[phase, kind] for kind in ("full", "positional")]
        metric = results["metrics"][f"{TINY}_{phase}_ratio"]
        ratios = [f / p for f, p in zip(*(row["seconds"] for row in pair), strict=True)]
        assert metric["n"] == 2
        assert metric["mean"] == pytest.approx(sum(ratios) / 2, rel=1e-3)
        assert metric["standard_error"] == pytest.approx(abs(ratios[0] - ratios[1]) / 2, abs=1e-3)
        bounds = [max(row["seconds_by_flops"], row["seconds_by_bytes"]) for row in pair]
        found = results["bound_ratio"][f"{TINY}_{phase}_ratio"]
        assert math.isclose(found, bounds[0] / bounds[1])


@pytest.mark.slow
def test_the_runner_shows_the_table(monkeypatch, toy):
    light = replace(attention_cost.EXPERIMENT, light=replace(toy, repeats=1))
    monkeypatch.setattr(attention_cost, "EXPERIMENT", light)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["run", "attention-cost", "--light"])
    assert result.exit_code == 0, result.output
    for text in (f"{TINY}_step_ratio", "images/s", "ratio of bounds", "peak memory", "positional"):
        assert text in result.output
