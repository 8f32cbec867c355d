"""What all methods keep: which images they read, what they change, small sets, resumption, precision."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from small_worlds import LinearWorld, SmallModel, unlearn
from torch import nn
from vu_classify.gradients import gradient_sum_by_image
from vu_classify.plugin import vu_unlearners
from vu_classify.random_label import random_labels
from vu_train.batches import Batches
from vu_train.classifying import mean_cross_entropy
from vu_train.labelled import LabelledImages

from vu_core import ComputeError, Concept, ModelError, RequestError
from vu_core.context import RunContext
from vu_core.edits import applied, tensor_sha256
from vu_core.testing import FakeDataset
from vu_core.testing.fake_models import FakeClassifier

CAT, DOG = Concept(name="cat"), Concept(name="dog")
METHODS = [spec.name for spec in vu_unlearners()]
TRAINED = sorted({*METHODS} - {"retrain", "ssd", "lfssd", "assd", "jit"})

READS = {
    "retrain": {"retain"},
    "fine-tune": {"retain"},
    "l1-sparse": {"retain"},
    "unsir": {"retain"},
    "ct": {"retain"},
    "gradient-ascent": {"forget"},
    "boundary-shrink": {"forget"},
    "jit": {"forget"},
}
QUICK = {
    "unsir": {"noise_images": 4, "noise_steps": 2, "repeats": 2},
    "ssd": {"selection": 1.0},
    "lfssd": {"selection": 1.0},
}


@pytest.fixture
def ctx(tmp_path):
    return RunContext(out_dir=tmp_path, seed=1)


def options(name, **others):
    return {**({"epochs": 2} if name in TRAINED else {}), **QUICK.get(name, {}), **others}


class Guarded(FakeDataset):
    """Notes which sets are read, and refuses to read the test and membership splits."""

    def __init__(self, forget=CAT):
        self.read, self.forget = set(), forget

    def pictures(self, split):
        return [replace(one, load=lambda one=one: self.note(split, one)) for one in super().pictures(split)]

    def note(self, split, picture):
        assert split in ("train", "validation")
        train = "forget" if picture.shows(self.forget) else "retain"
        self.read.add(train if split == "train" else split)
        return picture.load()


@pytest.mark.parametrize("name", METHODS)
def test_it_reads_what_it_needs_and_nothing_else(ctx, name):
    dataset = Guarded()
    edit = unlearn(name, FakeClassifier(), dataset, ctx, CAT, **options(name))
    assert dataset.read == READS.get(name, {"forget", "retain"})
    assert set(edit.info["pictures"]) == dataset.read
    sizes = {"forget": 3, "retain": 15}
    assert edit.info["pictures"] == {part: sizes[part] for part in dataset.read}


def test_scrub_reads_validation_images_to_rewind_only(ctx):
    dataset = Guarded()
    edit = unlearn("scrub", FakeClassifier(), dataset, ctx, CAT, rewind=True, epochs=2)
    assert dataset.read == {"forget", "retain", "validation"}
    assert edit.info["rewound_to"] in (0, 1, 2)


@pytest.mark.parametrize("name", METHODS)
def test_the_edit_records_what_it_changes(ctx, name):
    model = FakeClassifier()
    edit = unlearn(name, model, FakeDataset(), ctx, CAT, **options(name))
    network = model.component("classifier")
    before, after = dict(network.state_dict()), copy.deepcopy(network)
    with applied(model, [edit]):
        after.load_state_dict(model.component("classifier").state_dict())
    after = after.state_dict()
    parameters = {key for key, _ in network.named_parameters()}
    changed = sum(int((before[key] != after[key]).sum()) for key in parameters)
    assert edit.info["changed_parameters"] == changed > 0
    assert edit.info["parameters"] == sum(before[key].numel() for key in parameters)
    assert set(edit.tensors) == {f"classifier.{key}" for key in before if not torch.equal(before[key], after[key])}
    assert edit.base == {one: tensor_sha256(before[one.removeprefix("classifier.")]) for one in edit.tensors}
    frozen = name in ("ssd", "lfssd", "assd", "jit")
    assert edit.info["changed_buffers"] == ([] if frozen else ["1.running_mean", "1.running_var"])
    assert not [key for key in edit.tensors if "num_batches_tracked" in key]


@pytest.mark.parametrize("name", METHODS)
def test_one_image_to_forget_and_a_last_batch_of_one(ctx, name):
    class Few(FakeDataset):
        """One cat; 16 images in all, so that batches of 5 leave one; no dog."""

        def pictures(self, split):
            found = super().pictures(split)
            return [one for one in found if one.id not in (f"{split}-cat-sketch", f"{split}-cat-pastel")]

    config = options(name) if name == "retrain" else options(name, batch_size=5)
    edit = unlearn(name, FakeClassifier(), Few(), ctx, CAT, **config)
    assert all(tensor.isfinite().all() for tensor in edit.tensors.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_class_may_be_missing_from_what_is_retained(ctx, name):
    class NoDogs(FakeDataset):
        def pictures(self, split):
            return [one for one in super().pictures(split) if not one.shows(DOG)]

    assert unlearn(name, FakeClassifier(), NoDogs(), ctx, CAT, **options(name)).tensors


@pytest.mark.parametrize("name", ["ssd", "lfssd", "assd"])
def test_the_order_of_images_changes_nothing(tmp_path, name):
    class Backwards(FakeDataset):
        def pictures(self, split):
            return super().pictures(split)[::-1]

    found = [
        unlearn(name, FakeClassifier(), dataset, RunContext(out_dir=tmp_path / "run"), CAT, **options(name))
        for dataset in (FakeDataset(), Backwards())
    ]
    for key, tensor in found[0].tensors.items():
        torch.testing.assert_close(found[1].tensors[key], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ssd", "lfssd", "assd"])
def test_dampening_makes_no_weight_larger(ctx, name):
    model = FakeClassifier()
    edit = unlearn(name, model, FakeDataset(), ctx, CAT, **options(name))
    for key, tensor in edit.tensors.items():
        assert (tensor.abs() <= model.tensor("classifier", key.removeprefix("classifier.")).abs()).all()


def test_a_larger_selection_selects_a_part_of_what_a_smaller_one_does(ctx):
    changed = []
    for selection in (1.0, 2.0):
        model = FakeClassifier()
        edit = unlearn("ssd", model, FakeDataset(), ctx, CAT, selection=selection)
        changed.append(
            {
                (key, i)
                for key, tensor in edit.tensors.items()
                for i in (tensor != model.tensor("classifier", key.removeprefix("classifier.")))
                .flatten()
                .nonzero()[:, 0]
                .tolist()
            }
        )
    assert changed[1] < changed[0]


def test_importance_of_single_images_does_not_depend_on_batches(tmp_path):
    found = [
        unlearn(
            "ssd",
            FakeClassifier(),
            FakeDataset(),
            RunContext(out_dir=tmp_path),
            CAT,
            selection=1.0,
            per_sample=True,
            batch_size=size,
        )
        for size in (1, 4, 100)
    ]
    one_by_one = unlearn(
        "ssd", FakeClassifier(), FakeDataset(), RunContext(out_dir=tmp_path), CAT, selection=1.0, batch_size=1
    )
    for other in (*found[1:], one_by_one):
        for key, tensor in found[0].tensors.items():
            torch.testing.assert_close(other.tensors[key], tensor, rtol=1e-4, atol=1e-6)


def test_no_more_gradients_of_single_images_are_held_than_allowed(ctx, monkeypatch):
    network = LinearWorld().network
    parameters = sum(one.numel() for one in network.parameters())
    images = LabelledImages(images=torch.rand(5, 3, 2, 2), labels=torch.tensor([0, 1, 2, 0, 1]), ids=tuple("abcde"))
    batches = Batches(images, 5, network)
    monkeypatch.setattr("vu_classify.gradients._AT_ONCE", 2 * parameters)
    held = []

    def noted(gradient):
        held.append(len(gradient))
        return gradient.square()

    found = gradient_sum_by_image(network, batches, mean_cross_entropy, ctx, of=noted)
    assert max(held) == 2
    monkeypatch.undo()
    whole = gradient_sum_by_image(network, batches, mean_cross_entropy, ctx, of=torch.square)
    for name, total in whole.items():
        torch.testing.assert_close(found[name], total)


@pytest.mark.parametrize("name", TRAINED)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, name):
    config = options(name, rewind=True) if name == "scrub" else options(name)
    whole = unlearn(name, FakeClassifier(), FakeDataset(), RunContext(out_dir=tmp_path / "whole"), CAT, **config)

    def killing(items, total, label):
        for number, item in enumerate(items):
            if label in ("train", "repair") and number == 1:
                raise KeyboardInterrupt
            yield item

    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        unlearn(name, FakeClassifier(), FakeDataset(), RunContext(out_dir=killed, track=killing), CAT, **config)
    resumed = unlearn(name, FakeClassifier(), FakeDataset(), RunContext(out_dir=killed), CAT, **config)
    assert resumed.sha256() == whole.sha256()
    assert resumed.info == whole.info


@pytest.mark.parametrize("name", sorted({*METHODS} - {"retrain"}))
def test_half_and_double_precision_agree_with_single(tmp_path, name):
    """A model that computes in float16 is unlearned in float32."""
    found = {}
    for dtype in (torch.float32, torch.float64, torch.float16):
        model = FakeClassifier()
        model.component("classifier").to(dtype)
        model.stored = {
            "classifier": {key: one.clone() for key, one in model.component("classifier").state_dict().items()}
        }
        where = RunContext(out_dir=tmp_path / str(dtype), seed=1)
        config = options(name, selection=1.3) if name in ("ssd", "lfssd") else options(name)
        if name in ("bad-teacher", "unsir"):
            # Adam makes whole steps of gradients that are 0 but for rounding.
            config["optimizer"] = "sgd"
        found[dtype] = unlearn(name, model, FakeDataset(), where, CAT, **config)
    assert {one.dtype for one in found[torch.float16].tensors.values()} == {torch.float32}
    for key, tensor in found[torch.float64].tensors.items():
        assert tensor.dtype == torch.float64
        if key in found[torch.float32].tensors:
            torch.testing.assert_close(found[torch.float32].tensors[key].double(), tensor, rtol=0, atol=2e-3)


def test_random_labels():
    labels = torch.arange(10).repeat(1000)
    drawn = random_labels(labels, 10, torch.Generator().manual_seed(0), exclude_true=True)
    assert not (drawn == labels).any()
    assert sorted(drawn.unique().tolist()) == list(range(10))
    share = (random_labels(labels, 10, torch.Generator().manual_seed(0), exclude_true=False) == labels).double().mean()
    assert share.item() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("redraw", "same"), [("once", True), ("epoch", False)])
def test_labels_are_drawn_once_or_anew(ctx, redraw, same, monkeypatch):
    drawn = []

    def noted(*arguments, **keywords):
        drawn.append(random_labels(*arguments, **keywords).tolist())
        return torch.tensor(drawn[-1])

    monkeypatch.setattr("vu_classify.random_label.random_labels", noted)
    unlearn("random-label", FakeClassifier(), FakeDataset(), ctx, CAT, DOG, epochs=3, redraw=redraw)
    assert len(drawn) == 3
    assert (drawn[0] == drawn[1] == drawn[2]) is same


def test_salun_of_all_weights_is_random_label(tmp_path):
    config = {"epochs": 2, "learning_rate": 0.01}
    whole = unlearn(
        "salun", FakeClassifier(), FakeDataset(), RunContext(out_dir=tmp_path / "a"), CAT, share=1.0, **config
    )
    plain = unlearn("random-label", FakeClassifier(), FakeDataset(), RunContext(out_dir=tmp_path / "b"), CAT, **config)
    assert whole.sha256() == plain.sha256()


def test_salun_freezes_what_it_does_not_select(ctx):
    model = FakeClassifier()
    edit = unlearn("salun", model, FakeDataset(), ctx, CAT, epochs=2, share=0.25)
    assert 0 < edit.info["changed_parameters"] <= edit.info["parameters"] // 4


def test_special_cases_are_the_methods_they_contain(tmp_path):
    def found(name, number, **config):
        where = RunContext(out_dir=tmp_path / str(number))
        return unlearn(name, FakeClassifier(), FakeDataset(), where, CAT, epochs=2, learning_rate=0.01, **config)

    plain = found("fine-tune", 0)
    for number, (name, config) in enumerate([("l1-sparse", {"sparsity": 0.0}), ("fine-tune", {"anchor": 0.0})], 1):
        assert found(name, number, **config).sha256() == plain.sha256()
    eval_mode = {"batch_norm": "eval"}
    ng, tuned = found("neggrad-plus", 3, retain_weight=1.0, **eval_mode), found("fine-tune", 4, **eval_mode)
    for key, tensor in tuned.tensors.items():
        torch.testing.assert_close(ng.tensors[key], tensor, rtol=0, atol=1e-7)
    assert not found("fine-tune", 5, **eval_mode).info["changed_buffers"]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_jit_drops_nothing_in_eval_mode(tmp_path, mode):
    def found(share):
        world = LinearWorld()
        model = SmallModel(nn.Sequential(world.network[0], nn.Dropout(share), world.network[1]), world.classes)
        where = RunContext(out_dir=tmp_path / str(share))
        return unlearn("jit", model, world.dataset, where, mode=mode).sha256()

    assert (found(0.5) == found(0.0)) is (mode == "eval")


def test_gradient_ascent_says_what_ended_it(tmp_path):
    def trainings(**config):
        where = RunContext(out_dir=tmp_path / str(config))
        return unlearn("gradient-ascent", FakeClassifier(), FakeDataset(), where, CAT, epochs=50, **config).info[
            "trainings"
        ]

    high = {"learning_rate": 0.05}
    assert trainings(learning_rate=1e-9)["train"] == {"epochs": 50, "stopped": ""}
    stopped = trainings(**high, max_loss=20.0)["train"]
    assert stopped["stopped"] == "max_loss"
    assert 0 < stopped["epochs"] < 50
    assert trainings(**high, target_accuracy=1.0)["train"] == {"epochs": 0, "stopped": "target_accuracy"}


def test_a_loss_without_bound_is_an_error(ctx):
    with pytest.raises(ComputeError, match="batch 1 of epoch"):
        unlearn("gradient-ascent", FakeClassifier(), FakeDataset(), ctx, CAT, epochs=200, learning_rate=1e30)


def test_scrub_passes_over_what_is_forgotten_in_the_first_epochs_alone(tmp_path):
    logged = []
    where = RunContext(out_dir=tmp_path, log=lambda step, values: logged.extend((step, key) for key in values))
    unlearn("scrub", FakeClassifier(), FakeDataset(), where, CAT, epochs=4, max_epochs=2)
    assert [step for step, key in logged if key == "loss/forget"] == [1, 2]
    assert [step for step, key in logged if key == "loss/retain"] == [1, 2, 3, 4]


def test_models_that_do_not_say_how_they_were_trained(ctx):
    world = LinearWorld()
    world.model.recipe_ = {"epochs": 1}
    with pytest.raises(ModelError, match="which seed"):
        unlearn("retrain", world.model, world.dataset, ctx, seed="recipe")
    world.model.recipe_ = {"seed": 1, "epochs": 1}
    unlearn("retrain", world.model, world.dataset, ctx)
    assert ctx.warnings == ["the seed 1 is the model's own: both began from the same weights"]

    class NoRecipe:
        name, kind, classes, picture_size, device, dtype = "bare", "class", ("0", "1", "2"), (2, 2), "cpu", "float64"
        component, tensor, fingerprint = world.model.component, world.model.tensor, world.model.fingerprint

    other = RunContext(out_dir=ctx.out_dir / "bare")
    assert unlearn("fine-tune", NoRecipe(), world.dataset, other).tensors
    assert other.warnings == ["how 'bare' was trained is not known: its images are taken as they are"]


def test_augmentation_is_that_of_the_recipe_unless_told_otherwise(tmp_path):
    def found(number, augment, recipe):
        world = LinearWorld()
        world.model.network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).double()
        model = FakeClassifier()
        model.recipe = lambda: recipe
        where = RunContext(out_dir=tmp_path / str(number))
        return unlearn("fine-tune", model, FakeDataset(), where, CAT, epochs=1, augment=augment).sha256()

    shifted = found(0, "crop-flip", {})
    plain = found(1, "none", {})
    assert shifted != plain
    assert found(2, "as-trained", {"augment": "crop-flip"}) == shifted
    assert found(3, "as-trained", {"augment": "none"}) == plain


def test_unsir_forgets_classes_alone(ctx):
    sketch = Concept(name="sketch", kind="style")
    with pytest.raises(RequestError, match="'sketch' is none"):
        unlearn("unsir", FakeClassifier(), FakeDataset(), ctx, sketch)


def test_what_no_picture_shows_cannot_be_forgotten(ctx):
    for name in METHODS:
        with pytest.raises(RequestError, match="no picture to learn from shows 'zebra'"):
            unlearn(name, FakeClassifier(), FakeDataset(), ctx, Concept(name="zebra"))
