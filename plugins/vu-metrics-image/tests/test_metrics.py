"""Definitions, laws and traps of the metrics, on invented verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy
from vu_metrics_image.classification import (
    Confidence,
    CrossDomainRetainAccuracy,
    InDomainRetainAccuracy,
    RecognisedUnlearningAccuracy,
    Replaced,
    SynonymUnlearningAccuracy,
    UnlearningAccuracy,
    Unrecognised,
)
from vu_metrics_image.grouped import GroupedMean
from vu_metrics_image.harmonic import ErasedAndKept, ErasedKeptAndGeneral, harmonic, harmonic_interval
from vu_metrics_image.plugin import vu_metrics
from vu_metrics_image.similarity import ClipCosine, ClipScore, ClipScore25

from vu_core import Batch, Classes, ComputeError, Concept, Measurement, Request, Sample
from vu_core.statistics import wilson

THEMES, OBJECTS = ("A", "B", "C"), ("0", "1")
THEME_NAMES, OBJECT_NAMES = (*THEMES, "other"), (*OBJECTS, "other")
FORGET_THEME = Request(forget=(Concept(name="A", kind="theme"),))
FORGET_OBJECT = Request(forget=(Concept(name="0", kind="object"),))
SEEN_THEMES = {"A": "BA", "B": "BB", "C": "CA"}
SEEN_OBJECTS = {"A": "00", "B": "01", "C": "01"}
SHARES = [UnlearningAccuracy, RecognisedUnlearningAccuracy, Unrecognised]
SHARES += [InDomainRetainAccuracy, CrossDomainRetainAccuracy]


def sample(theme: str, thing: str, seed: int = 0) -> Sample:
    cluster = f"{theme}-{thing}"
    attributes = {"theme": theme, "object": thing}
    return Sample(id=f"{cluster}-{seed}", prompt=cluster, seed=seed, attributes=attributes, cluster=cluster)


def classes(names: Sequence[str], seen: Sequence[str]) -> Classes:
    probabilities = torch.full((len(seen), len(names)), 0.1)
    for row, name in enumerate(seen):
        probabilities[row, names.index(name)] = 0.9
    return Classes(names=names, probabilities=probabilities / probabilities.sum(1, keepdim=True))


def batch(samples: Sequence[Sample], themes: Sequence[str], objects: Sequence[str]) -> Batch:
    scores = {"theme": classes(THEME_NAMES, themes), "object": classes(OBJECT_NAMES, objects)}
    return Batch(samples=samples, images=torch.zeros(len(samples), 3, 2, 2, dtype=torch.uint8), scores=scores)


def published() -> Batch:
    """Return the worked example: 3 themes x 2 objects, one picture each."""
    samples = [sample(theme, thing) for theme in THEMES for thing in OBJECTS]
    return batch(samples, "".join(SEEN_THEMES.values()), "".join(SEEN_OBJECTS.values()))


def measured(metric: GroupedMean, *batches: Batch) -> dict[str, Measurement]:
    for one in batches:
        metric.update(one)
    return {measurement.group: measurement for measurement in metric.compute()}


def value(metric: type[GroupedMean], request: Request, group: str) -> float | None:
    return measured(metric(request=request), published())[group].value


def test_worked_example_with_a_forgotten_theme():
    assert value(UnlearningAccuracy, FORGET_THEME, "forget") == 50
    assert value(InDomainRetainAccuracy, FORGET_THEME, "retain") == 75
    assert value(CrossDomainRetainAccuracy, FORGET_THEME, "retain") == 100


def test_the_published_script_pools_the_forgotten_pictures_into_cra():
    found = measured(CrossDomainRetainAccuracy(request=FORGET_THEME), published())
    pooled = [*found["forget"].values, *found["retain"].values]
    assert sum(pooled) / len(pooled) == pytest.approx(83.3333, abs=1e-4)


def test_worked_example_with_a_forgotten_object():
    assert value(UnlearningAccuracy, FORGET_OBJECT, "forget") == 0
    assert value(InDomainRetainAccuracy, FORGET_OBJECT, "retain") == pytest.approx(66.6667, abs=1e-4)
    assert value(CrossDomainRetainAccuracy, FORGET_OBJECT, "retain") == pytest.approx(66.6667, abs=1e-4)


def test_nothing_recognisable_is_not_recognised_as_something_else():
    samples = [sample("A", "0", seed) for seed in range(4)]
    one = batch(samples, ["B", "other", "A", "other"], ["0"] * 4)
    shares = {cls: measured(cls(request=FORGET_THEME), one)["forget"].value for cls in SHARES[:3]}
    assert shares == {UnlearningAccuracy: 75, RecognisedUnlearningAccuracy: 25, Unrecognised: 50}


def with_synonyms(erased: int, kept: int, general: int) -> Batch:
    """Return ten pictures each of A, of B, and of other words for A; so many are judged A, B and A."""
    samples = [sample(theme, "0", seed) for theme in "AB" for seed in range(10)]
    samples += [replace(sample("A", "0", seed), id=f"A-alpha-{seed}", synonym=True) for seed in range(10)]
    seen = ["A"] * erased + ["C"] * (10 - erased) + ["B"] * kept + ["C"] * (10 - kept)
    return batch(samples, [*seen, *["A"] * general, *["B"] * (10 - general)], ["0"] * 30)


def test_other_words_are_a_number_of_their_own():
    one = with_synonyms(erased=1, kept=9, general=2)
    assert measured(UnlearningAccuracy(request=FORGET_THEME), one)["forget"].value == 90
    assert measured(SynonymUnlearningAccuracy(request=FORGET_THEME), one)["forget"].value == 80
    assert measured(SynonymUnlearningAccuracy(request=FORGET_THEME), one)["forget"].n == 10
    assert measured(InDomainRetainAccuracy(request=FORGET_THEME), one)["retain"].value == 90
    assert measured(CrossDomainRetainAccuracy(request=FORGET_THEME), one)["forget"].n == 10
    without = measured(SynonymUnlearningAccuracy(request=FORGET_THEME), published())["forget"]
    assert (
        without.value is None and without.note == "no picture asks for a forgotten concept in other words than its own"
    )


def test_h_o_of_the_worked_example():
    """Acc_e 0.1, Acc_s 0.9, Acc_g 0.2."""
    (found,) = measured(ErasedKeptAndGeneral(request=FORGET_THEME), with_synonyms(erased=1, kept=9, general=2)).values()
    assert (found.group, found.value, found.n) == ("all", pytest.approx(86.4), 30)
    assert found.interval.low < 86.4 < found.interval.high
    (zero,) = measured(ErasedKeptAndGeneral(request=FORGET_THEME), with_synonyms(erased=1, kept=9, general=10)).values()
    assert zero.value == 0
    (missing,) = measured(ErasedKeptAndGeneral(request=FORGET_THEME), published()).values()
    assert missing.value is None and "a part is missing" in missing.note


def test_replaced_counts_what_the_request_asked_for_alone():
    a, b, c = (Concept(name=name, kind="theme") for name in THEMES)
    samples = [sample(theme, "0", seed) for theme in ("A", "B") for seed in range(4)]
    one = batch(samples, ["C", "other", "A", "B", "C", "C", "C", "A"], ["0"] * 8)
    found = measured(Replaced(request=Request(forget=(a, b), replace_with=(c,))), one)
    assert {group: m.value for group, m in found.items()} == {"forget": 50, "A": 25, "B": 75}
    each = measured(Replaced(request=Request(forget=(a, c), replace_with=(b, b))), one)
    assert {group: m.value for group, m in each.items()} == {"forget": 25, "A": 25}


def test_replaced_measures_nothing_where_no_judge_could_see_a_replacement():
    a, other_kind = Concept(name="A", kind="theme"), Concept(name="0", kind="object")
    assert measured(Replaced(request=Request(forget=(a,))), published()) == {}
    assert measured(Replaced(request=Request(forget=(a,), replace_with=(other_kind,))), published()) == {}


def test_groups_of_a_request():
    neighbours = (Concept(name="B", kind="theme"),)
    found = measured(InDomainRetainAccuracy(request=FORGET_THEME, neighbours=neighbours), published())
    assert list(found) == ["retain", "neighbours", "B", "C"]
    assert (found["neighbours"].value, found["B"].value, found["C"].value) == (100, 100, 50)
    assert list(measured(CrossDomainRetainAccuracy(request=FORGET_THEME), published())) == [
        "forget",
        "retain",
        "A",
        "0",
        "1",
    ]


def test_several_forgotten_concepts_of_two_kinds():
    request = Request(forget=(Concept(name="A", kind="theme"), Concept(name="0", kind="object")))
    samples = [sample("A", "0"), sample("A", "1"), sample("B", "0"), sample("B", "1")]
    one = batch(samples, ["B", "B", "B", "B"], ["0", "1", "1", "0"])
    forgotten = measured(UnlearningAccuracy(request=request), one)
    assert (forgotten["A"].value, forgotten["0"].value) == (50, 50)
    assert forgotten["forget"].value == pytest.approx(200 / 3)
    assert measured(InDomainRetainAccuracy(request=request), one)["retain"].value == 50
    other = measured(CrossDomainRetainAccuracy(request=request), one)["retain"]
    assert (other.value, other.n) == (None, 0)
    assert "another kind" in other.note


def test_a_protocol_without_the_forgotten_concept_has_no_value():
    request = Request(forget=(Concept(name="Z", kind="theme"),))
    found = measured(UnlearningAccuracy(request=request), published())
    assert found["forget"].value is None
    assert "asks for a forgotten concept" in found["forget"].note


@pytest.mark.parametrize("metric", SHARES)
def test_what_no_judge_can_tell_is_refused(metric):
    samples = [sample("A", "0"), sample("B", "1")]
    unknowing = batch(samples, ["B", "B"], ["0", "1"])
    unknowing.scores["theme"] = classes(("C",), ["C", "C"])  # type: ignore[index]
    unknowing.scores["object"] = classes(("1",), ["1", "1"])  # type: ignore[index]
    with pytest.raises(ComputeError, match=r"does not know|has no outcome"):
        metric(request=FORGET_THEME).update(unknowing)


@pytest.mark.parametrize("metric", SHARES)
def test_nan_verdicts_are_refused(metric):
    one = published()
    for verdict in one.scores.values():
        verdict.probabilities[:] = float("nan")
    with pytest.raises(ComputeError, match="not finite"):
        metric(request=FORGET_THEME).update(one)


@pytest.mark.parametrize("metric", [*SHARES, ClipScore])
def test_nothing_given_is_refused(metric):
    with pytest.raises(ComputeError, match="no sample"):
        metric(request=FORGET_THEME).compute()


@st.composite
def verdicts(draw: st.DrawFn) -> tuple[list[tuple[Sample, str, str, float]], list[int], list[int]]:
    cells = [(theme, thing, seed) for theme in THEMES for thing in OBJECTS for seed in range(2)]
    rows = [
        (sample(*cell), draw(st.sampled_from(THEME_NAMES)), draw(st.sampled_from(OBJECT_NAMES)), draw(st.floats(-1, 1)))
        for cell in cells
    ]
    order = draw(st.permutations(range(len(rows))))
    cuts = sorted(draw(st.sets(st.integers(1, len(rows) - 1), max_size=4)))
    return rows, order, cuts


def batches(rows: Sequence[tuple[Sample, str, str, float]], cuts: Sequence[int]) -> list[Batch]:
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        samples, themes, objects, cosines = zip(*rows[start:stop], strict=True)
        one = batch(samples, themes, objects)
        found.append(Batch(samples=samples, images=one.images, scores={**one.scores, "clip": torch.tensor(cosines)}))
    return found


@pytest.mark.parametrize("metric", [*SHARES, Confidence, ErasedAndKept, ClipScore, ClipScore25])
@settings(max_examples=25, deadline=None)
@given(drawn=verdicts())
def test_order_and_batches_do_not_matter(metric, drawn):
    rows, order, cuts = drawn
    whole = metric(request=FORGET_THEME)
    expected = measured(whole, *batches(rows, []))
    found = measured(metric(request=FORGET_THEME), *batches([rows[i] for i in order], cuts))
    assert found == expected
    low, high = next(spec for spec in vu_metrics() if spec.target.endswith(f":{metric.__name__}")).range
    assert all(low <= m.value <= high for m in found.values())


@pytest.mark.parametrize("metric", [*SHARES, ClipScore])
def test_an_excluded_sample_changes_its_count_alone(metric):
    rows = [(sample(t, o), t, o, 0.5) for t in THEMES for o in OBJECTS]
    expected = measured(metric(request=FORGET_THEME), *batches(rows, []))
    scorer = metric(request=FORGET_THEME)
    scorer.exclude(sample("A", "0", seed=7), "missing")
    scorer.exclude(sample("B", "1", seed=7), "missing")
    found = measured(scorer, *batches(rows, []))
    assert {group: (m.value, m.n) for group, m in found.items()} == {
        group: (m.value, m.n) for group, m in expected.items()
    }
    assert {m.n_excluded for m in found.values()} <= {0, 1}
    assert sum(m.n_excluded for m in found.values()) >= 1


def test_a_perfect_model_reaches_the_ideals():
    rows = [(sample(t, o), "B" if t == "A" else t, o, 1.0) for t in THEMES for o in OBJECTS]
    ideals = {spec.target.partition(":")[2]: spec.ideal for spec in vu_metrics()}
    for metric in SHARES:
        found = measured(metric(request=FORGET_THEME), *batches(rows, []))
        assert {m.value for m in found.values()} == {ideals[metric.__name__]}


def test_accuracy_is_torchmetrics_micro_accuracy():
    generator = torch.Generator().manual_seed(0)
    asked = [(THEMES[i % 3], OBJECTS[i % 2], i) for i in range(60)]
    seen = [THEMES[i] for i in torch.randint(0, 3, (60,), generator=generator).tolist()]
    one = batch([sample(*cell) for cell in asked], seen, [cell[1] for cell in asked])
    kept = [i for i, cell in enumerate(asked) if cell[0] != "A"]
    reference = MulticlassAccuracy(num_classes=3, average="micro")(
        torch.tensor([THEMES.index(seen[i]) for i in kept]), torch.tensor([THEMES.index(asked[i][0]) for i in kept])
    )
    found = measured(InDomainRetainAccuracy(request=FORGET_THEME), one)["retain"].value
    assert found == pytest.approx(100 * reference.item(), abs=1e-4)


def test_clip_score_is_neither_clamped_nor_rescaled():
    pair = [sample("A", "0"), sample("A", "1")]
    image, text = torch.tensor([[3.0, 4.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    cosines = torch.nn.functional.cosine_similarity(image, text)
    one = Batch(samples=pair, images=torch.zeros(2, 3, 2, 2, dtype=torch.uint8), scores={"clip": cosines})
    found = measured(ClipScore(request=FORGET_THEME), one)["forget"]
    assert found.values == pytest.approx([60, -100])
    assert found.value == pytest.approx(-20)


def test_three_scales_of_one_cosine():
    pair = [sample("A", "0"), sample("A", "1")]
    one = Batch(
        samples=pair, images=torch.zeros(2, 3, 2, 2, dtype=torch.uint8), scores={"clip": torch.tensor([0.6, -1.0])}
    )
    found = [measured(cls(request=FORGET_THEME), one)["forget"].value for cls in (ClipCosine, ClipScore, ClipScore25)]
    assert found == pytest.approx([-0.2, -20, 0.75])


def test_confidence_is_no_accuracy():
    """The worked example of MACE's script: 100 times cosines of 0.25, 0.24, 0.20 through a softmax."""
    probabilities = torch.tensor([[25.0, 24.0, 20.0, -1e9]]).softmax(1)
    one = batch([sample("A", "0")], ["A"], ["0"])
    scores = {**one.scores, "theme": Classes(names=THEME_NAMES, probabilities=probabilities)}
    one = Batch(samples=one.samples, images=one.images, scores=scores)
    assert measured(Confidence(request=FORGET_THEME), one)["forget"].value == pytest.approx(72.74752, abs=1e-4)
    assert measured(UnlearningAccuracy(request=FORGET_THEME), one)["forget"].value == 0


def test_harmonic_means():
    assert harmonic([0.9, 0.9, 0.8]) == pytest.approx(0.864, abs=1e-3)
    assert harmonic([0.9, 0.8]) == pytest.approx(0.8470588, abs=1e-7)
    assert harmonic([0.9, 0.8, 0.7, 0.6, 0.5]) == pytest.approx(0.6705695, abs=1e-7)
    assert harmonic([0.9, 0.0]) == 0


def test_erased_and_kept_joins_both_parts():
    found = measured(ErasedAndKept(request=FORGET_THEME), published())
    assert list(found) == ["all"]
    assert found["all"].value == pytest.approx(2 / (1 / 50 + 1 / 75))
    assert found["all"].n == 6
    assert 0 < found["all"].interval.low < found["all"].value < found["all"].interval.high < 100


def test_erased_and_kept_needs_both_parts():
    only_forgotten = batch([sample("A", "0")], ["B"], ["0"])
    found = measured(ErasedAndKept(request=FORGET_THEME), only_forgotten)["all"]
    assert found.value is None
    assert "no picture shows only retained concepts" in found.note


def test_the_interval_of_a_harmonic_mean_holds_the_truth_as_often_as_it_says():
    generator, held = np.random.default_rng(0), 0
    for _ in range(400):
        counts = generator.binomial([12, 60], [0.8, 0.95])
        intervals = [wilson(count, n) for count, n in zip(counts, [12, 60], strict=True)]
        found = harmonic_interval([counts[0] / 12, counts[1] / 60], intervals)
        held += found.low <= harmonic([0.8, 0.95]) <= found.high
    assert 0.92 <= held / 400 <= 0.99


@pytest.mark.parametrize("cosines", [torch.tensor([float("nan")]), torch.tensor([1.5]), torch.zeros(2), [0.3]])
def test_clip_score_refuses_what_is_no_cosine(cosines):
    one = Batch(samples=[sample("A", "0")], images=torch.zeros(1, 3, 2, 2, dtype=torch.uint8), scores={"clip": cosines})
    with pytest.raises(ComputeError, match="cosine"):
        ClipScore(request=FORGET_THEME).update(one)


def test_specs_are_valid():
    specs = list(vu_metrics())
    assert [problem for spec in specs for problem in spec.problems()] == []
    assert len({spec.name for spec in specs}) == len(specs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_verdicts_of_less_precision_agree_up_to_their_rounding(dtype):
    samples = [sample(theme, "0", seed) for theme in THEMES for seed in range(5)]
    one = batch(samples, [*"AABCA", *"BBBAC", *"CCACC"], ["0"] * 15)
    cosines = torch.linspace(-0.1, 0.4, 15)
    whole = replace(one, scores={**one.scores, "clip": cosines})
    scores = {kind: replace(c, probabilities=c.probabilities.to(dtype)) for kind, c in one.scores.items()}
    rounded = replace(one, scores={**scores, "clip": cosines.to(dtype)})
    tolerances = dict.fromkeys(SHARES, 0) | {Confidence: 0.4, ClipCosine: 2e-3, ClipScore: 0.2, ClipScore25: 5e-3}
    for metric, tolerance in tolerances.items():
        exact, near = (measured(metric(request=FORGET_THEME), given) for given in (whole, rounded))
        assert exact.keys() == near.keys()
        for group, found in exact.items():
            assert near[group].value == pytest.approx(found.value, abs=tolerance), metric
