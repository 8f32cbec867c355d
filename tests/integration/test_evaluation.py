"""Evaluation of invented pictures by invented judges and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from vu_core.context import RunContext
from vu_core.errors import ConfigError
from vu_core.evaluation import evaluate, reference_of
from vu_core.interfaces import Classes, Picture
from vu_core.judging import judge
from vu_core.meters import MetricUse, metric_use
from vu_core.registry import Entry
from vu_core.specs import MetricSpec
from vu_core.statistics import mean_measurement
from vu_core.types import Concept, Measurement, Request, Sample

CAT = Concept(name="cat")
REQUEST = Request(forget=(CAT,))
SAMPLES = [
    Sample(id=f"{name}-{i}", prompt=name, seed=i, attributes={"object": name}, cluster=f"{name}-{i}")
    for name in ("cat", "dog")
    for i in range(12)
]


class Brightness:
    """A judge whose similarity is the picture's brightness; refuses pictures of exactly 13."""

    name, version = "brightness-2", "1"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        self.batches.append(len(images))
        if (images == 13).any():
            raise RuntimeError("unlucky")
        return images.double().mean((1, 2, 3)) / 255


class MeanScore:
    """The mean of the judge's numbers over the forgotten and the retained."""

    def __init__(self, *, request, neighbours, config):
        self.request, self.rows, self.excluded = request, [], []

    def update(self, batch):
        self.rows += zip(batch.samples, batch.scores["clip"].tolist(), strict=True)

    def exclude(self, sample, reason):
        self.excluded.append(sample)

    def compute(self):
        return [self._of(group) for group in ("forget", "retain")]

    def _of(self, group) -> Measurement:
        rows = [(s, v) for s, v in self.rows if s.group(self.request) == group]
        return mean_measurement(
            group,
            [v for _, v in rows],
            sample_ids=[s.id for s, _ in rows],
            clusters=[s.cluster for s, _ in rows],
            n_excluded=sum(s.group(self.request) == group for s in self.excluded),
        )


class Moved(MeanScore):
    """How far the judge's numbers moved since before unlearning."""

    def update(self, batch):
        assert batch.reference.samples == batch.samples
        moved = (batch.scores["clip"] - batch.reference.scores["clip"]).abs()
        self.rows += zip(batch.samples, moved.tolist(), strict=True)


class FromReal(MeanScore):
    """How far the judge's numbers are from the mean over real pictures of the same group."""

    real: list

    def update(self, batch):
        self.rows += zip(batch.samples, batch.scores["clip"].tolist(), strict=True)
        self.real = getattr(self, "real", [])
        if batch.reference:
            self.real += zip(batch.reference.samples, batch.reference.scores["clip"].tolist(), strict=True)

    def _of(self, group) -> Measurement:
        drawn = super()._of(group)
        real = [v for s, v in self.real if s.group(self.request) == group]
        return Measurement(group=group, value=drawn.value - sum(real) / len(real), n=drawn.n, note="a distance")


class Endless(MeanScore):
    def compute(self):
        return [Measurement(group="forget", value=float("inf"), n=12)]


class Failing(MeanScore):
    def update(self, batch):
        raise ZeroDivisionError("nothing to divide")


def use(target=MeanScore, **fields) -> MetricUse:
    values = {"name": "toy", "summary": "s", "direction": "up", "unit": "", "scorers": ("clip",), **fields}
    return MetricUse(spec=MetricSpec(**values), load=lambda: target, request=REQUEST)


def pictures(levels: dict[str, int]):
    def read(sample: Sample) -> torch.Tensor:
        if sample.id not in levels:
            raise FileNotFoundError(sample.id)
        return torch.full((3, 4, 4), levels[sample.id], dtype=torch.uint8)

    return read


BEFORE = {sample.id: 100 + sample.seed for sample in SAMPLES}
AFTER = {key: level - 51 if key.startswith("cat") else level for key, level in BEFORE.items()}


def evaluated(tmp_path, before=BEFORE, after=AFTER, uses=None, **options):
    scorers = {"clip": Brightness()}
    ctx = RunContext(out_dir=tmp_path)
    return evaluate(pictures(before), pictures(after), SAMPLES, uses or [use()], scorers, ctx, **options)


def test_before_and_after_are_paired(tmp_path):
    results, errors = evaluated(tmp_path)
    assert errors == []
    forget, retain = results
    assert (forget.group, forget.n, retain.group) == ("forget", 12, "retain")
    assert forget.before == pytest.approx(105.5 / 255)
    assert forget.change == pytest.approx(-0.2)
    assert (forget.interval.low, forget.interval.high) == pytest.approx((-0.2, -0.2))
    assert (retain.change, retain.p_value) == (0, 1)
    assert (forget.p_holm, retain.p_holm) == (2 * forget.p_value, 1)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_batches_do_not_matter(tmp_path, batch_size):
    assert evaluated(tmp_path, batch_size=batch_size) == evaluated(tmp_path, batch_size=7)


def test_a_missing_picture_is_excluded_counted_and_an_error(tmp_path):
    after = {key: level for key, level in AFTER.items() if key != "cat-3"}
    results, errors = evaluated(tmp_path, after=after)
    assert (results[0].n, results[0].n_excluded) == (11, 1)
    assert results[0].change == pytest.approx(-0.2)
    assert "11 samples" in results[0].note
    assert len(errors) == 1
    assert "after: 1 of 24 pictures are excluded" in errors[0]
    assert "cat-3" in errors[0]
    assert evaluated(tmp_path, after=after, allowed_excluded=0.05)[1] == []


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_judge_that_fails_on_one_picture_excludes_that_one(tmp_path, batch_size):
    results, errors = evaluated(tmp_path, after={**AFTER, "dog-0": 13}, batch_size=batch_size)
    assert [(r.n, r.n_excluded) for r in results] == [(12, 0), (11, 1)]
    assert "brightness-2: RuntimeError: unlucky" in errors[0]


def test_a_failing_metric_is_an_error_and_the_others_go_on(tmp_path):
    uses = [use(Failing, name="failing"), use(), use(min_samples=99, name="many"), use(range=(0, 0.1), name="narrow")]
    results, errors = evaluated(tmp_path, uses=uses)
    assert {r.metric for r in results} == {"toy"}
    assert [error.partition(":")[0] for error in errors] == [
        f"metric '{name}', {when}" for name in ("failing", "many", "narrow") for when in ("before", "after")
    ]
    assert "ZeroDivisionError: nothing to divide" in errors[0]
    assert "too few" in errors[2]
    assert "outside" in errors[4]


def test_an_infinite_number_is_an_error_of_its_metric_alone(tmp_path):
    results, errors = evaluated(tmp_path, uses=[use(Endless, name="endless"), use()])
    assert {r.metric for r in results} == {"toy"}
    assert errors[1] == "metric 'endless', after: its value on 'forget' is inf"


def test_a_metric_fails_alone_when_its_judge_is_missing(tmp_path):
    results, errors = evaluated(tmp_path, uses=[use(scorers=("face",), name="faces"), use()])
    assert {r.metric for r in results} == {"toy"}
    assert "no scorer plays the role 'face'" in errors[0]


PAIRS = {"compares": "before", "range": (0.0, None)}


def test_pairs_are_measured_once(tmp_path):
    results, errors = evaluated(tmp_path, uses=[use(Moved, **PAIRS)], batch_size=7)
    assert errors == []
    forget, retain = results
    assert (forget.before, forget.change, forget.interval, forget.before_interval) == (None, None, None, None)
    assert forget.after == pytest.approx(0.2)
    assert forget.after_interval.low == pytest.approx(0.2)
    assert (forget.n, retain.n, retain.after) == (12, 12, 0)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_pair_needs_both_pictures_and_both_verdicts(tmp_path, batch_size):
    before = {**BEFORE, "dog-0": 13}
    after = {key: level for key, level in AFTER.items() if key != "cat-3"}
    results, errors = evaluated(tmp_path, before=before, after=after, uses=[use(Moved, **PAIRS)], batch_size=batch_size)
    assert [(r.n, r.n_excluded) for r in results] == [(11, 1), (11, 1)]
    assert len(errors) == 1
    assert "after: 2 of 24 pictures are excluded" in errors[0]


def test_pictures_of_two_sizes_are_no_pair(tmp_path):
    def smaller(sample: Sample) -> torch.Tensor:
        return torch.zeros((3, 2, 4), dtype=torch.uint8)

    ctx = RunContext(out_dir=tmp_path)
    found, errors = evaluate(smaller, pictures(AFTER), SAMPLES, [use(Moved, **PAIRS)], {"clip": Brightness()}, ctx)
    assert found == []
    assert "the picture is 4 x 4 now and was 2 x 4 before unlearning" in errors[0]


def test_nothing_after_leaves_no_pair(tmp_path):
    ctx = RunContext(out_dir=tmp_path)
    uses = [use(Moved, **PAIRS), use()]
    results, errors = evaluate(pictures(BEFORE), None, SAMPLES, uses, {"clip": Brightness()}, ctx)
    assert errors == []
    assert (results[0].before, results[0].after, results[0].n) == (None, None, 0)
    assert "none is after" in results[0].note
    assert results[1].before is not None


class Real:
    """A dataset with a few pictures, one of which cannot be read."""

    def pictures(self, split):
        levels = {"cat": [10, 20], "dog": [30, 50, None]}
        return [
            Picture(
                id=f"{split}-{name}-{i}",
                caption=name,
                attributes={"object": name},
                load=lambda level=level: solid(level),
            )
            for name, found in levels.items()
            for i, level in enumerate(found)
        ]


def solid(level: int | None) -> torch.Tensor:
    if level is None:
        raise OSError("damaged")
    return torch.full((3, 9, 9), level, dtype=torch.uint8)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_sets_are_compared_with_real_pictures(tmp_path, batch_size):
    uses = [use(FromReal, compares="pictures"), use()]
    reference = reference_of(uses, Real())
    assert {sample.id.partition("-")[0] for sample in reference.samples} == {"test"}
    results, errors = evaluated(tmp_path, uses=uses, reference=reference, batch_size=batch_size, allowed_excluded=0.5)
    assert errors == []
    forget, retain = results[:2]
    assert forget.before == pytest.approx((105.5 - 15) / 255)
    assert retain.before == retain.after == pytest.approx((105.5 - 40) / 255)
    assert forget.change == pytest.approx(-0.2)
    assert "not a mean" in forget.note
    assert results[2:] == evaluated(tmp_path, uses=[use()])[0]


def test_a_metric_of_real_pictures_needs_a_dataset_that_has_some():
    assert reference_of([use()], None) is None
    with pytest.raises(ConfigError, match="metric 'toy' compares with real pictures, but the protocol's dataset"):
        reference_of([use(compares="pictures")], object())


def test_direction_and_label_of_a_result(tmp_path):
    fields = {"forget_direction": "down", "ideal": 1.0, "label": "toy[{clip},x1]", "unit": "cos"}
    (forget, retain), _ = evaluated(tmp_path, uses=[use(**fields)])
    assert (forget.metric, forget.unit) == ("toy[brightness-2,x1]", "cos")
    assert (forget.direction, forget.ideal) == ("down", None)
    assert (retain.direction, retain.ideal) == ("up", 1.0)


def test_every_judge_sees_every_picture_once():
    scorer = Brightness()
    seen = list(judge(pictures(BEFORE), SAMPLES, {"clip": scorer}, batch_size=10))
    assert scorer.batches == [10, 10, 4]
    assert [s.id for judged in seen for s in judged.samples] == [s.id for s in SAMPLES]


def test_of_large_pictures_fewer_are_judged_together():
    scorer, large = Brightness(), torch.zeros((3, 512, 1024), dtype=torch.uint8)
    seen = list(judge(lambda sample: large, SAMPLES, {"clip": scorer}))
    assert scorer.batches == [8, 8, 8]
    assert [s.id for judged in seen for s in judged.samples] == [s.id for s in SAMPLES]


def test_pictures_of_several_sizes_are_judged_apart():
    def read(sample: Sample) -> torch.Tensor:
        return torch.zeros((3, 4 + sample.seed % 2, 4), dtype=torch.uint8)

    assert sum(len(judged.samples) for judged in judge(read, SAMPLES, {"clip": Brightness()})) == len(SAMPLES)


def test_what_is_no_picture_is_excluded():
    judged = list(judge(lambda sample: torch.rand(3, 4, 4), SAMPLES[:1], {"clip": Brightness()}))
    assert "not uint8" in judged[0].problem(["clip"])


@dataclass(frozen=True)
class Options:
    strength: float = 1.0


def test_options_of_a_metric_are_checked(monkeypatch):
    spec = MetricSpec(name="toy", summary="s", direction="up", unit="", target="json:loads")
    entry = Entry(spec=spec, plugin="vu-toy", version="1")
    assert metric_use(entry, {}, REQUEST, [CAT]).neighbours == (CAT,)
    with pytest.raises(ConfigError, match="has no options, but strength"):
        metric_use(entry, {"strength": 2}, REQUEST, ())
    monkeypatch.setattr(Entry, "config_class", lambda self: Options)
    assert metric_use(entry, {"strength": 2.0}, REQUEST, ()).config == Options(2.0)
    with pytest.raises(ConfigError, match=r"metric 'toy'.*strength"):
        metric_use(entry, {"strenght": 2}, REQUEST, ())


@pytest.mark.parametrize(("least", "given"), [(12, True), (13, False)])
def test_of_fewer_pictures_than_the_protocol_asks_for_there_is_no_number(tmp_path, least, given):
    results, problems = evaluated(tmp_path, uses=[replace(use(), least=least)])
    assert [(r.group, r.n, r.after is not None, r.interval is not None) for r in results] == [
        (group, 12, given, given) for group in ("forget", "retain")
    ]
    assert not problems and ("12 pictures are too few, the protocol asks for 13" in results[0].note) == (not given)


def test_labels_of_classes_are_the_first_of_equals():
    assert Classes(names=("a", "b"), probabilities=torch.tensor([[0.5, 0.5]])).labels() == ["a"]
