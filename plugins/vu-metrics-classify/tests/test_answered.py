"""Metrics of answers that are made up, beside plain loops; what they refuse, and what counts as few."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from vu_metrics_classify import features
from vu_metrics_classify.accuracies import ForgetAccuracy, UnlearningAccuracy
from vu_metrics_classify.config import (
    DistanceConfig,
    DistributionConfig,
    FewConfig,
    KlomConfig,
    LiraConfig,
    LossConfig,
    RmiaConfig,
    SplitConfig,
    SvcConfig,
)
from vu_metrics_classify.gaps import AverageGap, TugOfWar
from vu_metrics_classify.likelihood import Lira, LiraTpr, Rmia
from vu_metrics_classify.likeness import ActivationDistance, Agreement, JsToRetrained, Zrf
from vu_metrics_classify.membership import (
    EntropyAttack,
    LossAttack,
    SvcAttack,
    svc_members,
)
from vu_metrics_classify.plugin import vu_metrics
from vu_metrics_classify.populations import Klom, Ulira, attack_accuracy, klom
from vu_metrics_classify.streisand import Streisand

from vu_core import Answers, Batch, ComputeError, Concept, Request, Sample

NAMES = ("a", "b", "c")
CLASS = Request(forget=(Concept(name="a", kind="class"),))
RANDOM = Request(forget=(Concept(name="random", kind="samples"),))


def logits_of(probabilities: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def answers(logits: torch.Tensor, features: torch.Tensor | None = None) -> Answers:
    names = NAMES[: logits.shape[1]]
    features = torch.zeros(len(logits), 0) if features is None else features
    return Answers(
        kind="class", names=names, logits=logits, features=torch.zeros(len(logits), 0) if features is None else features
    )


def samples(split: str, labels: Sequence[int], *, forget: bool = False) -> list[Sample]:
    marked = {"samples": "random"} if forget else {}
    return [
        Sample(
            id=f"{split}-{forget}-{i:04d}",
            prompt="",
            seed=0,
            attributes={"class": NAMES[label], **marked},
            split=split,
        )
        for i, label in enumerate(labels)
    ]


def batch(shown: Sequence[Sample], found: Answers, retrained: Sequence[Answers] = ()) -> Batch:
    nothing = torch.empty(len(shown), 3, 0, 0, dtype=torch.uint8)
    return Batch(samples=shown, images=nothing, scores={"model": found}, retrained=retrained)


def measure(metric: Any, *batches: Batch) -> dict[str, Any]:
    for one in batches:
        metric.update(one)
    return {one.group: one for one in metric.compute()}


def world(seed: int, sizes: dict[str, int], *, models: int = 0, classes: int = 3) -> Batch:
    """Return random answers to pictures to forget, retained, validation and test pictures, so many of each."""
    generator = torch.Generator().manual_seed(seed)
    shown: list[Sample] = []
    for split, forget in (("train", True), ("train", False), ("validation", False), ("test", False)):
        count = sizes["forget"] if forget else sizes[split]
        shown += samples(split, torch.randint(0, classes, (count,), generator=generator).tolist(), forget=forget)
    labels = torch.tensor([NAMES.index(sample.attributes["class"]) for sample in shown])
    bonus = torch.nn.functional.one_hot(labels, classes).double()

    def answered() -> Answers:
        features = torch.randn(len(shown), 4, generator=generator, dtype=torch.float64)
        noise = torch.randn(len(shown), classes, generator=generator, dtype=torch.float64)
        return answers(2 * bonus + noise, features)

    return batch(shown, answered(), [answered() for _ in range(models)])


FEW = {"allow_few": True}
SIZES = {"forget": 30, "train": 80, "validation": 20, "test": 60}


def softmax(row: list[float]) -> list[float]:
    parts = [math.exp(z) for z in row]
    return [part / sum(parts) for part in parts]


def test_accuracies():
    labels, predicted = torch.tensor([0, 1, 2, 2]), torch.eye(3)[torch.tensor([0, 1, 1, 2])]
    assert features.correctness(predicted, labels).mean() == 0.75
    shown = samples("train", labels.tolist(), forget=True)
    unlearned = measure(UnlearningAccuracy(request=RANDOM), batch(shown, answers(predicted)))
    kept = measure(ForgetAccuracy(request=RANDOM), batch(shown, answers(predicted)))
    assert {name: one.value for name, one in unlearned.items()} == {"forget": 25.0, "a": 0.0, "b": 0.0, "c": 50.0}
    assert kept["forget"].value == 75.0
    assert (round(kept["forget"].interval.low, 2), round(kept["forget"].interval.high, 2)) == (30.06, 95.44)


def test_gaps_of_answers_equal_plain_loops():
    given = world(0, SIZES, models=3)
    models = [given.scores["model"], *given.retrained]
    parts = {"forget": ("train", True), "retain": ("train", False), "test": ("test", False)}

    def share(model: object, part: str) -> float:
        split, forget = parts[part]
        right = [
            row.index(max(row)) == "abc".index(sample.attributes["class"])
            for sample, row in zip(given.samples, model.logits.tolist(), strict=True)
            if sample.split == split and ("samples" in sample.attributes) == forget
        ]
        return sum(right) / len(right)

    product = 1.0
    for part in parts:
        own, *others = (share(model, part) for model in models)
        product *= 1 - abs(own - statistics.fmean(others))
    assert measure(TugOfWar(request=RANDOM), given)["all"].value == pytest.approx(product, abs=1e-12)
    attacks = [
        measure(SvcAttack(request=RANDOM, config=SvcConfig(**FEW)), batch(given.samples, model))["forget"].value
        for model in models
    ]
    gaps = [100 * abs(share(models[0], p) - statistics.fmean(share(m, p) for m in models[1:])) for p in parts]
    gaps.append(abs(attacks[0] - statistics.fmean(attacks[1:])))
    found = measure(AverageGap(request=RANDOM, config=SvcConfig(**FEW)), given)["all"]
    assert found.value == pytest.approx(statistics.fmean(gaps), abs=1e-9)
    assert "no interval" in found.note


def test_the_support_vector_attack_on_new_pictures_is_the_contrary():
    given = world(3, SIZES)
    chosen = {name: [i for i, s in enumerate(given.samples) if s.split == name] for name in ("train", "test")}
    read = features.confidence(given.scores["model"].logits, given.scores["model"].labels(given.samples)).numpy()[
        :, None
    ]
    members, test = read[chosen["train"][30:90]], read[chosen["test"]]
    assert (~svc_members(members, test, test)).mean() == 1 - svc_members(members, test, test).mean()


@pytest.mark.parametrize(("form", "expected"), [("l2", 0.7071068), ("rms", 1.0), ("l1", 1.0)])
def test_distances_have_three_forms(form, expected):
    tiny = 1e-300
    shown = samples("train", [0, 0], forget=True)
    own, other = ([[1.0, tiny], [0.5, 0.5]], [[tiny, 1.0], [0.5, 0.5]])
    given = batch(shown, answers(logits_of(own)), [answers(logits_of(other))])
    found = measure(ActivationDistance(request=RANDOM, config=DistanceConfig(form=form, **FEW)), given)
    assert found["forget"].value == pytest.approx(expected, abs=1e-7)


def test_agreement():
    one, other = torch.eye(3)[torch.tensor([0, 1, 2, 2])], torch.eye(3)[torch.tensor([0, 1, 1, 2])]
    given = batch(samples("train", [0] * 4, forget=True), answers(one), [answers(other), answers(one)])
    found = measure(Agreement(request=RANDOM, config=SplitConfig(**FEW)), given)
    assert found["forget"].value == (75 + 100) / 2


def test_likeness_is_averaged_over_models():
    given = world(1, SIZES, models=2)
    found = measure(JsToRetrained(request=RANDOM, config=SplitConfig(**FEW)), given)["forget"].value
    total = []
    for i, sample in enumerate(given.samples):
        if "samples" in sample.attributes:
            p = softmax(given.scores["model"].logits[i].tolist())
            for other in given.retrained:
                q = softmax(other.logits[i].tolist())
                m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
                total += [sum(a * math.log(a / c) for a, c in zip(r, m, strict=True)) / 2 for r in (p, q)]
    assert found == pytest.approx(2 * statistics.fmean(total), abs=1e-12)


def test_zrf_is_averaged_over_untrained_models_and_pictures_to_forget():
    given = world(6, SIZES, models=3)
    given = replace(given, retrained=(), untrained=given.retrained)
    total = []
    for i, sample in enumerate(given.samples):
        if "samples" in sample.attributes:
            p = softmax(given.scores["model"].logits[i].tolist())
            for other in given.untrained:
                q = softmax(other.logits[i].tolist())
                halves = [
                    (a * math.log(2 * a / (a + b)) + b * math.log(2 * b / (a + b))) / 2
                    for a, b in zip(p, q, strict=True)
                ]
                total.append(1 - sum(halves))
    (found,) = measure(Zrf(request=RANDOM, config=SplitConfig(**FEW)), given).values()
    assert found.value == pytest.approx(statistics.fmean(total), abs=1e-12)
    assert (found.group, found.n) == ("forget", 30)
    assert found.interval.low < found.value < found.interval.high


def test_populations_are_the_model_and_others_beside_retrained_ones():
    given = world(7, SIZES, models=9)
    given = replace(given, unlearned=given.retrained[:4], retrained=given.retrained[4:])
    labels = given.scores["model"].labels(given.samples)
    margins = [
        features.margin(one.logits, labels).numpy()
        for one in (given.scores["model"], *given.unlearned, *given.retrained)
    ]
    forget = np.array([place for place, sample in enumerate(given.samples) if "samples" in sample.attributes])
    unlearned, retrained = np.stack(margins[:5])[:, forget], np.stack(margins[5:])[:, forget]
    for percentile in (50, 95):
        found = measure(Klom(request=RANDOM, config=KlomConfig(percentile=percentile, **FEW)), given)
        expected = np.percentile(klom(unlearned, retrained), percentile)
        assert found["forget"].value == pytest.approx(expected, abs=1e-12)
        assert {group: one.n for group, one in found.items()} == {"forget": 30, "retain": 80}
    (found,) = measure(Ulira(request=RANDOM, config=FewConfig(**FEW)), given).values()
    assert found.value == pytest.approx(100 * attack_accuracy(unlearned, retrained, pooled=True).mean(), abs=1e-12)
    assert "5 unlearned models, 16 are needed" in found.note
    for metric, config in ((Klom, KlomConfig), (Ulira, FewConfig)):
        (refused, *_) = measure(metric(request=RANDOM, config=config()), given).values()
        assert refused.value is None
        (impossible, *_) = measure(metric(request=RANDOM, config=config(**FEW)), replace(given, unlearned=())).values()
        assert impossible.value is None


def test_attacks_find_what_was_learned():
    """Pictures to forget are answered as surely as members; then each attack tells them from new ones."""
    given = world(5, {"forget": 150, "train": 400, "validation": 1000, "test": 400}, models=20)
    learned = torch.tensor([[4.0 * (s.split == "train")] for s in given.samples])
    labels = given.scores["model"].labels(given.samples)
    bonus = torch.nn.functional.one_hot(labels, 3) * learned
    sure = batch(given.samples, answers(given.scores["model"].logits + bonus), given.retrained)
    attacks = {
        "svc": (SvcAttack, SvcConfig()),
        "entropy": (EntropyAttack, FewConfig(**FEW)),
        "loss": (LossAttack, LossConfig(**FEW)),
        "lira": (Lira, LiraConfig()),
        "rmia": (Rmia, RmiaConfig()),
        "streisand": (Streisand, DistributionConfig(**FEW)),
    }
    values = {
        name: [measure(metric(request=RANDOM, config=config), one)["forget"].value for one in (sure, given)]
        for name, (metric, config) in attacks.items()
    }
    assert values["svc"][0] < 25 < values["svc"][1]
    assert values["entropy"][0] > values["entropy"][1]
    assert values["loss"][0] > 80 > 65 > values["loss"][1]
    for name in ("lira", "rmia"):
        assert values[name][0] > 0.9
        assert 0.4 < values[name][1] < 0.6
    assert values["streisand"][0] < 0.1
    assert 0.4 < values["streisand"][1] < 0.6


def test_a_forgotten_class_is_compared_with_new_pictures_of_it():
    shown = samples("train", [0] * 30) + samples("test", [0] * 30 + [1] * 30)
    # Class b is told with a lower loss than a, learned or not.
    logits = torch.cat([torch.zeros(60, 3), torch.tensor([[0.0, 9, 0]]).expand(30, 3)])
    found = measure(Streisand(request=CLASS, config=DistributionConfig(**FEW)), batch(shown, answers(logits)))
    assert found["forget"].value == 0.5


def test_answers_that_are_none_are_refused():
    shown = samples("train", [0, 1])
    logits = torch.zeros(2, 3)
    bad = [
        (answers(torch.full((2, 3), torch.nan)), "NaN or infinite"),
        (answers(torch.full((2, 3), torch.inf)), "NaN or infinite"),
        (answers(logits.long()), "not floating-point"),
        (answers(torch.zeros(3, 3)), "not floating-point numbers for 2 pictures"),
        (answers(logits, torch.zeros(2)), "the features are"),
        (answers(torch.zeros(2, 1)), "1 classes"),
        (None, "it needs a classifier's answers, not NoneType"),
    ]
    for found, problem in bad:
        with pytest.raises(ComputeError, match=problem):
            measure(UnlearningAccuracy(request=RANDOM), batch(shown, found))
    with pytest.raises(ComputeError, match="'c' is no class that the model knows"):
        measure(UnlearningAccuracy(request=RANDOM), batch(samples("train", [2, 2]), answers(torch.zeros(2, 2))))


def test_too_few_are_refused_unless_told_and_then_said():
    given = world(2, SIZES, models=3)
    metrics = [
        (SvcAttack, SvcConfig, "60 test pictures, 200 are needed"),
        (EntropyAttack, FewConfig, "30 pictures to forget, 200 are needed"),
        (LossAttack, LossConfig, "30 pictures to forget, 200 are needed"),
        (Streisand, DistributionConfig, "30 pictures to forget, 200 are needed"),
        (Lira, LiraConfig, "3 retrained models, 16 are needed"),
        (Rmia, RmiaConfig, "20 validation pictures, 1000 are needed"),
        (JsToRetrained, SplitConfig, "30 pictures, 100 are needed"),
        (AverageGap, SvcConfig, "30 pictures to forget, 100 are needed"),
    ]
    for metric, config, why in metrics:
        refused, told = (
            next(iter(measure(metric(request=RANDOM, config=config(allow_few=few)), given).values()))
            for few in (False, True)
        )
        assert refused.value is None, metric
        assert told.value is not None, metric
        assert why in refused.note, metric
        assert why in told.note, metric


def test_two_retrained_models_are_no_reference_for_gaps():
    found = measure(TugOfWar(request=RANDOM), world(2, SIZES, models=2))["all"]
    assert found.value is None
    assert "2 retrained models to compare with, 3 are needed" in found.note


def test_rates_that_so_few_pictures_cannot_show_are_not_resolvable():
    given = world(2, {**SIZES, "test": 150}, models=20)
    found = measure(LiraTpr(request=RANDOM, config=LiraConfig(fpr=0.001, **FEW)), given)["forget"]
    assert found.value is None
    assert "not resolvable: a rate of 0.001 needs 1000 test pictures" in found.note


def test_what_is_drawn_depends_on_the_seed_alone():
    given = world(4, {**SIZES, "train": 300})
    one, same, other = (
        measure(SvcAttack(request=RANDOM, config=SvcConfig(seed=seed, **FEW)), given)["forget"] for seed in (0, 0, 1)
    )
    assert one.values == same.values
    assert one.values != other.values


def test_a_share_pairs_before_and_after_by_picture():
    found = measure(SvcAttack(request=RANDOM, config=SvcConfig(**FEW)), world(4, SIZES))["forget"]
    assert found.sample_ids == [f"train-True-{i:04d}" for i in range(30)]
    assert sum(found.values) / 30 == found.value


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_answers_of_half_precision_agree_up_to_their_rounding(dtype):
    """Logits in 16 bits move by less than a hundredth; from there on all is float64."""
    given = world(7, {"forget": 120, "train": 240, "validation": 60, "test": 160}, models=4)

    def rounded(found: Answers) -> Answers:
        return answers(found.logits.to(dtype), found.features.to(dtype))

    near = batch(given.samples, rounded(given.scores["model"]), [rounded(one) for one in given.retrained])
    metrics = [
        (UnlearningAccuracy, None),
        (ForgetAccuracy, None),
        (SvcAttack, SvcConfig),
        (EntropyAttack, FewConfig),
        (LossAttack, LossConfig),
        (Streisand, DistributionConfig),
        (Lira, LiraConfig),
        (Rmia, RmiaConfig),
        (JsToRetrained, SplitConfig),
        (ActivationDistance, DistanceConfig),
        (Agreement, SplitConfig),
        (TugOfWar, FewConfig),
    ]
    units = {spec.target.partition(":")[2]: spec.unit for spec in vu_metrics()}
    for metric, config in metrics:
        options = {"config": config(**FEW)} if config else {}
        exact, other = (measure(metric(request=RANDOM, **options), one) for one in (given, near))
        assert exact.keys() == other.keys()
        for group, found in exact.items():
            assert found.value is not None, (metric, found.note)
            tolerance = 3.0 if units[metric.__name__] == "%" else 0.03
            assert other[group].value == pytest.approx(found.value, abs=tolerance), (metric, group)
