"""Data sets by name, read from small files in the formats that the real ones have on disk.

The files are small, so they have checksums of their own; those of torchvision are replaced.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.utils.data import DataLoader
from torchvision import datasets as tv

from numerics.data.__main__ import main
from numerics.data.sets import NAMES, ImageSet, as_images, as_patches, load_dataset


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


class Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 did, which wrote CIFAR: byte strings, and integers for flags of numpy."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, data: bytes, obj: object) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(obj)

    def save_str(self, obj: str) -> None:
        self._save_string(obj.encode("latin1"), obj)

    def save_bytes(self, obj: bytes) -> None:
        self._save_string(obj, obj)

    def save_bool(self, obj: bool) -> None:
        self.save_long(int(obj))

    dispatch |= {str: save_str, bytes: save_bytes, bool: save_bool}


def python2_pickle(path: Path, entry: dict) -> None:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The module that numpy 1 had; a line of its own in the stream, so no length changes.
    path.write_bytes(buffer.getvalue().replace(b"cnumpy._core", b"cnumpy.core"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which a server on this machine gives its files."""
    folder = tmp_path / "server"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def pictures(seed: int, n: int) -> np.ndarray:
    """Rows as CIFAR has them: 1024 red values, then green, then blue."""
    return np.random.default_rng(seed).integers(0, 256, (n, 3072), dtype=np.uint8)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, kind: type[tv.CIFAR10]) -> None:
    folder = root / kind.base_folder
    key, classes = ("labels", 10) if kind is tv.CIFAR10 else ("fine_labels", 100)
    lists: dict[str, list] = {}
    for seed, part in enumerate(("train_list", "test_list")):
        lists[part] = []
        for k, (name, _) in enumerate(getattr(kind, part)):
            labels = [(3 * i + k) % classes for i in range(4)]
            entry = {"data": pictures(10 * seed + k, 4), key: labels}
            python2_pickle(folder / name, entry)
            lists[part].append([name, md5(folder / name)])
    meta = dict(kind.meta)
    python2_pickle(folder / meta["filename"], {meta["key"]: [f"c{i}" for i in range(classes)]})
    meta["md5"] = md5(folder / meta["filename"])
    for name, value in (*lists.items(), ("meta", meta)):
        monkeypatch.setattr(kind, name, value)


@pytest.mark.parametrize(
    ("name", "kind", "batches", "classes"),
    [("cifar10", tv.CIFAR10, 5, 10), ("cifar100", tv.CIFAR100, 1, 100)],
)
def test_cifar(name, kind, batches, classes, tmp_path, monkeypatch):
    write_cifar(tmp_path, monkeypatch, kind)
    splits = load_dataset(name, tmp_path)
    assert (splits.classes, splits.channels, splits.side) == (classes, 3, 32)
    assert (len(splits.train), len(splits.test)) == (4 * batches, 4)
    written = np.concatenate([pictures(k, 4) for k in range(batches)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(splits.train.pixels.numpy(), written)
    assert np.array_equal(splits.test.pixels.numpy(), pictures(10, 4).reshape(-1, 3, 32, 32))
    assert splits.test.labels.tolist() == [0, 3, 6, 9]
    images, _ = splits.train.batch(torch.arange(4 * batches))
    torch.testing.assert_close(images.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    # The test part is standardized by the training part, not by itself.
    assert torch.equal(splits.test.mean, splits.train.mean)


def test_cifar_is_fetched_once_on_request(server, tmp_path, monkeypatch):
    (folder, address), root = server, tmp_path / "root"
    write_cifar(tmp_path, monkeypatch, tv.CIFAR10)
    archive = folder / tv.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / tv.CIFAR10.base_folder, tv.CIFAR10.base_folder)
    monkeypatch.setattr(tv.CIFAR10, "url", f"{address}/{archive.name}")
    monkeypatch.setattr(tv.CIFAR10, "tgz_md5", md5(archive))
    with pytest.raises(FileNotFoundError):
        load_dataset("cifar10", root)
    assert len(load_dataset("cifar10", root, download=True).train) == 20
    archive.unlink()
    assert len(load_dataset("cifar10", root, download=True).train) == 20
    assert len(load_dataset("cifar10", root).test) == 4


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch, address: str = "") -> np.ndarray:
    # As in the real file, images lie along the last axis and the digit 0 has the label 10.
    X = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    y = np.array([[1], [9], [10], [2], [10]], dtype=np.uint8)
    lists = {}
    for part in ("train", "test"):
        savemat(root / f"{part}_32x32.mat", {"X": X, "y": y})
        path = root / f"{part}_32x32.mat"
        lists[part] = [f"{address}/{path.name}", path.name, md5(path)]
    monkeypatch.setattr(tv.SVHN, "split_list", lists)
    return X


def test_svhn(tmp_path, monkeypatch):
    X = write_svhn(tmp_path, monkeypatch)
    splits = load_dataset("svhn", tmp_path)
    assert (splits.classes, splits.channels, splits.side) == (10, 3, 32)
    assert np.array_equal(splits.train.pixels.numpy(), X.transpose(3, 2, 0, 1))
    assert splits.test.labels.tolist() == [1, 9, 0, 2, 0]


def write_imagenet(root: Path, classes: dict[str, list[str]]) -> None:
    for part, names in classes.items():
        for k, name in enumerate(names):
            folder = root / "imagenet" / part / name
            folder.mkdir(parents=True)
            for i in range(2):
                colour = (100 * k, 50 * i, 10)
                Image.new("RGB", (300, 260), colour).save(folder / f"{name}_{i}.JPEG")


def test_imagenet(tmp_path):
    names = ["n01440764", "n01443537"]
    write_imagenet(tmp_path, {"train": names, "val": names})
    splits = load_dataset("imagenet", tmp_path)
    assert (splits.classes, splits.channels, splits.side) == (2, 3, 224)
    image, label = splits.test[3]
    assert image.shape == (3, 224, 224)
    assert label == 1
    # A red of 100 of 255, in timm's standard units for ImageNet.
    assert image[0].mean().item() == pytest.approx((100 / 255 - 0.485) / 0.229, abs=0.05)
    with torch.random.fork_rng(devices=[]):
        assert splits.train[0][0].shape == (3, 224, 224)


def test_imagenet_with_a_part_or_a_class_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*train: ImageNet cannot be downloaded"):
        load_dataset("imagenet", tmp_path, download=True)
    write_imagenet(tmp_path, {"train": ["a", "b"]})
    with pytest.raises(FileNotFoundError, match="no folder .*val"):
        load_dataset("imagenet", tmp_path)
    write_imagenet(tmp_path, {"val": ["a", "c"]})
    with pytest.raises(ValueError, match="2 classes in .* differently named"):
        load_dataset("imagenet", tmp_path)


def test_digits():
    splits = load_dataset("digits")
    assert (splits.classes, splits.channels, splits.side) == (10, 1, 8)
    assert sorted(set(splits.train.labels.tolist())) == list(range(10))
    images, labels = next(iter(DataLoader(splits.train, 32, generator=torch.Generator())))
    assert images.shape == (32, 1, 8, 8)
    assert labels.dtype == torch.int64
    assert torch.isfinite(images).all()


@pytest.mark.parametrize("name", ["structured", "gaussian-convolution"])
def test_a_drawn_set_knows_its_law(name, monkeypatch):
    monkeypatch.setattr("numerics.data.sets.DRAWN", {"train": 300, "test": 50})
    splits, again = load_dataset(name), load_dataset(name)
    assert (splits.classes, splits.channels, splits.side) == (2, 1, 24)
    assert (len(splits.train), len(splits.test)) == (300, 50)
    assert torch.equal(splits.train.pixels, again.train.pixels)
    assert not torch.equal(splits.train.pixels[:50], splits.test.pixels)
    images, _ = splits.train.batch(torch.arange(300))
    assert images.mean().abs() < 1e-5
    assert images.std().item() == pytest.approx(1, abs=1e-4)

    X = as_patches(splits.test.pixels, 4)
    law, y = splits.law, 2 * splits.test.labels - 1
    assert X.shape == (50, 36, law.d)
    x = X @ law.w_star
    if name == "gaussian-convolution":
        assert torch.equal((x**3).sum(dim=1).sign(), y.float())
    else:  # some set is y throughout
        by_set = x[:, torch.tensor(law.partition.sets)]
        torch.testing.assert_close(
            (by_set * y[:, None, None]).amin(dim=-1).amax(dim=-1), torch.ones(50)
        )


def test_patches_and_images():
    X = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0))
    images = as_images(X)
    assert torch.equal(images[1, 0, 2:4, 4:6].flatten(), X[1, 5])
    assert torch.equal(as_patches(images, 2), X)
    with pytest.raises(ValueError, match="D and d must be squares"):
        as_images(X[:, :8])
    with pytest.raises(ValueError, match="patch = 4: patch must divide the side 6"):
        as_patches(images, 4)


def test_photos(monkeypatch):
    monkeypatch.setattr("numerics.data.sets.PHOTO_CROPS", {"train": 60, "test": 30})
    splits, again = load_dataset("photos"), load_dataset("photos")
    assert (splits.classes, splits.channels, splits.side) == (16, 1, 32)
    assert (len(splits.train), len(splits.test)) == (60, 30)
    assert torch.equal(splits.train.pixels, again.train.pixels)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_a_missing_set_names_the_command_that_fetches_it(name, tmp_path):
    expected = f"python -m numerics.data {name} --root {tmp_path} --download"
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset(name, tmp_path)
    assert expected in str(caught.value)


def test_the_named_command_fetches(server, tmp_path, monkeypatch, capsys):
    folder, address = server
    write_svhn(folder, monkeypatch, address)
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("svhn", tmp_path / "root")
    command = str(caught.value).splitlines()[-1].split()
    assert command[:3] == ["python", "-m", "numerics.data"]
    main(command[3:])
    assert capsys.readouterr().out.endswith(
        "svhn: 5 images to train, 5 to test, 10 classes, 3 × 32 × 32\n"
    )
    assert len(load_dataset("svhn", tmp_path / "root").train) == 5


def test_the_command_fails_without_the_files(tmp_path):
    with pytest.raises(SystemExit, match="data set 'svhn' is not in"):
        main(["svhn", "--root", str(tmp_path)])


def test_damaged_files_are_an_error(tmp_path, monkeypatch):
    write_cifar(tmp_path, monkeypatch, tv.CIFAR10)
    damaged = tmp_path / tv.CIFAR10.base_folder / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(FileNotFoundError, match="or its files are damaged"):
        load_dataset("cifar10", tmp_path)


def test_a_file_that_the_server_lacks_is_an_error(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tv.CIFAR10, "url", f"{server[1]}/away.tar.gz")
    with pytest.raises(ConnectionError, match="'cifar10' could not be downloaded to .*404"):
        load_dataset("cifar10", tmp_path / "root", download=True)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError, match="dataset = 'mnist': dataset must be one of structured, gaussian"
    ):
        load_dataset("mnist")
    drawn, downloaded = {"structured", "gaussian-convolution"}, {"cifar10", "cifar100", "svhn"}
    assert set(NAMES) == drawn | {"digits", "photos", "imagenet"} | downloaded


def test_an_image_set_moves_and_checks_its_shapes():
    pixels, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)
    images = ImageSet(pixels, labels, torch.zeros(3), torch.ones(3))
    moved = images.to("meta")
    assert moved.pixels.device.type == moved.labels.device.type == "meta"
    image, label = images[2]
    assert (image.shape, image.dtype, label) == ((3, 8, 8), torch.float32, 2)
    for wrong in (
        (pixels[0], labels, torch.zeros(3), torch.ones(3)),
        (pixels, labels[:3], torch.zeros(3), torch.ones(3)),
        (pixels, labels, torch.zeros(1), torch.ones(1)),
    ):
        with pytest.raises(ValueError, match="ImageSet.pixels of shape"):
            ImageSet(*wrong)
