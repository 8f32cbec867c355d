"""Training: the same weights again, after an interruption, and from the recipe; what is measured; what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from vu_classifiers.architectures import TRUST_VARIABLE
from vu_classifiers.config import TrainOptions
from vu_classifiers.model import load
from vu_classifiers.train import train
from vu_train.classifying import train_on
from vu_train.labelled import read_labelled
from vu_train.settings import ClassifierSettings

from vu_core import Concept, ConfigError, ModelError, RequestError, RunError
from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.testing import FakeDataset

OPTIONS = {"architecture": "resnet20", "width": 2, "epochs": 4, "batch_size": 5}
OBJECTS, STYLES = 6, 3


def options(**given: object) -> TrainOptions:
    return validate(TrainOptions, {**OPTIONS, **given})


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "classifier" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(folder, seed: int = 0, dataset=None, **given: object) -> dict[str, object]:
    return train(dataset or FakeDataset(), options(**given), RunContext(out_dir=folder, seed=seed))


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        trained(tmp_path / name, seed)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    # Whole and alone: no checkpoint is left.
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"classifier", "vu_classifier.json"}


def test_a_training_that_is_stopped_goes_on_to_the_same_weights(tmp_path):
    trained(tmp_path / "whole")

    def stop(step, values):
        if step == 3:
            raise KeyboardInterrupt

    ctx = RunContext(out_dir=tmp_path / "stopped", log=stop)
    with pytest.raises(KeyboardInterrupt):
        train(FakeDataset(), options(), ctx)
    steps = []
    train(FakeDataset(), options(), replace(ctx, log=lambda step, values: steps.append(step)))
    assert steps == [3, 4]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


def test_the_recipe_and_the_seed_give_the_model_again(tmp_path):
    """Retraining with nothing left out is the original, bit for bit."""
    (tmp_path / "model").mkdir()
    told = trained(tmp_path / "model", 7)
    model = load(str(tmp_path / "model"))
    recipe = dict(told["recipe"])
    ctx = RunContext(out_dir=tmp_path / "again", seed=recipe.pop("seed"))
    network = model.fresh(ctx.seed)
    images = read_labelled(FakeDataset().pictures("train"), model.kind, model.classes, model.picture_size, ctx)
    train_on(network, images, validate(ClassifierSettings, recipe), ctx)
    assert ctx.seed == 7 and same(network.state_dict(), weights(tmp_path / "model"))


def test_what_is_measured_is_what_the_loaded_model_answers(tmp_path):
    told = trained(tmp_path, kind="style", epochs=8)
    model = load(str(tmp_path))
    assert model.kind == "style" and model.classes == ("sketch", "pastel", "mosaic")
    for split in ("train", "validation", "test"):
        pictures = FakeDataset().pictures(split)
        answers = model.classify(torch.stack([one.read() for one in pictures]).float() / 255)
        right = [answers.names[place] for place in answers.logits.argmax(1)]
        share = 100 * np.mean([name == one.attributes["style"] for name, one in zip(right, pictures, strict=True)])
        found = told["measured"][f"accuracy on {split}"]
        assert found["value"] == pytest.approx(share) and found["n"] == OBJECTS * STYLES
        assert found["interval"][0] <= share <= found["interval"][1]


def test_pictures_are_normalised_by_their_own_mean_and_deviation(tmp_path):
    trained(tmp_path / "own", epochs=0)
    trained(tmp_path / "given", epochs=0, mean=[0.5, 0.5, 0.5], std=[1, 2, 4])
    pixels = np.stack([one.read().numpy() for one in FakeDataset().pictures("train")]) / 255
    own = load(str(tmp_path / "own"))._source.description
    assert own.mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-4)
    assert own.std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-4)
    given = load(str(tmp_path / "given"))._source.description
    assert (given.mean, given.std) == ((0.5, 0.5, 0.5), (1.0, 2.0, 4.0))


def test_a_network_of_one_s_own_is_trained_where_the_user_names_it(tmp_path, monkeypatch):
    module = ModuleType("own_networks")
    module.linear = lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(192, outputs))
    monkeypatch.setitem(sys.modules, "own_networks", module)
    trained(tmp_path, architecture="own_networks:linear", width=None, arguments='{"outputs": 6}')
    with pytest.raises(ModelError, match="which no file may decide"):
        load(str(tmp_path)).component("classifier")
    monkeypatch.setenv(TRUST_VARIABLE, "own_networks:linear")
    assert load(str(tmp_path)).classify(torch.rand(2, 3, 8, 8)).logits.shape == (2, 6)


class Single(FakeDataset):
    def concepts(self):
        return [Concept(name="cat", kind="object")]


class Nameless(FakeDataset):
    def concepts(self):
        return []


class Idle(FakeDataset):
    def pictures(self, split):
        return [] if split == "train" else super().pictures(split)


class Black(FakeDataset):
    def pictures(self, split):
        return [replace(one, load=lambda: torch.zeros(3, 8, 8, dtype=torch.uint8)) for one in super().pictures(split)]


class Uneven(FakeDataset):
    def pictures(self, split):
        first, *others = super().pictures(split)
        return [first, *(replace(one, load=lambda: torch.zeros(3, 8, 9, dtype=torch.uint8)) for one in others)]


@pytest.mark.parametrize(
    ("dataset", "given", "error", "message"),
    [
        (FakeDataset(), {"kind": "person"}, ConfigError, "'person' names 0 concepts.*Its kinds: object, style"),
        (Single(), {}, ConfigError, "'object' names 1 concepts, and two are needed"),
        (Nameless(), {}, ConfigError, "it names no concepts"),
        (Idle(), {}, ConfigError, "no pictures to learn from"),
        (Black(), {}, ConfigError, "a colour that never changes.*std=1,1,1"),
        (Uneven(), {}, RequestError, r"has the shape \(3, 8, 9\)"),
        (FakeDataset(), {"architecture": "vgg16-bn"}, ModelError, "too small, it takes 32"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FakeDataset) else "",
)
def test_what_cannot_be_trained_is_refused_with_the_reason(tmp_path, dataset, given, error, message):
    with pytest.raises(error, match=message):
        trained(tmp_path, dataset=dataset, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"arguments": "{"}, "arguments is no JSON"), ({"arguments": "[1]"}, "a JSON object is needed")],
)
def test_options_that_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        options(**given)


def test_other_settings_do_not_continue_a_training(tmp_path):
    def stop(step, values):
        if step == 2:
            raise KeyboardInterrupt

    ctx = RunContext(out_dir=tmp_path, log=stop)
    with pytest.raises(KeyboardInterrupt):
        train(FakeDataset(), options(), ctx)
    with pytest.raises(RunError, match="belong to another training; what differs: settings"):
        train(FakeDataset(), options(learning_rate=0.2), ctx)
