"""Relearn time and the anamnesis index: beside a plain loop in float64, and what they do not call a number."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from vu_metrics_classify.config import RelearnConfig
from vu_metrics_classify.relearning import (
    AnamnesisIndex,
    RelearnSteps,
    anamnesis_index,
    relearn,
    steps_to,
)
from vu_train.labelled import LabelledImages

from vu_core import ComputeError, Concept, Edit, Request, RunContext
from vu_core.interfaces import Picture, Subject

CLASSES = ("a", "b", "c")
CLASS = Request(forget=(Concept(name="a", kind="class"),))
SAMPLES = Request(forget=(Concept(name="random", kind="samples"),))
FAST = RelearnConfig(learning_rate=0.05, batch_size=16, epochs=20, least_steps=0)


class Model:
    """A classifier of 3 classes by the colour of pictures of 4 x 4 pixels."""

    name, kind, classes, picture_size = "tiny", "class", CLASSES, (4, 4)

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.network = network_of(generator)
        with torch.no_grad():
            for channel in range(3):
                self.network[1].weight[channel, 16 * channel : 16 * (channel + 1)] += 2.0
        self.network.eval().requires_grad_(False)

    def component(self, name: str) -> nn.Module:
        assert name == "classifier"
        return self.network


def network_of(generator: torch.Generator) -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3), nn.Dropout(0.0)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return network


class Data:
    """48 pictures to learn from and 30 to test on; the first four of each class are the set ``random``."""

    reads = 0

    def pictures(self, split: str) -> list[Picture]:
        count, start = {"train": (16, 0), "test": (10, 1000)}[split]
        return [
            Picture(
                id=f"{split}-{name}-{i}",
                caption="",
                attributes={"class": name, **({"samples": "random"} if split == "train" and i < 4 else {})},
                load=partial(self._pixels, place, start + 3 * i + place),
            )
            for i in range(count)
            for place, name in enumerate(CLASSES)
        ]

    def _pixels(self, place: int, seed: int) -> torch.Tensor:
        Data.reads += 1
        noise = torch.randint(0, 160, (3, 4, 4), generator=torch.Generator().manual_seed(seed))
        noise[place] += 90
        return noise.to(torch.uint8)


def forgetful(amount: float = 25.0) -> Edit:
    """Return an edit that takes the class ``a`` away: the more, the longer it takes to learn it again."""
    bias = Model().network[1].bias.clone()
    bias[0] -= amount
    return Edit.dense({"classifier.1.bias": bias})


def subject(tmp_path: Path, edit: Edit | None = None, **fields: Any) -> Subject:
    return Subject(
        model=fields.pop("model", None) or Model(),
        edits=(edit,) if edit else (),
        original=fields.pop("original", ()),
        dataset=Data(),
        samples=(),
        ctx=RunContext(out_dir=tmp_path, **fields),
    )


def found_by(metric: Any, given: Subject) -> dict[str, Any]:
    return {part: metric.examine(part, given) for part in metric.parts(given)}


def steps_of(*steps: int | None, done: int = 40) -> dict[str, Any]:
    """Return what relearnings of so many steps find; None for one that is given up after ``done``."""
    return {
        f"seed {i}": {"steps": one, "target": 95.0, "accuracies": [0.0] * ((done if one is None else one) + 1)}
        for i, one in enumerate(steps)
    }


def measured(metric: type, found: Any, *retrained: Any) -> Any:
    (one,) = metric(request=CLASS, config=FAST).measure(found, retrained)
    assert one.group == "forget"
    return one


def test_goldens():
    assert steps_to([0, 10, 40, 72, 96], 95) == 4
    assert steps_to([95, 10], 95) == 0 and steps_to([10, 40], 95) is None
    assert anamnesis_index([6], [12]) == 0.5
    assert anamnesis_index([4, 8], [10, 14]) == 0.5 and anamnesis_index([0], [12]) == 0.0
    assert anamnesis_index([6], [0, 0]) is None


def reference(
    weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, asked: tuple[np.ndarray, np.ndarray]
) -> list[float]:
    """Return accuracies of a linear classifier under Adam on all of ``x``, 30 steps, by its published equations."""
    rate = 0.01
    theta = np.concatenate([weight.ravel(), bias])
    first, second, found = np.zeros_like(theta), np.zeros_like(theta), []
    for step in range(1, 32):
        w, b = theta[: weight.size].reshape(weight.shape), theta[weight.size :]
        hits = [int(np.argmax(w @ row + b)) == label for row, label in zip(*asked, strict=True)]
        found.append(100.0 * sum(hits) / len(hits))
        gradient_w, gradient_b = np.zeros_like(w), np.zeros_like(b)
        for row, label in zip(x, y, strict=True):
            scores = np.exp(w @ row + b)
            error = scores / scores.sum()
            error[label] -= 1
            gradient_w += np.outer(error, row) / len(x)
            gradient_b += error / len(x)
        gradient = np.concatenate([gradient_w.ravel(), gradient_b])
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        theta = theta - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return found


def labelled(split: str, chosen: tuple[str, ...] = CLASSES) -> LabelledImages:
    pictures = [one for one in Data().pictures(split) if one.attributes["class"] in chosen]
    return LabelledImages(
        images=torch.stack([one.read() for one in pictures]),
        labels=torch.tensor([CLASSES.index(one.attributes["class"]) for one in pictures]),
        ids=tuple(one.id for one in pictures),
    )


def test_relearning_equals_a_plain_loop_of_adam_in_float64(tmp_path):
    learned, asked = labelled("train"), labelled("test", ("a",))
    network = network_of(torch.Generator().manual_seed(0))
    with torch.no_grad():
        network[1].bias[0] -= 0.6
    weight, bias = (parameter.detach().numpy().copy() for parameter in network.parameters())
    x, asked_x = (one.images.numpy().reshape(len(one), -1) / 255 for one in (learned, asked))
    expected = reference(weight, bias, x, learned.labels.numpy(), (asked_x, asked.labels.numpy()))
    config = RelearnConfig(learning_rate=0.01, batch_size=len(learned), epochs=30, least_steps=0)
    ctx = RunContext(out_dir=tmp_path)
    assert relearn(copy.deepcopy(network), learned, asked, 200.0, config, 0, ctx) == pytest.approx(expected)
    assert len(set(expected)) > 0 and expected[0] < 50 < expected[-1]
    steps = next(i for i, one in enumerate(expected) if one >= 80)
    assert len(relearn(copy.deepcopy(network), learned, asked, 80.0, config, 0, ctx)) == steps + 1 > 3


def test_all_training_pictures_are_learned_once_an_epoch_in_an_order_of_the_seed(tmp_path):
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.seen = network_of(torch.Generator().manual_seed(0)), []

        def forward(self, images):
            if self.training:
                self.seen += [row.sum().item() for row in images]
            return self.inner(images)

    learned, asked, orders = labelled("train"), labelled("test", ("a",)), []
    config = RelearnConfig(learning_rate=1e-9, batch_size=10, epochs=2, least_steps=0)
    for seed in (0, 0, 1):
        watched = Watched()
        found = relearn(watched, learned, asked, 200.0, config, seed, RunContext(out_dir=tmp_path))
        assert len(found) == 1 + 2 * 5
        first, second = watched.seen[:48], watched.seen[48:]
        assert sorted(first) == sorted(second) and first != second and len(set(first)) > 40
        orders.append(watched.seen)
    assert orders[0] == orders[1] != orders[2]


def test_a_class_is_asked_for_on_its_test_pictures_and_a_set_of_samples_on_itself(tmp_path):
    for request, known in ((CLASS, 10), (SAMPLES, 12)):
        metric = RelearnSteps(request=request, config=FAST)
        given = subject(tmp_path, forgetful())
        metric.parts(given)
        learned, asked = metric._read(given)
        assert (len(learned), len(asked)) == (48, known)
        assert all(one.startswith("test-a-" if request is CLASS else "train-") for one in asked.ids)


def test_the_original_needs_no_step_and_what_forgot_more_needs_more(tmp_path):
    means = []
    for edit in (None, forgetful(15.0), forgetful(25.0)):
        metric = RelearnSteps(request=CLASS, config=FAST)
        (one,) = metric.measure(found_by(metric, subject(tmp_path, edit)), ())
        assert one.n == 3 and one.interval is not None
        means.append(one.value)
    assert means[0] == 0.0 < means[1] < means[2]


def test_the_target_is_of_the_model_before_unlearning(tmp_path):
    metric = RelearnSteps(request=CLASS, config=FAST)
    whole = found_by(metric, subject(tmp_path, forgetful()))["seed 0"]["target"]
    earlier = found_by(metric, subject(tmp_path, forgetful(), original=(forgetful(),)))["seed 0"]["target"]
    assert whole == pytest.approx(95.0) and earlier < whole


def test_a_wider_margin_is_reached_sooner(tmp_path):
    found = []
    for margin in (0.0, 0.05, 0.5, 0.95):
        metric = RelearnSteps(request=CLASS, config=RelearnConfig(**{**vars(FAST), "margin": margin}))
        found.append(found_by(metric, subject(tmp_path, forgetful()))["seed 0"]["steps"])
    assert found == sorted(found, reverse=True) and found[-1] < found[0]


def test_the_same_seed_relearns_the_same_and_another_differently(tmp_path):
    edit, metric = forgetful(), RelearnSteps(request=CLASS, config=FAST)
    first = found_by(metric, subject(tmp_path, edit))
    torch.manual_seed(99)
    assert found_by(RelearnSteps(request=CLASS, config=FAST), subject(tmp_path, edit)) == first
    assert len({tuple(one["accuracies"]) for one in first.values()}) > 1


def test_pictures_are_read_once_for_all_models(tmp_path):
    metric, Data.reads = RelearnSteps(request=CLASS, config=FAST), 0
    for edit in (None, forgetful()):
        found_by(metric, subject(tmp_path, edit))
    assert Data.reads == 48 + 10


def test_the_model_stays_bit_for_bit_also_after_an_exception(tmp_path):
    model, before = Model(), copy.deepcopy(Model().network.state_dict())
    edit, states = forgetful(), torch.get_rng_state()
    broken = Edit.dense({"classifier.1.bias": torch.full((3,), torch.nan, dtype=torch.float64)})

    def interrupted(items: Any, total: int | None, label: str) -> Any:
        for number, item in enumerate(items):
            if label.startswith("relearning") and number == 2:
                raise KeyboardInterrupt
            yield item

    for applied, raised, fields in (
        (edit, None, {}),
        (broken, ComputeError, {}),
        (edit, KeyboardInterrupt, {"track": interrupted}),
    ):
        metric = RelearnSteps(request=CLASS, config=FAST)
        given = subject(tmp_path, applied, model=model, **fields)
        if raised:
            with pytest.raises(raised):
                found_by(metric, given)
        else:
            found_by(metric, given)
        after = model.network.state_dict()
        assert all(torch.equal(after[name], before[name]) for name in before)
        assert not model.network.training and not any(one.requires_grad for one in model.network.parameters())
        assert torch.equal(torch.get_rng_state(), states)


def test_a_target_that_is_not_reached_is_no_number(tmp_path):
    config = RelearnConfig(learning_rate=1e-9, batch_size=16, epochs=2, least_steps=5)
    metric = RelearnSteps(request=CLASS, config=config)
    found = found_by(metric, subject(tmp_path, forgetful()))
    (one,) = metric.measure(found, ())
    assert (one.value, one.n) == (None, 3)
    assert one.note == ">= 6 steps: 3 of 3 relearnings did not reach 95.0 %"
    few = RelearnConfig(learning_rate=1e-9, batch_size=16, epochs=2, least_steps=9)
    assert (
        len(found_by(RelearnSteps(request=CLASS, config=few), subject(tmp_path, forgetful()))["seed 0"]["accuracies"])
        == 10
    )


def test_relearn_time_is_the_mean_over_relearnings():
    one = measured(RelearnSteps, steps_of(10, 12, 17))
    half = 4.302653 * stdev([10, 12, 17]) / 3**0.5
    assert (one.value, one.n) == (13.0, 3)
    assert (one.interval.low, one.interval.high) == (pytest.approx(13 - half), pytest.approx(13 + half))
    assert measured(RelearnSteps, steps_of(10, 12)).note == "no interval: 2 relearnings, 3 are needed"
    assert measured(RelearnSteps, steps_of(0, 0, 0)).value == 0.0
    partly = measured(RelearnSteps, steps_of(10, None, 12))
    assert partly.value is None and partly.note.startswith(">= 20.6 steps: 1 of 3 relearnings")


def test_the_index_is_a_ratio_of_means():
    retrained = steps_of(10, 12, 14), steps_of(20, 22, 24)
    one = measured(AnamnesisIndex, steps_of(6, 8, 13), *retrained)
    assert one.value == pytest.approx(fmean([6, 8, 13]) / fmean([10, 12, 14, 20, 22, 24]))
    half = 4.302653 * stdev([6, 8, 13]) / 17 / 3**0.5
    assert one.interval.high == pytest.approx(one.value + half)
    assert measured(AnamnesisIndex, steps_of(0, 0, 0), *retrained).value == 0.0


@pytest.mark.parametrize(
    ("found", "retrained", "note"),
    [
        (steps_of(6, 6, 6), steps_of(0, 0, 0), "undefined: retrained models need no step"),
        (steps_of(6, 6, 6), steps_of(12, None, 12), "undefined: of retrained models, 1 of 3 relearnings did not reach"),
        (steps_of(None, None, None), steps_of(12, 12, 12), ">= 3.33: 3 of 3 relearnings did not reach 95.0 %"),
        ({}, steps_of(12, 12, 12), "no number: nothing is forgotten"),
    ],
)
def test_what_has_no_index_says_why(found, retrained, note):
    one = measured(AnamnesisIndex, found, retrained)
    assert one.value is None and one.note.startswith(note)


def test_where_nothing_is_forgotten_nothing_is_relearned(tmp_path):
    metric = RelearnSteps(request=Request(forget=()), config=FAST)
    assert metric.parts(subject(tmp_path)) == {}


def test_what_is_learned_and_asked_decides_a_part(tmp_path):
    given = subject(tmp_path)
    parts = [RelearnSteps(request=request, config=FAST).parts(given) for request in (CLASS, CLASS, SAMPLES)]
    assert list(parts[0]) == ["seed 0", "seed 1", "seed 2"]
    assert parts[0] == parts[1] and parts[0]["seed 0"]["learned"] == parts[2]["seed 0"]["learned"]
    assert parts[0]["seed 0"]["asked"] != parts[2]["seed 0"]["asked"]
