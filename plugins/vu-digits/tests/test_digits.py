"""The digits, their model and the retrained ones: what the README says of them is what they are."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from vu_digits.config import DigitsOptions
from vu_digits.dataset import Digits
from vu_digits.make import ASSETS, OPTIONS, wanted
from vu_digits.pictures import write_pictures

import vu_core as vu
from vu_core import Request
from vu_core.editfiles import read_edit
from vu_core.files import sha256_of_file
from vu_core.models import resource_path
from vu_core.registry import Registry
from vu_core.retrained import find_others
from vu_core.training import plan_training, train_model


@pytest.fixture(scope="module")
def model():
    return vu.load_model("digits", device="cpu")


@pytest.fixture(scope="module")
def parts():
    """By split, images float32 (N, 3, 8, 8) and labels of the digits."""
    digits = Digits(DigitsOptions())
    return {
        split: (
            torch.stack([one.read() for one in digits.pictures(split)]).float() / 255,
            torch.tensor([int(one.attributes["class"]) for one in digits.pictures(split)]),
        )
        for split in ("train", "validation", "test")
    }


def accuracy(model, images: torch.Tensor, labels: torch.Tensor) -> float:
    return 100 * float((model.classify(images).logits.argmax(1) == labels).float().mean())


def test_the_pictures_are_scikit_learn_s(tmp_path):
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    digits = sklearn.load_digits()
    found = {one.picture.id: one.picture for one in Digits(DigitsOptions()).found()}
    assert len(found) == len(digits.images) == 1797
    for number in range(0, 1797, 97):
        picture = found[f"digit-{number:05d}"]
        assert picture.attributes == {"class": str(digits.target[number])}
        assert np.array_equal(picture.read()[1], np.rint(digits.images[number] * 255 / 16))
    write_pictures(tmp_path)
    assert sha256_of_file(tmp_path / "labels.json") == sha256_of_file(ASSETS / "labels.json")


def test_splits(parts):
    assert {split: len(labels) for split, (_, labels) in parts.items()} == {
        "train": 1084,
        "validation": 116,
        "test": 597,
    }
    counts = Counter(parts["train"][1].tolist())
    assert min(counts.values()) == 94 and max(counts.values()) == 121
    everything = Digits(DigitsOptions(validation=0))
    assert len(everything.pictures("train")) == 1200 and len(everything.pictures("test")) == 597


def test_the_model_is_the_embedded_classifier_and_as_accurate_as_it_says(model, parts):
    told = json.loads((ASSETS / "model" / "vu_training.json").read_text())
    for split, (images, labels) in parts.items():
        assert accuracy(model, images, labels) == pytest.approx(told["measured"][f"accuracy on {split}"]["value"])
    assert accuracy(model, *parts["test"]) > 95
    entries = [entry.spec.name for entry in Registry.discover().entries("model") if entry.spec.embedded]
    assert "digits" in entries


def test_training_gives_the_model_again(tmp_path, model, parts):
    """To the last bits where versions and threads are the same; elsewhere it answers alike."""
    plan = plan_training("classifier", Registry.discover(), dataset="digits", data={}, options=OPTIONS, device="cpu")
    train_model(plan, tmp_path / "model")
    again = vu.load_model(tmp_path / "model", device="cpu")
    images, labels = parts["test"]
    assert abs(accuracy(again, images, labels) - accuracy(model, images, labels)) < 1
    for name in model.tensor_names("classifier"):
        assert torch.allclose(again.tensor("classifier", name), model.tensor("classifier", name), atol=0.05)


def test_every_retrained_model_is_there_and_never_learned_what_it_forgot(model, parts):
    digits = Digits(DigitsOptions(samples=0.1))
    folder = resource_path("vu_digits:assets/retrained")
    images, labels = parts["train"]
    for forget, data, count in wanted():
        concept = next(one for one in digits.concepts() if one.name == forget.rpartition(":")[2])

        data_of = read_edit(_one(folder, forget)).info["data"]
        files = find_others([folder], Request(forget=(concept,)), data_of).retrained
        assert len(files) == count, (forget, data)
        if concept.kind != "class":
            continue
        shown = labels == int(concept.name)
        with read_edit(files[0]).applied(model):
            assert accuracy(model, images[shown], labels[shown]) == 0
            assert accuracy(model, images[~shown], labels[~shown]) > 98


def test_the_data_of_a_retrained_model_are_those_of_its_set_of_samples():
    folder = resource_path("vu_digits:assets/retrained")
    plain, drawn = (read_edit(_one(folder, forget)).info["data"] for forget in ("3", "samples:random"))
    assert plain != drawn and "digits" in json.dumps(plain) and "0.1" in json.dumps(drawn)


def _one(folder, forget: str):
    return sorted(folder.glob(f"{forget.replace(':', '-')}-*.safetensors"))[0]
