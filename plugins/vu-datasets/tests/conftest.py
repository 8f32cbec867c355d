"""Small copies of the data sets, in the form in which they are published."""

from __future__ import annotations

import gzip
import json
import struct
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vu_core.protocols import read_protocol

PEOPLE = {"George_W_Bush": 30, "Tony_Blair": 12, "Laura_Bush": 11, "Aaron_Eckhart": 1}
WORDNET = ("n01440764", "n02102040", "n03888257")
THEMES = ("Van_Gogh", "Seed_Images", "Techno")


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (shade % 256, 7, 200)).save(path)


def write_lfw(root: Path, people: dict[str, int] = PEOPLE) -> None:
    for name, count in people.items():
        for number in range(1, count + 1):
            picture(root / "lfw" / name / f"{name}_{number:04d}.jpg", number)


def write_imagenette(root: Path) -> None:
    for part, count in (("train", 20), ("val", 4)):
        for label in WORDNET:
            for number in range(count):
                picture(root / part / label / f"{label}_{number}.JPEG", number)
    (root / "noisy_imagenette.csv").write_text("path,noisy_labels_0\n")


def write_unlearncanvas(root: Path) -> None:
    for style in THEMES:
        for shown in ("Cats", "Dogs"):
            for number in range(1, 11):
                picture(root / style / shown / f"{number}.jpg", number)


def write_coco(root: Path, parts: tuple[str, ...] = ("train", "val")) -> None:
    for part in parts:
        images, captions = [], []
        for number in range(1, 9):
            name = f"COCO_{part}2014_{number:012d}.jpg"
            picture(root / f"{part}2014" / name, number)
            images.append({"id": number, "file_name": name, "date_captured": f"2013-11-{20 - number:02d} 11:18:45"})
            for of in (2, 1):
                captions.append({"id": 10 * number + of, "image_id": number, "caption": f"Caption {of} of {number}.\n"})
        file = root / "annotations" / f"captions_{part}2014.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"info": {}, "images": images, "annotations": captions}))


def write_images(root: Path) -> None:
    lines = []
    for number in range(40):
        what, style = ("cat", "dog")[number % 2], ("oil", "ink")[number // 20]
        picture(root / f"{number}.png", number)
        lines.append({"file_name": f"{number}.png", "text": f"a {what}", "label": what, "style": style, "year": number})
    (root / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def pixels(count: int, *shape: int) -> np.ndarray:
    """Pictures that all differ: the first pixel counts them."""
    found = np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
    found.reshape(count, -1)[:, 0] = np.arange(count)
    return found


def write_fashion_mnist(root: Path, *, compress: bool = True) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", 40), ("t10k", 20)):
        for kind, content in (("images-idx3", pixels(count, 28, 28)), ("labels-idx1", np.arange(count) % 10)):
            header = struct.pack(f">HBB{content.ndim}I", 0, 8, content.ndim, *content.shape)
            data = header + content.astype(np.uint8).tobytes()
            name = f"{stem}-{kind}-ubyte"
            (root / (f"{name}.gz" if compress else name)).write_bytes(gzip.compress(data) if compress else data)


def write_cifar(folder: Path, files: dict[str, int], *classes: int) -> None:
    """Records of a label byte for each number of classes, then red, green and blue planes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in files.items():
        labels = np.stack([np.arange(count) % number for number in classes], axis=1).astype(np.uint8)
        (folder / name).write_bytes(np.concatenate([labels, pixels(count, 3 * 32 * 32)], axis=1).tobytes())


def write_cifar10(root: Path) -> None:
    files = {f"data_batch_{part}.bin": 10 for part in range(1, 6)} | {"test_batch.bin": 20}
    write_cifar(root / "cifar-10-batches-bin", files, 10)


def write_cifar100(root: Path) -> None:
    write_cifar(root, {"train.bin": 200, "test.bin": 100}, 20, 100)


def write_svhn(root: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="scipy is not installed")
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 30), ("test", 20)):
        labels = np.arange(1, count + 1, dtype=np.uint8)[:, None] % 10
        labels[labels == 0] = 10
        images = pixels(count, 32, 32, 3).transpose(1, 2, 3, 0)
        scipy_io.savemat(root / f"{part}_32x32.mat", {"X": images, "y": labels})


@pytest.fixture(scope="session")
def copies(tmp_path_factory) -> Path:
    """A data folder with a small copy of every data set."""
    root = tmp_path_factory.mktemp("data")
    write_lfw(root / "lfw")
    write_imagenette(root / "imagenette")
    write_unlearncanvas(root / "unlearncanvas")
    write_coco(root / "coco-captions")
    write_images(root / "images")
    write_fashion_mnist(root / "fashion-mnist")
    write_cifar10(root / "cifar10")
    write_cifar100(root / "cifar100")
    write_svhn(root / "svhn")
    return root


@pytest.fixture(scope="session")
def asked_for(copies, tmp_path_factory) -> Path:
    """The copies, with all the people whom lfw-identity@1 draws."""
    root = tmp_path_factory.mktemp("asked-for")
    for folder in copies.iterdir():
        if folder.name != "lfw":
            (root / folder.name).symlink_to(folder)
    protocol = read_protocol(Path(str(files("vu_datasets") / "protocols/lfw-identity-1.toml")))
    write_lfw(root / "lfw", {name.replace(" ", "_"): 10 for name in protocol.grid["person"]})
    return root


@pytest.fixture
def data_dir(copies, monkeypatch) -> Path:
    """The copies, where vu looks for data."""
    monkeypatch.setenv("VU_DATA_DIR", str(copies))
    return copies


@pytest.fixture
def empty_dir(tmp_path, monkeypatch) -> Path:
    """A data folder with nothing in it."""
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path / "empty"))
    return tmp_path / "empty"


@pytest.fixture
def make() -> SimpleNamespace:
    """What makes such copies, a picture or a data set at a time."""
    return SimpleNamespace(picture=picture, coco=write_coco, fashion_mnist=write_fashion_mnist, cifar=write_cifar)
