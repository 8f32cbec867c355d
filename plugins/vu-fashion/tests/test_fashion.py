"""The clothes, their model and the retrained ones: what the README says of them is what they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from vu_fashion.config import FashionOptions
from vu_fashion.dataset import CLASSES, EACH, Fashion
from vu_fashion.make import ASSETS, wanted
from vu_fashion.pictures import write_pictures

import vu_core as vu
from vu_core.editfiles import read_edit

SOURCE = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def fashion():
    return Fashion(FashionOptions(samples=0.1))


@pytest.fixture(scope="module")
def model():
    return vu.load_model("fashion", device="cpu")


def read(pictures) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.stack([one.read() for one in pictures]).float() / 255
    return images, torch.tensor([CLASSES.index(one.attributes["class"]) for one in pictures])


def accuracy(model, pictures) -> float:
    images, labels = read(pictures)
    return 100 * float((model.classify(images).logits.argmax(1) == labels).float().mean())


def test_splits_hold_each_class_alike(fashion):
    learned = [*fashion.pictures("train"), *fashion.pictures("validation")]
    assert Counter(one.attributes["class"] for one in learned) == dict.fromkeys(CLASSES, EACH["train"])
    assert Counter(one.attributes["class"] for one in fashion.pictures("test")) == dict.fromkeys(CLASSES, EACH["test"])
    assert len(fashion.pictures("validation")) == 1013 and not fashion.pictures("membership")


@pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{SOURCE} is not there")
def test_the_pictures_are_the_source_s(tmp_path):
    write_pictures(SOURCE, tmp_path)
    from PIL import Image

    assert (tmp_path / "labels.json").read_text() == (ASSETS / "labels.json").read_text()
    for part in ("train.png", "test.png"):
        assert np.array_equal(np.array(Image.open(tmp_path / part)), np.array(Image.open(ASSETS / part)))


def test_the_model_is_as_accurate_as_it_says(model, fashion):
    told = json.loads((ASSETS / "model" / "vu_training.json").read_text())["measured"]
    for split in ("validation", "test"):
        # Another processor may settle a picture on the border between two classes otherwise.
        assert accuracy(model, fashion.pictures(split)) == pytest.approx(told[f"accuracy on {split}"]["value"], abs=0.2)


@pytest.mark.parametrize("forget", ["Trouser", "samples:random"])
def test_retrained_models_never_learned_what_they_forgot(model, fashion, forget):
    files = sorted((ASSETS / "retrained").glob(f"{forget.replace(':', '-')}-*.safetensors"))
    known = {f"{one.replace(':', '-')}-{seed}.safetensors" for one, _, seed in wanted() if one == forget}
    assert {file.name for file in files} == known and len(known) == 5
    edit = read_edit(files[0])
    assert edit.unlearner == "retrain" and {tensor.dtype for tensor in edit.tensors.values()} == {torch.float16}
    test = fashion.pictures("test")
    with edit.applied(model):
        if forget == "Trouser":
            assert accuracy(model, [one for one in test if one.attributes["class"] == forget]) == 0
            assert accuracy(model, [one for one in test if one.attributes["class"] != forget]) > 85
        else:
            chosen = [one for one in fashion.pictures("train") if "samples" in one.attributes]
            others = [one for one in fashion.pictures("train") if "samples" not in one.attributes][: len(chosen)]
            assert len(chosen) == 924 and 85 < accuracy(model, chosen) < accuracy(model, others) - 2
