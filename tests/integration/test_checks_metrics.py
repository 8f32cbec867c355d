"""Checks of metrics: each passes good ones and fails a bad one, saying why."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest
import torch

from vu_core import Batch, ComputeError, Measurement, MetricSpec
from vu_core.specs import EACH_KIND
from vu_core.statistics import mean_measurement
from vu_core.testing import CheckError, Component
from vu_core.testing.checks import metrics


class Recognised:
    """A good metric: share of pictures in which the judge of objects sees what was asked for."""

    def __init__(self, *, request, neighbours, config):
        self.request = request
        self.rows: dict[str, list[tuple[Any, float]]] = {}
        self.excluded: dict[str, int] = {}

    def update(self, batch: Batch) -> None:
        for sample, value in zip(batch.samples, self.values(batch), strict=True):
            self.rows.setdefault(sample.group(self.request), []).append((sample, value))

    def values(self, batch: Batch) -> list[float]:
        classes = batch.scores["object"]
        if not classes.probabilities.isfinite().all():
            raise ComputeError("verdicts are not finite")
        seen = zip(batch.samples, classes.labels(), strict=True)
        return [100.0 * (label == sample.attributes["object"]) for sample, label in seen]

    def exclude(self, sample, reason):
        group = sample.group(self.request)
        self.excluded[group] = self.excluded.get(group, 0) + 1

    def compute(self):
        if not self.rows:
            raise ComputeError("no sample was given")
        return [self.measurement(group, self.rows[group]) for group in sorted(self.rows)]

    def measurement(self, group, rows) -> Measurement:
        return mean_measurement(
            group,
            [value for _, value in rows],
            sample_ids=[sample.id for sample, _ in rows],
            clusters=[sample.cluster for sample, _ in rows],
            n_excluded=self.excluded.get(group, 0),
        )


class Answering(Recognised):
    """A good metric of a classifier's answers to the pictures of one split."""

    def update(self, batch):
        assert batch.samples[0].split in ("train", "validation", "test")
        super().update(batch)

    def values(self, batch):
        answers = batch.scores["model"]
        if not answers.logits.isfinite().all():
            raise ComputeError("answers are not finite")
        right = answers.logits.argmax(dim=1) == answers.labels(batch.samples)
        return [100.0 * one for one in right.tolist()]


class Agreeing(Answering):
    """A good metric of answers beside those of retrained or untrained models."""

    def values(self, batch):
        super().values(batch)
        seen = batch.scores["model"].logits.argmax(dim=1)
        alike = torch.stack(
            [(seen == other.logits.argmax(dim=1)).double() for other in (*batch.retrained, *batch.untrained)]
        )
        return (100.0 * alike.mean(dim=0)).tolist()


class Similar(Recognised):
    """A good metric of similarities, which refuses any other verdict."""

    def values(self, batch):
        cosines = batch.scores["clip"]
        if getattr(cosines, "ndim", 0) != 1 or not cosines.isfinite().all():
            raise ComputeError("not one finite cosine a picture")
        return (100 * cosines.double()).tolist()


class Dark(Recognised):
    """A good metric of pictures alone."""

    def values(self, batch):
        if batch.images.dtype.is_floating_point:
            raise ComputeError("pictures are not uint8")
        return batch.images.double().mean(dim=(1, 2, 3)).tolist()


class Spread(Recognised):
    """A good metric of features: their mean squared length."""

    def values(self, batch):
        features = batch.scores["features"]
        if getattr(features, "ndim", 0) != 2 or not features.isfinite().all():
            raise ComputeError("not one finite row a picture")
        return features.double().square().sum(dim=1).tolist()


class Found(Recognised):
    """A good metric of detections: their number, whatever they are."""

    def values(self, batch):
        found = getattr(batch.scores["spots"], "found", None)
        if found is None or any(not 0 <= score <= 1 for one in found for _, score in one):
            raise ComputeError("no detections with scores in [0, 1]")
        return [float(len(one)) for one in found]


class Credulous(Found):
    def values(self, batch):
        return [float(len(one)) for one in batch.scores["spots"].found]


class Unlike(Dark):
    """A good metric of pairs: the mean absolute difference of the pictures, of a side of at least 100 pixels."""

    def values(self, batch):
        if min(batch.images.shape[-2:]) < 100:
            raise ComputeError("too small")
        now, then = batch.images, batch.reference.images
        if now.dtype.is_floating_point or then.dtype.is_floating_point:
            raise ComputeError("pictures are not uint8")
        return (now.double() - then.double()).abs().mean(dim=(1, 2, 3)).tolist()


class Apart(Recognised):
    """A good metric of sets: the distance of the mean features of the pictures and of real ones."""

    def __init__(self, **given):
        super().__init__(**given)
        self.real: list[Any] = []

    def update(self, batch):
        super().update(batch)
        self.real += [batch.reference.scores["features"].double()]

    def values(self, batch):
        features = batch.scores["features"]
        if features.ndim != 2 or not features.isfinite().all():
            raise ComputeError("not one finite row a picture")
        return features.double()

    def measurement(self, group, rows):
        real, drawn = torch.cat(self.real).mean(dim=0), torch.stack([row for _, row in rows]).mean(dim=0)
        value = float((real - drawn).norm())
        return Measurement(group=group, value=value, n=len(rows), n_excluded=self.excluded.get(group, 0), note="none")


class Twice(Recognised):
    def compute(self):
        return [*super().compute(), *super().compute()]


class Elsewhere(Recognised):
    def compute(self):
        return [replace(one, group=f"my {one.group}") for one in super().compute()]


class Miscounted(Recognised):
    def compute(self):
        return [replace(one, n=0) for one in super().compute()]


class Crashing(Recognised):
    def update(self, batch):
        raise KeyError("objects")


class Doubled(Recognised):
    def values(self, batch):
        return [2 * value for value in super().values(batch)]


class Pointed(Recognised):
    def measurement(self, group, rows):
        return replace(super().measurement(group, rows), interval=None, note="")


class MeanOfMeans(Recognised):
    def values(self, batch):
        return [fmean(super().values(batch))] * len(batch.samples)


class OrderMatters(Recognised):
    def measurement(self, group, rows):
        weighted = sum(i * value for i, (_, value) in enumerate(rows)) / sum(range(len(rows)))
        return replace(super().measurement(group, rows), value=weighted)


class Forgetful(Recognised):
    def exclude(self, sample, reason): ...


class Generous(Recognised):
    def exclude(self, sample, reason):
        super().exclude(sample, reason)
        self.rows.setdefault(sample.group(self.request), []).append((sample, 100.0))


class Optimistic(Recognised):
    def compute(self):
        return super().compute() if self.rows else [Measurement(group="retain", value=100.0, n=0)]


class Dividing(Recognised):
    def compute(self):
        return super().compute() if self.rows else [1 / 0]


class Darker(Dark):
    def values(self, batch):
        return batch.images.double().mean(dim=(1, 2, 3)).tolist()


class Contrary(Agreeing):
    def values(self, batch):
        return [100.0 - value for value in super().values(batch)]


class Overwriting(Answering):
    def values(self, batch):
        found = super().values(batch)
        batch.scores["model"].logits.zero_()
        return found


class OneClass(Answering):
    def values(self, batch):
        return [100.0 * one for one in (batch.scores["model"].logits.argmax(dim=1) == 0).tolist()]


class Trusting(Recognised):
    def values(self, batch):
        seen = zip(batch.samples, batch.scores["object"].labels(), strict=True)
        return [100.0 * (label == sample.attributes["object"]) for sample, label in seen]


class Destructive(Dark):
    def values(self, batch):
        found = super().values(batch)
        batch.images.zero_()
        return found


GOOD_SPEC = MetricSpec(
    name="seen",
    summary="Share of pictures recognised.",
    target="a:B",
    direction="up",
    forget_direction="down",
    unit="%",
    ideal=100.0,
    range=(0.0, 100.0),
    scorers=("object",),
)


def component(metric: type = Recognised, **fields: Any) -> Component:
    return Component(spec=replace(GOOD_SPEC, **fields), load=lambda: metric)


PAIRS = component(Unlike, scorers=(), ideal=1.0, range=(None, 1.0), unit="", compares="before")
ANSWERING: dict[str, Any] = {"scorers": ("model",), "direction": "reference", "forget_direction": None, "ideal": None}
BESIDE: dict[str, Any] = {**ANSWERING, "direction": "up", "compares": "retrained", "ideal": 100.0}
GOOD = [
    component(Answering, **ANSWERING),
    component(Agreeing, **BESIDE),
    component(Agreeing, **{**BESIDE, "compares": "untrained"}),
    component(Spread, scorers=("features",), ideal=None, range=(0.0, None), unit="", forget_direction=None),
    component(),
    component(scorers=(EACH_KIND,), min_samples=60),
    component(Similar, scorers=("clip",), ideal=None, range=(-100.0, 100.0)),
    component(Unlike, scorers=(), ideal=0.0, range=(0.0, 255.0), unit="", direction="down", compares="before"),
    component(Apart, scorers=("features",), ideal=None, range=(0.0, None), unit="", compares="pictures"),
    component(Dark, scorers=(), range=(0, 255), ideal=None, unit=""),
    component(Found, scorers=("spots",), range=(0, None), ideal=None, unit=""),
]
BAD: list[tuple[Any, Component, str]] = [
    (metrics.check_measures, component(Twice), "a group is measured twice: forget, retain, forget, retain"),
    (metrics.check_measures, component(Elsewhere), "unknown groups: my forget, my retain"),
    (metrics.check_measures, component(Miscounted), "'forget' has n=0 of 54 samples and the value"),
    (metrics.check_measures, component(Crashing), "it cannot measure 54 sound samples: KeyError: 'objects'"),
    (metrics.check_measures, component(Recognised, scorers=("subject",)), "KeyError: 'object'"),
    (metrics.check_measures, component(Answering, **{**ANSWERING, "scorers": ("object",)}), "AssertionError"),
    (metrics.check_bad_verdicts, component(OneClass, **ANSWERING), "given NaN verdicts, it gives {"),
    (metrics.check_direction, component(Contrary, **BESIDE), "worse, by its direction"),
    (metrics.check_inputs_untouched, component(Overwriting, **ANSWERING), "it changes the batch"),
    (metrics.check_range, component(Doubled), "is outside [0.0, 100.0]"),
    (metrics.check_range, component(direction="down"), "ideal 100.0 is not the best of [0.0, 100.0]"),
    (metrics.check_range, component(ideal=101.0), "ideal 101.0 is not the best of"),
    (metrics.check_range, component(range=(0.0, 1.0), ideal=1.0), "its unit is '%', but its range ends at 1.0"),
    (metrics.check_interval, component(Pointed), "has neither interval nor note"),
    (metrics.check_batches, component(MeanOfMeans), "given the samples one by one, the "),
    (metrics.check_batches, component(OrderMatters), "uneven batches and another order, the value of"),
    (metrics.check_excluded, component(Forgetful), "n_excluded is 0"),
    (metrics.check_excluded, component(Generous), "given excluded samples besides, the value"),
    (metrics.check_no_samples, component(Optimistic), "without samples, it gives {'retain': 100.0}"),
    (metrics.check_no_samples, component(Dividing), "without samples, it ends in ZeroDivisionError"),
    (metrics.check_bad_pictures, component(Darker, scorers=()), "given float pictures in [0, 1] instead of uint8"),
    (metrics.check_bad_verdicts, component(Trusting), "given NaN verdicts, it gives {"),
    (metrics.check_bad_verdicts, component(Credulous, scorers=("spots",)), "given NaN verdicts, it gives {"),
    (metrics.check_direction, component(forget_direction="up"), "on 'forget' the right verdicts give 0.0"),
    (metrics.check_direction, component(direction="down", forget_direction=None), "on 'retain' the right verdicts"),
    (metrics.check_same_pictures, PAIRS, "pictures compared with themselves give 0.0 on 'forget', not 1.0"),
    (metrics.check_inputs_untouched, component(Destructive, scorers=()), "it changes the batch"),
]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.load().__name__)
@pytest.mark.parametrize("check", metrics.CHECKS, ids=lambda check: check.name)
def test_a_good_metric_passes(check, good):
    if check.fits(good):
        check.function(good)
    else:
        assert check.function is metrics.check_same_pictures or not good.spec.scorers


@pytest.mark.parametrize(("check", "bad", "problem"), BAD)
def test_a_bad_metric_fails(check, bad, problem):
    with pytest.raises(CheckError) as raised:
        check(bad)
    assert problem in raised.value.problem
    assert raised.value.fix


def test_every_check_has_a_bad_fake():
    assert {check.function for check in metrics.CHECKS} == {check for check, _, _ in BAD}
