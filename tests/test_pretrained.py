"""Encodings read back from checkpoints in the formats of timm, torch and training scripts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from typer.testing import CliRunner

from numerics.__main__ import app
from numerics.experiments import figure_1a
from numerics.measure.spatial import spatial_structure
from numerics.models.pretrained import patch_encodings, pretrained_encodings


def network(**options) -> VisionTransformer:
    """A small ViT with 6 × 6 patches whose encodings are known to be spatial."""
    fields = {"img_size": 24, "patch_size": 4, "embed_dim": 8, "depth": 1, "num_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(**(fields | {"num_classes": 3} | options))
    places = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)) / 6
    waves = torch.cat([f(k * places) for k in (1, 2) for f in (torch.sin, torch.cos)], dim=1)
    with torch.no_grad():
        model.pos_embed[0, -36:] = waves
    return model


def write(path: Path, kind: str) -> Path:
    """One file, in the way of timm's releases or of a training script."""
    state = network().state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif kind == "bare":
        torch.save(state, path)
    else:
        wrapped = {f"module.{name}": value for name, value in state.items()}
        torch.save({"epoch": 3, "arch": "vit", kind: wrapped}, path)
    return path


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("model.safetensors", "bare"),
        ("model.pth", "bare"),
        ("pytorch_model.bin", "bare"),
        ("checkpoint-3.pth.tar", "state_dict"),
        ("checkpoint.pth", "model"),
    ],
)
def test_a_file_is_read_back(file, kind, tmp_path):
    P = pretrained_encodings(write(tmp_path / file, kind))
    assert torch.equal(P, network().pos_embed[0, 1:].detach())


def test_timm_reads_the_same_file(tmp_path):
    # The files of these tests are what timm itself takes for a checkpoint.
    for file in ("model.safetensors", "model.pth"):
        model = network()
        with torch.no_grad():
            model.pos_embed.zero_()
        timm.models.load_checkpoint(model, str(write(tmp_path / file, "bare")))
        assert torch.equal(model.pos_embed, network().pos_embed)


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ({}, 1),
        ({"no_embed_class": True}, 0),
        ({"class_token": False, "global_pool": "avg"}, 0),
        ({"reg_tokens": 4}, 5),
        ({"reg_tokens": 4, "no_embed_class": True}, 0),
    ],
)
def test_rows_before_the_patches_are_left_out(options, prefix):
    model = network(**options)
    assert model.pos_embed.shape[1] == 36 + prefix
    assert torch.equal(patch_encodings(model.state_dict()), model.pos_embed[0, prefix:])


def test_a_real_size():
    with torch.random.fork_rng(devices=[]):
        state = timm.create_model("vit_base_patch16_224", depth=1).state_dict()
    assert state["pos_embed"].shape == (1, 197, 768)
    P = patch_encodings(state)
    assert P.shape == (14 * 14, 768)
    assert torch.equal(P, state["pos_embed"][0, 1:])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "there is none"),
        ({"pos_embed": torch.zeros(14, 14, 8)}, r"one of shape \(14, 14, 8\)"),
        ({"pos_embed": torch.zeros(1, 49 - 1, 8)}, "48 rows: they must be a square"),
    ],
)
def test_other_tables_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        patch_encodings(state)


def test_a_file_that_is_missing_or_damaged(tmp_path):
    for name in ("away.pth", str(tmp_path / "away.safetensors"), "folder/away"):
        with pytest.raises(FileNotFoundError, match="there is no checkpoint file .*away"):
            pretrained_encodings(name)
    for name in ("cut.pth", "cut.safetensors"):
        whole = write(tmp_path / f"whole{Path(name).suffix}", "bare").read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="is not a checkpoint that timm can read"):
            pretrained_encodings(tmp_path / name)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="checkpoint = 'vit_nothing': checkpoint must be a file"):
        pretrained_encodings("vit_nothing")


def test_weights_that_cannot_be_fetched_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "vit_base_patch16_224.augreg_in21k"
    with pytest.raises(ConnectionError) as caught:
        pretrained_encodings(name)
    assert f"timm.create_model('{name}', pretrained=True)" in str(caught.value)
    assert "give the path of a checkpoint file" in str(caught.value)


def test_a_pretrained_name_is_read(monkeypatch):
    asked = []

    def create_model(name, pretrained):
        asked.append((name, pretrained))
        return network()

    monkeypatch.setattr(timm, "create_model", create_model)
    P = pretrained_encodings("vit_small_patch32_224")
    assert asked == [("vit_small_patch32_224", True)]
    assert torch.equal(P, network().pos_embed[0, 1:].detach())


def run(*arguments: object):
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def test_the_command_prints_what_the_file_holds(tmp_path):
    path = write(tmp_path / "model.safetensors", "bare")
    answer = run("figure-1a", "--checkpoint", path, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    expected = spatial_structure(network().pos_embed[0, 1:].detach())
    assert f"{expected.neighbour:.6g}" in answer.output
    assert f"{expected.correlation:.6g}" in answer.output
    assert "patch (3, 3)" in answer.output
    kept = json.loads((tmp_path / "out" / "figure-1a-checkpoint.json").read_text("utf-8"))
    assert kept["configuration"] == {"checkpoint": "model.safetensors"}
    assert str(tmp_path) not in json.dumps(kept)
    assert kept["results"]["side"] == 6
    assert math.isclose(kept["results"]["metrics"]["distant"]["mean"], expected.distant)
    assert kept["results"] == json.loads(json.dumps(figure_1a.from_checkpoint(str(path))))


def test_the_command_says_what_is_wrong(tmp_path):
    for arguments, message in (
        (("figure-1a", "--checkpoint", tmp_path / "away.pth"), "there is no checkpoint file"),
        (("realistic", "--checkpoint", "x.pth"), "those that do: figure-1a"),
    ):
        answer = run(*arguments)
        assert answer.exit_code == 2
        assert message in answer.output.replace("\n", "")
