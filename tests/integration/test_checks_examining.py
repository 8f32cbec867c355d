"""Checks of metrics that examine models: each passes good ones and fails a bad one, saying why."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from vu_core import ComputeError, Measurement, MetricSpec
from vu_core.edits import applied
from vu_core.testing import CheckError, Component
from vu_core.testing.checks import examining, metrics, spec


class Weighing:
    """A good metric: the mean absolute weight of the model, by halves of its tensors."""

    name = "classifier"

    def __init__(self, *, request, neighbours, config):
        self.request = request

    def parts(self, subject):
        return {"even": {"rule": 1}, "odd": {"rule": 1}} if self.request.forget else {}

    def examine(self, part, subject):
        with applied(subject.model, subject.edits):
            return self.finding(part, subject.model.component(self.name), subject)

    def finding(self, part, network, subject) -> dict[str, Any]:
        chosen = list(network.parameters())[part == "odd" :: 2]
        return {"weight": float(sum(one.detach().abs().sum() for one in chosen))}

    def measure(self, found, retrained):
        if not found:
            return [Measurement(group="forget", value=None, n=0, note="nothing is forgotten")]
        value = sum(one["weight"] for one in found.values())
        return [Measurement(group="forget", value=value, n=len(found), note="no interval: it is the model's")]


class OfDrawing(Weighing):
    """A good metric of a model that draws."""

    name = "unet"


class Beside(Weighing):
    """A good metric of a model beside retrained ones."""

    def measure(self, found, retrained):
        assert len(retrained) == 2
        return super().measure(found, retrained)


class Partless(Weighing):
    def parts(self, subject):
        return {}


class Tensors(Weighing):
    def finding(self, part, network, subject):
        return {"weight": next(network.parameters())}


class Undecided(Weighing):
    def finding(self, part, network, subject):
        return {"weight": float("nan")}


class Drawing(Weighing):
    def finding(self, part, network, subject):
        return {"weight": torch.rand(()).item()}


class Remembering(Weighing):
    """What a part finds depends on the parts before it."""

    seen = 0

    def finding(self, part, network, subject):
        self.seen += 1
        return {"weight": float(self.seen)}


class Training(Weighing):
    def finding(self, part, network, subject):
        network.train()
        return super().finding(part, network, subject)


class Overwriting(Weighing):
    def finding(self, part, network, subject):
        with torch.no_grad():
            next(network.parameters()).zero_()
        return super().finding(part, network, subject)


class Reseeding(Weighing):
    def finding(self, part, network, subject):
        random.seed(0)
        return super().finding(part, network, subject)


class Swallowing(Weighing):
    def finding(self, part, network, subject):
        with suppress(KeyboardInterrupt):
            list(subject.ctx.progress(range(3)))
        return super().finding(part, network, subject)


class Believing(Weighing):
    def measure(self, found, retrained):
        return [Measurement(group="forget", value=0.0, n=1, note="no interval")]


class Refusing(Weighing):
    """A good metric that refuses what makes no sense."""

    def measure(self, found, retrained):
        if not found:
            raise ComputeError("nothing is forgotten")
        return super().measure(found, retrained)


class Pointed(Weighing):
    def measure(self, found, retrained):
        return [replace(one, note="") for one in super().measure(found, retrained)]


class Negative(Weighing):
    def measure(self, found, retrained):
        return [replace(one, value=-1.0) for one in super().measure(found, retrained)]


class Elsewhere(Weighing):
    def measure(self, found, retrained):
        return [replace(one, group="my cat") for one in super().measure(found, retrained)]


class OfSamples(Weighing):
    parts = examine = None


SPEC = MetricSpec(
    name="weight",
    summary="What the model weighs.",
    target="a:B",
    direction="none",
    unit="",
    range=(0.0, None),
    scorers=("model",),
    examines="weighing",
)


def component(metric: type = Weighing, **fields: Any) -> Component:
    return Component(spec=replace(SPEC, **fields), load=lambda: metric)


GOOD = [component(), component(Beside, compares="retrained"), component(OfDrawing, scorers=()), component(Refusing)]
BAD: list[tuple[Any, Component, str]] = [
    (examining.check_examines, component(Partless), "an examination has no part"),
    (examining.check_examines, component(Tensors), "part 'even' holds something that JSON has not"),
    (examining.check_examines, component(Undecided), "part 'even' holds something that JSON has not"),
    (examining.check_examines_alike, component(Drawing), "and then"),
    (examining.check_examines_alike, component(Remembering), "and then"),
    (examining.check_examined_untouched, component(Training), "examining a model changes the training flag"),
    (examining.check_examined_untouched, component(Overwriting), "examining a model changes the tensor"),
    (examining.check_examined_untouched, component(Reseeding), "examining a model changes Python's random state"),
    (examining.check_examined_untouched, component(Swallowing), "it swallows the interruption"),
    (examining.check_nothing_forgotten, component(Believing), "where nothing is forgotten it gives {'forget': 0.0}"),
    (metrics.check_measures, component(Elsewhere), "unknown groups: my cat"),
    (metrics.check_range, component(Negative), "is outside [0.0, inf]"),
    (metrics.check_interval, component(Pointed), "has neither interval nor note"),
    (spec.check_target, component(OfSamples), "it has no method 'parts'; it has no method 'examine'"),
]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.load().__name__)
@pytest.mark.parametrize("check", [*metrics.CHECKS, *examining.CHECKS], ids=lambda check: check.name)
def test_a_good_metric_passes(check, good):
    if check.fits(good):
        check.function(good)
    else:
        assert check in metrics.CHECKS


@pytest.mark.parametrize(("check", "bad", "problem"), BAD)
def test_a_bad_metric_fails(check, bad, problem):
    with pytest.raises(CheckError) as raised:
        check(bad)
    assert problem in raised.value.problem
    assert raised.value.fix


def test_every_check_has_a_bad_fake():
    assert {check.function for check in examining.CHECKS} <= {check for check, _, _ in BAD}


def test_what_needs_samples_is_not_asked_of_it():
    fitting = {check.name for check in metrics.CHECKS if check.fits(component())}
    assert fitting == {"measures", "range", "interval"}
    ordinary = component(examines="")
    assert not any(check.fits(ordinary) for check in examining.CHECKS)


def test_the_fake_that_is_examined_knows_cats_and_forgets_them():
    seen = []
    for subject in examining._subjects(component(), edits=3):
        cats = [one.read() for one in subject.dataset.pictures("test") if one.attributes["object"] == "cat"]
        images = torch.stack(cats).float() / 255
        for edits in ((), subject.edits):
            with applied(subject.model, edits):
                seen.append((subject.model.classify(images).logits.argmax(dim=1) == 0).float().mean().item())
    assert seen == [1.0, 0.0] * 3
