"""Folders that transformers wrote: small networks of its own classes, saved and read again."""

from __future__ import annotations

import json

import pytest
import torch
from vu_classifiers.pretrained import load

from vu_core import Edit, ModelError
from vu_core.merging import write_merged
from vu_core.models import plan_model
from vu_core.registry import Registry
from vu_core.testing.cases import Component
from vu_core.testing.checks import models

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

LABELS = {0: "tench", 1: "church", 2: "parachute"}
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.5, 0.2]


@pytest.fixture(scope="module", params=["vit", "resnet"])
def saved(request, tmp_path_factory):
    """A folder, the network in it, and the size of its pictures."""
    where = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    with torch.random.fork_rng():
        if request.param == "vit":
            sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
            config = transformers.ViTConfig(**sizes, image_size=8, patch_size=4, id2label=LABELS)
            network = transformers.ViTForImageClassification(config)
        else:
            config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], id2label=LABELS)
            network = transformers.ResNetForImageClassification(config)
    network.eval().save_pretrained(where)
    pixels = {"size": {"height": 8, "width": 8}, "image_mean": MEAN, "image_std": STD, "do_normalize": True}
    (where / "preprocessor_config.json").write_text(json.dumps({**pixels, "rescale_factor": 1 / 255}))
    return where, network


def test_answers_are_those_of_transformers(saved):
    where, network = saved
    model = load(str(where))
    assert (model.kind, model.classes, model.picture_size) == ("class", tuple(LABELS.values()), (8, 8))
    images = torch.rand(3, 3, 8, 8)
    normalised = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        assert torch.allclose(model.classify(images).logits, network(normalised).logits, atol=1e-5)


def test_it_keeps_the_contract(saved, monkeypatch):
    where, _ = saved
    registry = Registry.discover()
    entry = registry.get("model", "transformers-classifier")
    # Not a format that the kit can write: it is given this folder instead.
    monkeypatch.setattr(models, "_pipeline_folder", lambda: where)
    component = Component(spec=entry.spec, load=entry.load, registry=registry, plugin=entry.plugin)
    for check in (models.check_capabilities, models.check_fingerprint, models.check_answers, models.check_stored):
        check(component)


def test_folders_are_recognised_by_what_they_hold(saved, tmp_path):
    where, _ = saved
    registry = Registry.discover()
    assert plan_model(str(where), registry).loader.spec.name == "transformers-classifier"
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPTextModel"]}')
    with pytest.raises(ModelError, match="is no model folder"):
        plan_model(str(tmp_path), registry)


def test_an_edit_changes_its_answers_in_memory_alone(saved, tmp_path):
    model = load(str(saved[0]))
    name = next(name for name in model.tensor_names("classifier") if name.endswith("bias") and "classifier" in name)
    images = torch.rand(1, 3, 8, 8)
    before = model.classify(images).logits
    with Edit.dense({f"classifier.{name}": model.tensor("classifier", name) + 1.0}).applied(model):
        assert torch.allclose(model.classify(images).logits, before + 1, atol=1e-5)
    assert torch.equal(model.classify(images).logits, before)
    with pytest.raises(ModelError, match="lies in no folder that could be copied"):
        write_merged(model, [], tmp_path / "merged")


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        ({"size": 12}, (12, 12)),
        ({"size": {"shortest_edge": 12}}, (12, 12)),
        ({"size": {"height": 12, "width": 10}}, (12, 10)),
        ({"size": 12, "crop_size": {"height": 10, "width": 10}, "do_center_crop": True}, (10, 10)),
        ({"size": 12, "crop_size": 10, "do_center_crop": False}, (12, 12)),
    ],
)
def test_the_size_of_pictures_is_the_preprocessor_s(saved, tmp_path, pixels, size):
    import shutil

    shutil.copytree(saved[0], tmp_path / "model")
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(pixels))
    assert load(str(tmp_path / "model")).picture_size == size


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("preprocessor_config.json", None, "preprocessor_config.json' is missing"),
        ("preprocessor_config.json", {"size": 8, "do_rescale": False}, r"does not scale pixels to \[0, 1\]"),
        ("config.json", {"architectures": ["ViTForImageClassification"]}, "names no classes"),
        ("config.json", {"id2label": {"0": "cat", "1": "cat"}}, "gives two classes one name"),
    ],
)
def test_what_cannot_be_read_is_refused(saved, tmp_path, file, content, message):
    import shutil

    where = tmp_path / "model"
    shutil.copytree(saved[0], where)
    (where / file).unlink()
    if content is not None:
        (where / file).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message):
        load(str(where))


def test_code_in_a_folder_never_runs(saved, tmp_path):
    import shutil

    where = tmp_path / "model"
    shutil.copytree(saved[0], where)
    config = json.loads((where / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForImageClassification": "mine.Mine"}}
    (where / "config.json").write_text(json.dumps(config))
    (where / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match="cannot be loaded as an image classifier"):
        load(str(where)).component("classifier")
    assert not (tmp_path / "ran").exists()
