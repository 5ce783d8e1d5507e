"""Positional attention in timm's transformer: one map for all images, and timm still works."""

from __future__ import annotations

import copy
import shutil
import sys

import numpy as np
import pytest
import timm
import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.models import resume_checkpoint
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.utils import CheckpointSaver, ModelEmaV3, dispatch_clip_grad
from torch import Tensor, nn
from torch.nn import functional as F

from numerics.positional import PositionalAttention, PositionalVisionTransformer
from numerics.positional.__main__ import main

NAMES = [
    "vit_base_patch8_224_positional",
    "vit_base_patch16_224_positional",
    "vit_base_patch32_224_positional",
    "vit_small_patch8_224_positional",
    "vit_small_patch16_224_positional",
    "vit_small_patch32_224_positional",
    "vit_tiny_patch16_224_positional",
]
SMALL = {
    "img_size": 16,
    "patch_size": 4,
    "embed_dim": 24,
    "depth": 3,
    "num_heads": 3,
    "num_classes": 5,
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build(**changes) -> PositionalVisionTransformer:
    """A small model whose attention is far from uniform, so that a wrong map shows."""
    model = PositionalVisionTransformer(**(SMALL | changes)).eval()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight.normal_(std=0.3)
            if block.attn.qkv.bias is not None:
                block.attn.qkv.bias.normal_(std=0.3)
    return model


def images(n: int = 2, height: int = 16, width: int | None = None) -> Tensor:
    return torch.randn(n, 3, height, width or height)


def naive_attention(layer: PositionalAttention, x: Tensor, positions: Tensor) -> Tensor:
    """The definition, one image and one head at a time, with weights cut out as W_Q, W_K, W_V."""
    dim, size = layer.dim, layer.head_dim
    W_Q, W_K, W_V = layer.qkv.weight.split(dim)
    b_Q, b_K, b_V = layer.qkv.bias.split(dim)
    outputs = []
    for X in x:
        heads = []
        for h in range(layer.num_heads):
            part = slice(h * size, (h + 1) * size)
            q = positions @ W_Q[part].T + b_Q[part]
            k = positions @ W_K[part].T + b_K[part]
            logits = q @ k.T / size**0.5
            weights = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
            heads.append(weights @ (X @ W_V[part].T + b_V[part]))
        outputs.append(layer.proj(torch.cat(heads, dim=1)))
    return torch.stack(outputs)


# --- the layer -----------------------------------------------------------------------------------


def test_the_layer_is_the_naive_one():
    layer = PositionalAttention(24, 3, qkv_bias=True).double()
    nn.init.normal_(layer.qkv.weight, std=0.5)
    x = torch.randn(4, 7, 24, dtype=torch.float64, requires_grad=True)
    positions = torch.randn(7, 24, dtype=torch.float64, requires_grad=True)
    ours, naive = layer(x, positions), naive_attention(layer, x, positions)
    torch.testing.assert_close(ours, naive, rtol=1e-12, atol=1e-12)

    weights = torch.randn_like(ours)
    inputs = [x, positions, *layer.parameters()]
    for mine, theirs in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((naive * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("scale_norm", [False, True])
def test_on_tokens_that_are_encodings_the_layer_is_timms_attention(qk_norm, scale_norm):
    # Where tokens hold nothing but their encodings both attentions are the same.
    norms = {"qk_norm": qk_norm, "scale_norm": scale_norm, "norm_layer": nn.LayerNorm}
    stock = timm.layers.Attention(24, 3, qkv_bias=True, **norms).double()
    layer = PositionalAttention(24, 3, qkv_bias=True, **norms).double()
    for weight in stock.parameters():
        nn.init.normal_(weight, std=0.5)
    layer.load_state_dict(stock.state_dict())
    positions = torch.randn(7, 24, dtype=torch.float64)
    torch.testing.assert_close(layer(positions[None], positions), stock(positions[None]))
    # On other tokens they are not.
    x = torch.randn(1, 7, 24, dtype=torch.float64)
    assert (layer(x, positions) - stock(x)).abs().max() > 0.1


def test_rows_of_the_map_sum_to_one_and_are_not_uniform():
    maps = build().attention_maps()
    assert maps.shape == (3, 3, 17, 17)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(3, 3, 17))
    assert (maps.max(dim=-1).values > 2 / 17).all()


def test_dropout_of_the_map_is_shared_by_all_images():
    layer = PositionalAttention(24, 3, attn_drop=0.5).train()
    positions, x = torch.randn(7, 24), torch.randn(1, 7, 24)
    twice = layer(x.expand(2, -1, -1), positions)
    torch.testing.assert_close(twice[0], twice[1])
    assert (layer(x, positions) - twice[:1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"dim": 10, "num_heads": 3}, "num_heads = 3: num_heads must divide dim = 10"),
        ({"dim": 10, "num_heads": 0}, "num_heads = 0"),
        ({"dim": 10, "num_heads": 2, "qk_norm": True}, "need a norm_layer"),
        ({"dim": 10, "num_heads": 2, "scale_norm": True}, "need a norm_layer"),
    ],
)
def test_wrong_arguments_of_the_layer(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        PositionalAttention(**arguments)


def test_the_layer_wants_encodings_of_the_right_shape():
    layer, x = PositionalAttention(24, 3), torch.randn(2, 7, 24)
    with pytest.raises(ValueError, match=r"\(7, 7\): positions must have shape \(7, 24\)"):
        layer(x, torch.zeros(7, 7))


# --- the model -----------------------------------------------------------------------------------


class Spy:
    """Records what every call of ``attention_map`` returns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.maps: list[Tensor] = []
        inner = PositionalAttention.attention_map

        def watched(layer: PositionalAttention, positions: Tensor) -> Tensor:
            found = inner(layer, positions)
            self.maps.append(found.detach().clone())
            return found

        monkeypatch.setattr(PositionalAttention, "attention_map", watched)


@pytest.mark.parametrize("n", [1, 6])
def test_the_map_is_made_once_per_block_whatever_the_batch(n, monkeypatch):
    model, spy = build(), Spy(monkeypatch)
    model(images(n))
    assert [tuple(found.shape) for found in spy.maps] == [(3, 17, 17)] * 3


def test_the_map_does_not_depend_on_the_image(monkeypatch):
    model = build()
    expected, spy = model.attention_maps(), Spy(monkeypatch)
    outputs = [model(images()), model(100 * images())]
    assert torch.equal(torch.stack(spy.maps[:3]), expected)
    assert torch.equal(torch.stack(spy.maps[3:]), expected)
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_the_output_of_the_first_attention_is_linear_in_the_tokens():
    # The property that self-attention does not have: mixing does not look at what is mixed.
    model = build(qkv_bias=False, proj_bias=False)
    layer, positions = model.blocks[0].attn, model.positions()
    x, y = torch.randn(2, 2, 17, 24)
    torch.testing.assert_close(
        layer(2 * x - y, positions), 2 * layer(x, positions) - layer(y, positions)
    )


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"global_pool": "avg", "class_token": False},
        {"global_pool": "avg"},
        {"no_embed_class": True},
        {"reg_tokens": 2, "no_embed_class": True},
        {"reg_tokens": 2},
        {"dynamic_img_size": True},
        {"global_pool": "map", "class_token": False},
        {"pre_norm": True, "init_values": 0.1, "qk_norm": True},
    ],
    ids=str,
)
def test_every_variant_runs_trains_and_is_the_naive_model(variant, monkeypatch):
    model, x = build(**variant), images(3)
    logits = model(x)
    assert logits.shape == (3, 5)
    F.cross_entropy(logits, torch.tensor([0, 1, 4])).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
    assert model.pos_embed.grad.abs().amax(dim=-1).min() > 0
    if "qk_norm" not in variant:
        monkeypatch.setattr(
            PositionalAttention,
            "forward",
            naive_attention,
        )
        torch.testing.assert_close(model(x), logits, rtol=1e-4, atol=1e-5)


def test_encodings_get_gradient_through_attention_alone():
    model = build()
    model.attention_maps()[..., 0].sum().backward()
    assert (model.pos_embed.grad.abs().amax(dim=-1) > 0).all()
    assert all(block.attn.qkv.weight.grad[:48].abs().sum() > 0 for block in model.blocks)
    # Values have no part in the map.
    assert all(block.attn.qkv.weight.grad[48:].abs().sum() == 0 for block in model.blocks)


def test_positions_are_the_tokens_of_a_blank_image_normalized():
    model = build()
    with torch.no_grad():
        model.patch_embed.proj.bias.zero_()
        model.cls_token.normal_()
    seen = []
    model.blocks[0].register_forward_pre_hook(
        lambda _, tokens, named: seen.append((*tokens, named["positions"])), with_kwargs=True
    )
    model(torch.zeros(1, 3, 16, 16))
    tokens, positions = seen[0]
    torch.testing.assert_close(F.layer_norm(tokens[0], (24,), eps=1e-6), positions)
    torch.testing.assert_close(positions, model.positions())


@pytest.mark.parametrize("size", [(16, 16), (24, 24), (8, 32), (32, 8)])
@pytest.mark.parametrize("class_token", [True, False])
def test_images_of_another_size_resample_the_encodings(size, class_token):
    pool = {"class_token": class_token, "global_pool": "token" if class_token else "avg"}
    model = build(dynamic_img_size=True, **pool)
    N = size[0] * size[1] // 16 + class_token
    assert model.attention_maps(size).shape == (3, 3, N, N)
    assert model(images(2, *size)).shape == (2, 5)
    if size == (8, 32):  # as many tokens as in (32, 8), elsewhere
        assert not torch.allclose(model.attention_maps(size), model.attention_maps((32, 8)))


def test_resampled_encodings_are_those_of_a_resized_model():
    model = build(dynamic_img_size=True)
    x = images(2, 24)
    resized = build()
    resized.load_state_dict(model.state_dict())
    resized.set_input_size((24, 24))
    torch.testing.assert_close(resized(x), model(x))
    assert resized.attention_maps().shape == (3, 3, 37, 37)


def test_an_image_of_the_wrong_size_is_an_error():
    with pytest.raises(AssertionError, match="doesn't match model"):
        build()(images(2, 24))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pos_embed": "none"}, "pos_embed = 'none': pos_embed must be 'learn'"),
        ({"patch_drop_rate": 0.5}, "patch_drop_rate = 0.5: patch_drop_rate must be 0"),
        ({"attn_layer": timm.layers.Attention}, "attn_layer must be PositionalAttention or a sub"),
        ({"attn_layer": ""}, "attn_layer = '': attn_layer must be PositionalAttention"),
        ({"block_fn": ParallelScalingBlock}, "block_fn must be PositionalBlock or a subclass"),
    ],
)
def test_wrong_arguments_of_the_model(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        PositionalVisionTransformer(**(SMALL | change))


def test_masks_are_refused():
    model = build()
    with pytest.raises(ValueError, match="takes no attn_mask"):
        model(images(), attn_mask=torch.zeros(17, 17))
    with pytest.raises(ValueError, match="no is_causal"):
        model(images(), is_causal=True)
    with pytest.raises(ValueError, match="takes no attn_mask"):
        model.forward_intermediates(images(), attn_mask=torch.zeros(17, 17))


# --- what people do with models ------------------------------------------------------------------


def test_state_dict_round_trip_and_exchange_with_the_stock_model(tmp_path):
    model, x = build(), images()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = PositionalVisionTransformer(**SMALL).eval()
    assert not torch.allclose(again(x), model(x))
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(again(x), model(x))
    stock = VisionTransformer(**SMALL)
    stock.load_state_dict(model.state_dict())
    assert [(n, w.shape) for n, w in stock.named_parameters()] == [
        (n, w.shape) for n, w in model.named_parameters()
    ]


def test_copies_are_independent_and_ema_follows():
    model, x = build(), images()
    model(x)  # A forward pass leaves nothing behind that cannot be copied.
    twin = copy.deepcopy(model)
    ema = ModelEmaV3(model, decay=0.5)
    before = model(x)
    with torch.no_grad():
        model.pos_embed.normal_()
    assert torch.equal(twin(x), before)
    assert not torch.allclose(model(x), before)
    ema.update(model)
    torch.testing.assert_close(ema.module.pos_embed, (model.pos_embed + twin.pos_embed) / 2)


@pytest.mark.parametrize("dynamic", [False, True])
def test_autocast_to_bfloat16(dynamic):
    model, x = build(dynamic_img_size=dynamic), images(8)
    exact = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(x)
        F.cross_entropy(rough, torch.zeros(8, dtype=torch.int64)).backward()
    assert rough.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits, so 1/256 relative in each of some ten operations in a row.
    assert (rough - exact).norm() < 0.03 * exact.norm()
    assert torch.isfinite(model.pos_embed.grad).all()
    assert model.pos_embed.grad.dtype == torch.float32


@pytest.fixture
def compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("dynamic", [False, True])
def test_the_model_is_one_graph_forward_and_backward(dynamic):
    model, x = build(dynamic_img_size=dynamic, depth=1), images(4)
    # This backend takes the whole graph and its gradient, and generates no code.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    exact = model(x)
    exact.square().sum().backward()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    found = compiled(x)
    found.square().sum().backward()
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5)
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_code_agrees_with_eager_code():
    layer, x, positions = PositionalAttention(24, 3), torch.randn(2, 7, 24), torch.randn(7, 24)
    with torch.no_grad():
        exact = layer(x, positions)
        torch.testing.assert_close(torch.compile(layer, fullgraph=True)(x, positions), exact)


def test_a_model_wholly_in_bfloat16_runs():
    model = build().to(torch.bfloat16)
    assert model(images().to(torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("intermediate", [False, True])
def test_gradient_checkpointing_changes_nothing(intermediate):
    gradients = []
    model, x = build(), images()
    for enable in (False, True):
        model.zero_grad()
        model.set_grad_checkpointing(enable)
        found = model.forward_intermediates(x)[0] if intermediate else model(x)
        found.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in model.blocks.parameters()])
        gradients[-1].append(model.pos_embed.grad.clone())
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_intermediate_layers_agree_with_the_forward_pass():
    model, x = build(), images()
    final, layers = model.forward_intermediates(x, indices=[0, 2], output_fmt="NLC")
    torch.testing.assert_close(final, model.forward_features(x))
    assert [tuple(layer.shape) for layer in layers] == [(2, 16, 24)] * 2
    torch.testing.assert_close(model.norm(layers[-1]), final[:, 1:])


def test_weight_decay_spares_encodings_and_biases():
    model = build()
    free, decayed = param_groups_weight_decay(
        model, 0.05, no_weight_decay_list=model.no_weight_decay()
    )
    assert decayed["weight_decay"] == 0.05
    ids = {id(weight) for weight in free["params"]}
    assert {id(model.pos_embed), id(model.cls_token), id(model.blocks[0].attn.qkv.bias)} <= ids
    assert id(model.blocks[0].attn.qkv.weight) not in ids
    assert len(free["params"]) + len(decayed["params"]) == len(list(model.parameters()))
    optimizer = create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.7)
    before = [weight.detach().clone() for weight in model.parameters()]
    model(images()).square().sum().backward()
    optimizer.step()
    assert all(
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    )


def test_it_learns_what_position_alone_can_tell():
    # The label is where the bright patch is, in the left or in the right half: content says
    # that it is bright, attention has to say where.
    model = PositionalVisionTransformer(**(SMALL | {"num_classes": 2, "depth": 2})).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def sample(n: int) -> tuple[Tensor, Tensor]:
        x, place = 0.1 * torch.randn(n, 3, 16, 16), torch.randint(0, 16, (n,))
        for image, i in zip(x, place.tolist(), strict=True):
            image[:, 4 * (i // 4) : 4 * (i // 4) + 4, 4 * (i % 4) : 4 * (i % 4) + 4] += 1
        return x, (place % 4 >= 2).long()

    for _ in range(60):
        x, y = sample(64)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    x, y = sample(256)
    assert (model.eval()(x).argmax(dim=1) == y).float().mean() > 0.95


def test_a_loop_of_timms_own_parts_trains_saves_and_resumes(tmp_path):
    model = PositionalVisionTransformer(**SMALL)
    optimizer = create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(optimizer, "cosine", num_epochs=2, warmup_epochs=1)
    ema = ModelEmaV3(model, decay=0.9)
    saver = CheckpointSaver(model, optimizer, model_ema=ema, checkpoint_dir=str(tmp_path))
    numpy_state = np.random.get_state()  # noqa: NPY002 - timm's mixup draws from it
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=5)
    for epoch in range(2):
        x, y = mixup(images(8), torch.randint(0, 5, (8,)))
        loss = SoftTargetCrossEntropy()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        dispatch_clip_grad(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model, step=epoch)
        schedule.step(epoch + 1)
        saver.save_checkpoint(epoch, metric=loss.item())
    np.random.set_state(numpy_state)  # noqa: NPY002
    again = PositionalVisionTransformer(**SMALL)
    fresh = create_optimizer_v2(again, "adamw", lr=1e-3, weight_decay=0.05)
    assert resume_checkpoint(again, str(tmp_path / "last.pth.tar"), fresh, log_info=False) == 2
    x = images()
    assert torch.equal(again.eval()(x), model.eval()(x))


# --- names ---------------------------------------------------------------------------------------


def test_the_names_are_listed():
    assert sorted(timm.list_models("*_positional")) == sorted(NAMES)
    assert timm.list_models("*_positional", pretrained=True) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_named_model_has_the_widths_of_the_stock_one(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=7)
        stock = timm.create_model(name.removesuffix("_positional"), num_classes=7)
    assert isinstance(model, PositionalVisionTransformer)
    assert {n: w.shape for n, w in model.state_dict().items()} == {
        n: w.shape for n, w in stock.state_dict().items()
    }


def test_images_are_read_as_for_the_stock_model():
    with torch.device("meta"):
        models = [timm.create_model(f"vit_base_patch16_224{end}") for end in ("", "_positional")]
    stock, ours = map(timm.data.resolve_model_data_config, models)
    assert ours == stock


def test_a_named_model_takes_timms_arguments(tmp_path):
    name = "vit_tiny_patch16_224_positional"
    model = timm.create_model(
        name, img_size=32, num_classes=3, in_chans=1, drop_path_rate=0.1, global_pool="avg"
    )
    x = torch.randn(2, 1, 32, 32)
    expected = model.eval()(x)
    assert expected.shape == (2, 3)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pt")
    options = {"img_size": 32, "num_classes": 3, "in_chans": 1, "global_pool": "avg"}
    again = timm.create_model(name, checkpoint_path=tmp_path / "model.pt", **options)
    assert torch.equal(again.eval()(x), expected)
    features = timm.create_model(name, img_size=32, features_only=True, out_indices=(0, 11))
    assert [tuple(f.shape) for f in features(images(2, 32))] == [(2, 192, 2, 2)] * 2


def test_pretrained_weights_are_refused_by_name():
    with pytest.raises(ValueError, match="vit_small_patch16_224_positional has no pretrained"):
        timm.create_model("vit_small_patch16_224_positional", pretrained=True)


def test_a_checkpoint_at_one_size_loads_at_another(tmp_path):
    name, options = "vit_tiny_patch16_224_positional", {"num_classes": 3}
    model = timm.create_model(name, img_size=32, **options)
    torch.save(model.state_dict(), tmp_path / "small.pt")
    larger = timm.create_model(
        name,
        img_size=64,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "small.pt"), "num_classes": 3},
        **options,
    )
    assert larger.attention_maps().shape[-1] == 17
    assert torch.equal(larger.head.weight, model.head.weight)


def test_a_script_run_through_the_package_knows_the_names(tmp_path, monkeypatch, capsys):
    script = tmp_path / "train.py"
    (tmp_path / "beside.py").write_text("size = 32\n")
    script.write_text(
        "import sys, timm, beside\n"
        "assert __name__ == '__main__'\n"
        "model = timm.create_model(sys.argv[1], img_size=beside.size)\n"
        "print(type(model).__name__, *sys.argv[2:])\n"
    )
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    main([str(script), NAMES[-1], "--more"])
    assert capsys.readouterr().out.split() == ["PositionalVisionTransformer", "--more"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [([], "no script: usage"), (["missing.py"], "no file 'missing.py': usage")],
)
def test_a_missing_script_is_named(arguments, complaint):
    with pytest.raises(SystemExit, match=complaint):
        main(arguments)
