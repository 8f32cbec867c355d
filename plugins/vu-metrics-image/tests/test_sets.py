"""Metrics of sets: golden values, slow references that share no function with them, laws and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from vu_metrics_image.config import ManifoldConfig, SetConfig
from vu_metrics_image.distances import Cmmd, Fid, Kid
from vu_metrics_image.manifolds import Coverage, Density, ManifoldMetric, Precision, Recall
from vu_metrics_image.plugin import vu_metrics
from vu_metrics_image.sets import SetMetric

from vu_core import Batch, ComputeError, Concept, Measurement, Request, Sample

REQUEST = Request(forget=(Concept(name="cat"),))
DISTANCES: list[type[SetMetric]] = [Fid, Kid, Cmmd]
MANIFOLDS: list[type[ManifoldMetric]] = [Precision, Recall, Density, Coverage]
METRICS: list[type[SetMetric]] = [*DISTANCES, *MANIFOLDS]

Rows = np.ndarray[Any, np.dtype[np.float64]]


def few(metric: type[SetMetric], **options: Any) -> SetMetric:
    config = ManifoldConfig if issubclass(metric, ManifoldMetric) else SetConfig
    return metric(request=REQUEST, config=config(allow_few=True, **options))


def compare(metric: type[SetMetric], drawn: Any, reference: Any, **options: Any) -> float:
    one, other = (torch.as_tensor(rows, dtype=torch.float64) for rows in (drawn, reference))
    return few(metric, **options).compare(one, other)


def column(*values: float) -> list[list[float]]:
    return [[value] for value in values]


def cloud(count: int, width: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) + shift


# Golden values, worked by hand.

SQUARE = [[0, 0], [2, 0], [0, 2], [2, 2]]


@pytest.mark.parametrize(
    ("drawn", "reference", "value"),
    [
        ([[x + 3, y + 3] for x, y in SQUARE], SQUARE, 18),
        ([[2 * x, 2 * y] for x, y in SQUARE], SQUARE, 14 / 3),
        (column(1, 5), column(-1, 1), 11),
    ],
)
def test_fid(drawn, reference, value):
    assert compare(Fid, drawn, reference) == pytest.approx(value, abs=1e-9)


def test_kid():
    assert compare(Kid, column(1, 2), column(0, 1)) == pytest.approx(9500)


def test_cmmd():
    assert compare(Cmmd, [[0, 1]], [[1, 0]]) == pytest.approx(1000 * (2 - 2 * math.exp(-0.01)), abs=1e-9)
    assert compare(Cmmd, [[0, 3]], [[7, 0]]) == pytest.approx(19.900332, abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "drawn", "ties", "expected"),
    [
        (column(0, 1, 2, 10), column(0.5, 1.5, 9, 20), "outside", (0.75, 1, 1.25, 1)),
        (column(0, 1, 2), column(1, 2, 3), "outside", (2 / 3, 2 / 3, 2 / 3, 2 / 3)),
        (column(0, 1, 2), column(1, 2, 3), "inside", (1, 1, 2, 1)),
        (column(0, 1, 2, 10), column(0, 1, 2, 10), "outside", (1, 1, 1, 1)),
    ],
)
def test_manifolds(reference, drawn, ties, expected):
    found = [compare(metric, drawn, reference, k=1, ties=ties) for metric in MANIFOLDS]
    assert found == pytest.approx(expected)


# Slow references.


def slow_fid(drawn: Rows, reference: Rows) -> float:
    one, other = (np.cov(rows, rowvar=False) for rows in (drawn, reference))
    root = np.sqrt(np.linalg.eigvals(one @ other).astype(complex)).real.sum()
    return float(((drawn.mean(0) - reference.mean(0)) ** 2).sum() + np.trace(one) + np.trace(other) - 2 * root)


def slow_kid(drawn: Rows, reference: Rows) -> float:
    def kernel(a: Rows, b: Rows) -> float:
        return float(sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(rows: Rows) -> float:
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
        return sum(kernel(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    between = np.mean([kernel(a, b) for a in drawn for b in reference])
    return 1000 * (within(drawn) + within(reference) - 2 * float(between))


def slow_cmmd(drawn: Rows, reference: Rows) -> float:
    one, other = ([row / math.sqrt(float((row**2).sum())) for row in rows] for rows in (drawn, reference))

    def mean(a: Sequence[Rows], b: Sequence[Rows]) -> float:
        return math.fsum(math.exp(-float(((p - q) ** 2).sum()) / 200) for p in a for q in b) / (len(a) * len(b))

    return 1000 * (mean(one, one) + mean(other, other) - 2 * mean(one, other))


def slow_radius(rows: Rows, i: int, k: int) -> float:
    return sorted(math.dist(rows[i], other) for j, other in enumerate(rows) if j != i)[k - 1]


def slow_precision(drawn: Rows, reference: Rows, k: int = 5) -> float:
    radii = [slow_radius(reference, i, k) for i in range(len(reference))]
    held = [any(math.dist(g, r) < radius for r, radius in zip(reference, radii, strict=True)) for g in drawn]
    return sum(held) / len(drawn)


def slow_recall(drawn: Rows, reference: Rows) -> float:
    return slow_precision(reference, drawn)


def slow_density(drawn: Rows, reference: Rows) -> float:
    radii = [slow_radius(reference, i, 5) for i in range(len(reference))]
    held = [math.dist(g, r) < radius for g in drawn for r, radius in zip(reference, radii, strict=True)]
    return sum(held) / (5 * len(drawn))


def slow_coverage(drawn: Rows, reference: Rows) -> float:
    nearest = [min(math.dist(g, r) for g in drawn) for r in reference]
    return sum(near < slow_radius(reference, i, 5) for i, near in enumerate(nearest)) / len(reference)


SLOW: list[Callable[[Rows, Rows], float]] = [
    *(slow_fid, slow_kid, slow_cmmd),
    *(slow_precision, slow_recall, slow_density, slow_coverage),
]


@pytest.mark.parametrize(("metric", "slow"), list(zip(METRICS, SLOW, strict=True)))
def test_a_slow_reference_agrees(metric, slow):
    drawn, reference = cloud(40, 6, 0, 0.5), cloud(30, 6, 1)
    found = compare(metric, drawn, reference)
    assert found == pytest.approx(slow(drawn.numpy(), reference.numpy()), rel=1e-9, abs=1e-9)


def test_fid_of_fewer_pictures_than_features():
    """The nuclear norm, published as the oracle; eigenvalues of the product are off by 1e-6 there."""
    drawn, reference = cloud(20, 50, 0), cloud(30, 50, 1)
    one, other = ((rows - rows.mean(0)).numpy() / math.sqrt(len(rows) - 1) for rows in (drawn, reference))
    root = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    shift = float((drawn.mean(0) - reference.mean(0)).square().sum())
    assert compare(Fid, drawn, reference) == pytest.approx(
        shift + (one**2).sum() + (other**2).sum() - 2 * root, abs=1e-9
    )
    assert compare(Fid, drawn, reference) == pytest.approx(slow_fid(drawn.numpy(), reference.numpy()), abs=1e-4)


class Flat(torch.nn.Module):
    """Features that torchmetrics takes from pictures: their first numbers."""

    num_features = 6

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1)[:, :6]


@pytest.mark.filterwarnings("ignore:Metric `.*` will save all extracted features in buffer")
def test_torchmetrics_agrees():
    drawn, reference = cloud(60, 12, 0, 0.3), cloud(60, 12, 1)
    fid = FrechetInceptionDistance(feature=Flat(), normalize=True).set_dtype(torch.float64)
    kid = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=60, normalize=True)
    for metric in (fid, kid):
        metric.update(reference.view(60, 3, 2, 2), real=True)
        metric.update(drawn.view(60, 3, 2, 2), real=False)
    one, other = drawn[:, :6], reference[:, :6]
    assert compare(Fid, one, other) == pytest.approx(float(fid.compute()), abs=1e-6)
    assert compare(Kid, one, other) == pytest.approx(1000 * float(kid.compute()[0]), rel=1e-6)


# Laws.


@pytest.mark.parametrize("metric", DISTANCES)
def test_sides_may_be_exchanged(metric):
    one, other = cloud(20, 4, 0), cloud(30, 4, 1, 0.5)
    assert compare(metric, one, other) == pytest.approx(compare(metric, other, one), rel=1e-12)


@pytest.mark.parametrize("metric", [Fid, *MANIFOLDS])
def test_turning_and_moving_the_features_changes_nothing(metric):
    one, other = cloud(20, 4, 0), cloud(30, 4, 1, 0.5)
    turn = torch.linalg.qr(cloud(4, 4, 2)).Q
    assert compare(metric, one @ turn + 3, other @ turn + 3) == pytest.approx(compare(metric, one, other), rel=1e-9)


@pytest.mark.parametrize(
    ("metric", "ideal"), [(Fid, 0), (Cmmd, 0), *((metric, 1) for metric in (Precision, Recall, Coverage))]
)
def test_a_set_compared_with_itself(metric, ideal):
    assert compare(metric, cloud(40, 6, 0), cloud(40, 6, 0)) == pytest.approx(ideal, abs=1e-9)


def test_kid_of_one_distribution_is_around_zero():
    values = [compare(Kid, cloud(50, 6, 2 * i), cloud(50, 6, 2 * i + 1)) for i in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(200)
    assert min(values) < 0 < max(values)


def test_fid_of_one_distribution_depends_on_the_number_of_pictures():
    assert compare(Fid, cloud(50, 30, 0), cloud(50, 30, 1)) > 4 * compare(Fid, cloud(500, 30, 0), cloud(500, 30, 1)) > 0


@pytest.mark.parametrize("metric", METRICS)
def test_parts_of_the_matrix_add_up(metric, monkeypatch):
    one, other = cloud(40, 6, 0), cloud(30, 6, 1, 0.5)
    expected = compare(metric, one, other)
    monkeypatch.setattr("vu_metrics_image.distances._ROWS", 7)
    monkeypatch.setattr("vu_metrics_image.manifolds._ROWS", 7)
    assert compare(metric, one, other) == pytest.approx(expected, rel=1e-12)


# As a run uses them.


def sample(side: str, index: int) -> Sample:
    name = "cat" if index % 4 == 0 else "dog"
    return Sample(
        id=f"{side}-{index:03}", prompt=name, seed=index, attributes={"object": name}, cluster=f"{index // 2}"
    )


def batch(rows: Sequence[int], references: Sequence[int], features: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    def one(side: str, indices: Sequence[int], found: torch.Tensor, reference: Batch | None = None) -> Batch:
        return Batch(
            samples=[sample(side, i) for i in indices],
            images=torch.zeros(len(indices), 3, 1, 1, dtype=torch.uint8),
            scores={"features": found[list(indices)].float()},
            reference=reference,
        )

    return one("drawn", rows, features[0], one("real", references, features[1]))


FEATURES = cloud(24, 3, 0, 0.2), cloud(32, 3, 1)


def measured(metric: SetMetric, *batches: Batch) -> dict[str, Measurement]:
    for one in batches:
        metric.update(one)
    return {measurement.group: measurement for measurement in metric.compute()}


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(24)), others=st.permutations(range(32)), cut=st.integers(0, 24))
def test_order_and_batches_do_not_matter(metric, order, others, cut):
    expected = measured(few(metric), batch(range(24), range(32), FEATURES))
    parts = [batch(order[:cut], others[:20], FEATURES), batch(order[cut:], others[20:], FEATURES)]
    assert measured(few(metric), *parts) == expected
    low, high = next(spec for spec in vu_metrics() if spec.target.endswith(f":{metric.__name__}")).range
    assert all((low or -math.inf) <= m.value <= (high or math.inf) for m in expected.values())


@pytest.mark.parametrize("metric", METRICS)
def test_groups_are_pooled_ones_on_both_sides(metric):
    found = measured(few(metric), batch(range(24), range(32), FEATURES))
    assert {group: m.n for group, m in found.items()} == {"forget": 6, "retain": 18}
    rows = [[i for i in range(count) if i % 4] for count in (24, 32)]
    kept = [side.float().double()[index] for side, index in zip(FEATURES, rows, strict=True)]
    assert found["retain"].value == pytest.approx(compare(metric, *kept), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_an_excluded_sample_changes_its_count_alone(metric):
    instance = few(metric)
    instance.exclude(sample("drawn", 40), "missing")
    found = measured(instance, batch(range(24), range(32), FEATURES))
    expected = measured(few(metric), batch(range(24), range(32), FEATURES))
    assert {g: (m.value, m.n) for g, m in found.items()} == {g: (m.value, m.n) for g, m in expected.items()}
    assert (found["forget"].n_excluded, found["retain"].n_excluded) == (1, 0)


@pytest.mark.parametrize(("metric", "needed"), [(Fid, 4), (Kid, 100), (Cmmd, 500), (Precision, 1000), (Coverage, 1000)])
def test_few_pictures_are_refused_unless_told(metric, needed):
    samples = batch(range(4), range(12), FEATURES)
    refused = measured(metric(request=REQUEST), samples)["retain"]
    assert (refused.value, refused.n) == (None, 3)
    assert refused.note == f"3 pictures and 9 to compare with are too few, {needed} are needed on each side"
    enough = few(metric, k=2) if issubclass(metric, ManifoldMetric) else few(metric)
    told = measured(enough, samples)["retain"]
    assert told.value is not None
    assert any(word in told.note for word in ("biased", "noise", "cannot be compared"))
    assert "no interval" in told.note


def test_fid_of_enough_pictures_is_not_called_biased():
    found = measured(Fid(request=REQUEST), batch(range(24), range(32), FEATURES))
    assert found["retain"].value is not None
    assert "biased" not in found["retain"].note
    assert found["retain"].note.startswith("18 pictures and 24 to compare with; no interval")


def test_without_real_pictures_of_a_group_there_is_no_number():
    found = measured(few(Fid), batch(range(24), [1, 2, 3], FEATURES))
    assert found["forget"].value is None
    assert "6 pictures and 0 to compare with" in found["forget"].note
    assert found["retain"].value is not None


def test_the_interval_of_kid_covers_it_and_keeps_prompts_whole():
    drawn, real = cloud(400, 4, 0, 0.4), cloud(400, 4, 1)
    found = measured(Kid(request=REQUEST), batch(range(400), range(400), (drawn, real)))["retain"]
    assert found.interval is not None
    assert found.interval.method == "blocks"
    assert found.interval.low < found.value < found.interval.high
    assert found.interval.low > 0
    fewer = measured(few(Kid), batch(range(80), range(80), (drawn, real)))["retain"]
    assert fewer.interval is None
    assert "no interval: fewer than 9 blocks of 10" in fewer.note


def test_the_interval_of_kid_holds_the_truth_as_often_as_it_says():
    """For N(0, I) and N(m, I) in one dimension, (xy + 1)^3 has the expectations of its powers."""
    shift = 0.5

    def power(mean: float, n: int) -> float:
        return (1.0, mean, mean**2 + 1, mean**3 + 3 * mean)[n]

    def expected(a: float, b: float) -> float:
        return sum(math.comb(3, i) * power(a, i) * power(b, i) for i in range(4))

    truth = 1000 * (expected(0, 0) + expected(shift, shift) - 2 * expected(0, shift))
    held = 0
    for seed in range(60):
        features = cloud(900, 1, 2 * seed, shift), cloud(900, 1, 2 * seed + 1)
        interval = measured(Kid(request=Request(forget=())), batch(range(900), range(900), features))["retain"].interval
        assert interval is not None
        held += interval.low <= truth <= interval.high
    assert held >= 52


# Refusals.


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [torch.full((1, 3), math.nan), torch.zeros(1), torch.zeros(2, 3), [[0.0]]])
def test_what_is_no_features_is_refused(metric, bad):
    wrong = Batch(
        samples=[sample("drawn", 0)], images=torch.zeros(1, 3, 1, 1, dtype=torch.uint8), scores={"features": bad}
    )
    with pytest.raises(ComputeError, match="features"):
        few(metric).update(wrong)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_given_is_refused(metric):
    with pytest.raises(ComputeError, match="no sample"):
        metric(request=REQUEST).compute()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_of_half_precision_give_nearly_the_same_number(metric, dtype):
    """Only what the features lose is lost: from there on all is float64."""
    whole = batch(range(80), range(80), (cloud(80, 6, 0, 0.5), cloud(80, 6, 1)))
    assert whole.reference is not None
    halves = [replace(one, scores={"features": one.scores["features"].to(dtype)}) for one in (whole, whole.reference)]
    exact = measured(few(metric), whole)["retain"].value
    assert measured(few(metric), replace(halves[0], reference=halves[1]))["retain"].value == pytest.approx(
        exact, rel=0.03
    )
