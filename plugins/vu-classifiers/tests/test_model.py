"""A classifier's folder: read lazily, answered from, edited, and refused where it is damaged."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from vu_classifiers.model import load

from vu_core import ComputeError, ConfigError, Edit, ModelError
from vu_core.merging import write_merged
from vu_core.models import plan_model
from vu_core.registry import Registry

from .conftest import CLASSES, describe


def test_answers_are_those_of_the_component(folder):
    model = load(str(folder(describe(mean=(0.5,) * 3, std=(0.25,) * 3))))
    assert (model.kind, model.classes, model.picture_size, model.family) == ("object", CLASSES, (8, 8), "classifier")
    images = torch.rand(300, 3, 8, 8)
    answers = model.classify(images)
    network = model.component("classifier")
    assert not any(one.requires_grad for one in network.parameters()) and not network.training
    assert torch.allclose(network(images), answers.logits, atol=1e-6)
    assert answers.features.shape == (300, 64) and answers.names == CLASSES
    layer = network[-1]
    assert torch.allclose(answers.features @ layer.weight.T + layer.bias, answers.logits, atol=1e-6)
    assert not layer._forward_pre_hooks


def test_nothing_heavy_is_built_before_it_is_needed(folder, monkeypatch):
    model = load(str(folder()))
    monkeypatch.setattr("vu_classifiers.architectures.build", lambda *args, **kwargs: pytest.fail("built"))
    assert model.tensor("classifier", "1.weight").shape == (64, 192)
    assert model.tensor_names("classifier") == ["1.bias", "1.weight", "3.bias", "3.weight"]
    assert len(model.fingerprint()) == 64


def test_the_fingerprint_is_of_weights_and_description(folder):
    where = folder()
    first = load(str(where)).fingerprint()
    (where / "notes.txt").write_text("nothing")
    assert load(str(where)).fingerprint() == first
    describe(mean=(0.5,) * 3).write(where)
    second = load(str(where)).fingerprint()
    weights = where / "classifier" / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, weights)
    assert len({first, second, load(str(where)).fingerprint()}) == 3


def test_types_to_compute_in(folder):
    where = str(folder())
    images = torch.rand(4, 3, 8, 8)
    exact = load(where).classify(images).logits
    half = load(where, dtype="bfloat16")
    assert half.classify(images).logits.dtype == torch.float32
    assert 0 < (half.classify(images).logits - exact).abs().max() < 0.05
    with pytest.raises(ConfigError, match="dtype 'int8' is not supported"):
        load(where, dtype="int8")


def test_a_copy_is_a_whole_network(folder):
    model = load(str(folder(describe(std=(0.5,) * 3))))
    images = torch.rand(2, 3, 8, 8)
    twin = copy.deepcopy(model.component("classifier"))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
        assert not twin(images).any() and model.classify(images).logits.any()


def test_training_can_begin_again(folder):
    model = load(str(folder(recipe={"epochs": 3, "seed": 3})))
    assert model.recipe() == {"epochs": 3, "seed": 3}
    stored = model.component("classifier").state_dict()
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.fresh(3).state_dict().items())
    assert not torch.equal(stored["1.weight"], model.fresh(4).state_dict()["1.weight"])
    assert all(one.requires_grad for one in model.fresh(3).parameters())


def test_a_model_that_does_not_say_how_it_was_trained(folder):
    with pytest.raises(ModelError, match=r"no vu_training.json with a 'recipe'.*vu train"):
        load(str(folder())).recipe()


def test_a_merged_folder_is_a_model_with_the_edit_in_it(folder, tmp_path):
    model = load(str(folder(describe(architecture="resnet20", arguments={"width": 2}))))
    images = torch.rand(2, 3, 8, 8)
    edit = Edit.dense({"classifier.fc.bias": model.tensor("classifier", "fc.bias") + 1.0})
    with edit.applied(model):
        edited = model.classify(images).logits
    assert write_merged(model, [edit], tmp_path / "merged") == 1
    assert torch.equal(load(str(tmp_path / "merged")).classify(images).logits, edited)


def test_folders_are_recognised_by_what_they_hold(folder):
    assert plan_model(str(folder()), Registry.discover()).loader.spec.name == "classifier"


def test_images_of_another_shape_are_refused(folder):
    model = load(str(folder()))
    for images in (torch.rand(2, 3, 9, 8), torch.rand(2, 1, 8, 8), torch.rand(3, 8, 8)):
        with pytest.raises(ComputeError, match="reads images of 3 x 8 x 8"):
            model.classify(images)


def test_weights_that_are_not_finite_are_named(folder):
    where = folder()
    weights = where / "classifier" / "model.safetensors"
    save_file({name: tensor * float("nan") for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(ComputeError, match="are not finite"):
        load(str(where)).classify(torch.rand(1, 3, 8, 8))


def _without(name):
    return lambda values: values.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(classes=["cat", "cat", "fox"]), "of different names"),
        (lambda values: values.update(std=[1, 0, 1]), "option 'std' cannot be"),
        (lambda values: values.update(colour="red"), "unknown option 'colour'"),
        (_without("classes"), "option 'classes' is required"),
        (lambda values: values.update(classes=["cat", "dog"]), r"not of the architecture.*size mismatch"),
    ],
)
def test_a_description_that_does_not_fit(folder, change, message):
    where = folder()
    values = json.loads((where / "vu_classifier.json").read_text())
    change(values)
    (where / "vu_classifier.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match=message):
        load(str(where)).component("classifier")


def test_folders_that_are_no_models(folder, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load(str(tmp_path / "absent"))
    where = folder()
    with pytest.raises(ModelError, match="A folder has no revisions"):
        load(str(where), revision="main")
    with pytest.raises(ModelError, match=r"has no component 'unet'\. It has: classifier"):
        load(str(where)).component("unet")
    (where / "classifier" / "model.safetensors").rename(where / "classifier" / "model.bin")
    with pytest.raises(ModelError, match="reading a pickle can run any code"):
        load(str(where))
