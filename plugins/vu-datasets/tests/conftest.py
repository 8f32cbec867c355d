"""Small copies of the data sets, in the form in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

PEOPLE = {"George_W_Bush": 30, "Tony_Blair": 12, "Laura_Bush": 11, "Aaron_Eckhart": 1}
WORDNET = ("n01440764", "n02102040", "n03888257")
THEMES = ("Van_Gogh", "Seed_Images", "Techno")


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (shade % 256, 7, 200)).save(path)


def write_lfw(root: Path) -> None:
    for name, count in PEOPLE.items():
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


@pytest.fixture(scope="session")
def copies(tmp_path_factory) -> Path:
    """A data folder with a small copy of every data set."""
    root = tmp_path_factory.mktemp("data")
    write_lfw(root / "lfw")
    write_imagenette(root / "imagenette")
    write_unlearncanvas(root / "unlearncanvas")
    write_coco(root / "coco-captions")
    write_images(root / "images")
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
    return SimpleNamespace(picture=picture, coco=write_coco)
