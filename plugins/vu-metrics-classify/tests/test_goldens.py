"""Numbers of functions that were worked out by hand or by plain loops, which share no function with what they check."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy
from torchmetrics.regression import JensenShannonDivergence
from vu_metrics_classify import features
from vu_metrics_classify.config import (
    DistributionConfig,
)
from vu_metrics_classify.gaps import average_gap, tug_of_war
from vu_metrics_classify.likelihood import lira_scores, rmia_scores
from vu_metrics_classify.likeness import js_divergence
from vu_metrics_classify.likeness import zero_retrain_forgetting as zrf
from vu_metrics_classify.membership import (
    loss_accuracies,
    regression_members,
    svc_members,
)
from vu_metrics_classify.populations import attack_accuracy, klom, unlearned_probability
from vu_metrics_classify.ranking import auc, auc_interval, balanced_accuracy, true_positive_rate
from vu_metrics_classify.representations import debiased_cka, linear_cka, probe
from vu_metrics_classify.streisand import StreisandKs, StreisandWasserstein

from vu_core import Concept, Request

RANDOM = Request(forget=(Concept(name="random", kind="samples"),))


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def softmax(row: list[float]) -> list[float]:
    parts = [math.exp(z) for z in row]
    return [part / sum(parts) for part in parts]


def test_of_equal_logits_the_first_counts():
    assert features.correctness(torch.zeros(2, 3), torch.tensor([0, 1])).mean() == 0.5


def test_accuracy_pools_pictures_where_the_library_averages_classes():
    labels, predicted = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])
    macro, micro = MulticlassAccuracy(3), MulticlassAccuracy(3, average="micro")
    assert float(macro(predicted, labels)) == pytest.approx(0.8333, abs=1e-4)
    assert float(micro(predicted, labels)) == features.correctness(torch.eye(3)[predicted], labels).mean()


def test_gaps():
    assert average_gap([4, 99, 93, 12], [[5, 100, 94, 13]]) == 1.0
    assert average_gap([4], [[2], [4], [6]]) == 0.0
    assert tug_of_war([0.5, 0.5, 0.5], [[0.51, 0.49, 0.51]]) == pytest.approx(0.970299, abs=1e-12)
    assert tug_of_war([0.5, 0.5, 0.5], [[0.45, 0.48, 0.40]]) == pytest.approx(0.8379, abs=1e-12)


def test_features_equal_plain_loops():
    logits, labels = (
        torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        [0, 1, 2, 1] * 5,
    )
    y = torch.tensor(labels)
    found = [
        features.confidence(logits, y),
        features.entropy(logits),
        features.modified_entropy(logits, y),
        features.margin(logits, y),
        features.loss(logits, y),
    ]
    for i, (row, label) in enumerate(zip(logits.tolist(), labels, strict=True)):
        p = softmax(row)
        others = [value for j, value in enumerate(p) if j != label]
        modified = -(1 - p[label]) * math.log(p[label]) - sum(q * math.log(1 - q) for q in others)
        expected = [p[label], -sum(q * math.log(q) for q in p), modified]
        expected += [math.log(p[label] / sum(others)), -math.log(p[label])]
        assert [one[i].item() for one in found] == pytest.approx(expected, abs=1e-12)


def test_modified_entropy_is_the_definition_and_of_each_picture_alone():
    logits, labels = logits_of([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]), torch.tensor([0, 1])
    both = features.modified_entropy(logits, labels)
    assert both.tolist() == pytest.approx([0.1621672, 0.0657008], abs=1e-7)
    # The released code takes ln p for ln(1 - p) and puts the labels' columns of all rows aside: .6591 alone, 1.6248
    # with the second.
    assert features.modified_entropy(logits[:1], labels[:1]).item() == both[0].item()


def test_features_of_a_sure_model_are_finite():
    logits, labels = torch.tensor([[800.0, 0.0, -800.0]] * 2), torch.tensor([0, 1])
    for read in (features.modified_entropy, features.margin, features.loss, features.confidence):
        assert read(logits, labels).isfinite().all()
    assert features.margin(logits, labels).tolist() == [800.0, -800.0]


def test_margins():
    assert features.margin(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(
        0.6867383, abs=1e-7
    )
    assert features.margin(logits_of([[0.7, 0.2, 0.1]]), torch.tensor([0])).item() == pytest.approx(0.8472979, abs=1e-7)


def test_the_support_vector_attack():
    members, others = column(0.9, 0.95, 0.99, 0.97), column(0.3, 0.4, 0.5, 0.35)
    assert svc_members(members, others, column(0.96, 0.45, 0.33, 0.98)).tolist() == [True, False, False, True]


def test_attacking_correctness_repeats_unlearning_accuracy():
    members, others = column(*[1] * 10), column(*[1] * 8, 0, 0)
    assert 1 - svc_members(members, others, column(*[1] * 9, 0)).mean() == pytest.approx(0.1)


def test_the_entropy_attack_has_the_opposite_sense():
    retain, test, forget = column(0.1, 0.2, 0.15, 0.05), column(1, 0.9, 1.1, 0.8), column(0.1, 0.95, 0.2, 1.0)
    assert regression_members(retain, test, forget).mean() == 0.5
    # Its threshold, from either side.
    assert regression_members(retain, test, column(0.5367, 0.5368)).tolist() == [True, False]


def test_the_loss_attack():
    forget, test = np.linspace(0, 1, 20), np.linspace(0.5, 1.5, 20)
    shares = loss_accuracies(forget, test, splits=10, test_share=0.1, seed=0)
    assert shares == [1, 0.5, 0.75, 1, 1, 1, 0.75, 0.5, 0.5, 1]
    assert loss_accuracies(np.zeros(20), np.full(20, 3.0), splits=10, test_share=0.1, seed=0) == [1.0] * 10


def test_the_loss_attack_calls_over_forgetting_membership_and_streisand_says_which():
    low, high = np.linspace(0, 1, 40), np.linspace(5, 6, 40)
    for forget, test, area in ((low, high, 0.0), (high, low, 1.0)):
        assert statistics.fmean(loss_accuracies(forget, test, splits=10, test_share=0.1, seed=0)) == 1.0
        assert auc(forget, test) == area


def test_streisand():
    forget, test = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])
    config = DistributionConfig()
    assert auc(forget, test) == 0.125
    assert StreisandKs(request=RANDOM, config=config).compared(forget, test)[0] == 0.5
    assert StreisandWasserstein(request=RANDOM, config=config).compared(forget, test)[0] == pytest.approx(2.0)


def test_areas_equal_counting_pairs():
    generator = np.random.default_rng(0)
    higher, lower = generator.integers(0, 9, 40).astype(float), generator.integers(0, 7, 30).astype(float)
    pairs = [(h > low) + (h == low) / 2 for h, low in itertools.product(higher, lower)]
    assert auc(higher, lower) == pytest.approx(statistics.fmean(pairs), abs=1e-12)


def test_scores_of_any_scale_are_ranked_where_the_library_squashes_them():
    members, others = np.array([50.0, 60.0]), np.array([-5.0, 40.0])
    library = BinaryAUROC()(torch.tensor([-5.0, 40, 50, 60]), torch.tensor([0, 0, 1, 1]))
    assert (float(library), auc(members, others)) == (0.75, 1.0)


def test_the_interval_of_an_area_covers_it():
    generator, inside = np.random.default_rng(0), 0
    for _ in range(400):
        found = auc(generator.normal(1.0, 1, 40), generator.normal(0.0, 1, 30))
        interval = auc_interval(found, 40, 30)
        inside += interval.low <= statistics.NormalDist().cdf(1 / math.sqrt(2)) <= interval.high
    assert 0.93 <= inside / 400 <= 0.98
    assert auc_interval(1.0, 20, 20).low < 0.95


def test_true_positives_at_few_false_ones():
    members, others = np.array([0.9, 0.8, 0.4]), np.array([0.7, 0.3, 0.2, 0.1])
    assert true_positive_rate(members, others, 0.0) == pytest.approx(2 / 3)
    assert true_positive_rate(members, others, 0.25) == 1.0
    assert balanced_accuracy(members, others) == pytest.approx((1 + 1 - 0.25) / 2)


def test_lira():
    out = np.array([[0.0], [2.0]])
    two = lira_scores(np.array([3.0]), out, sides="two", pooled=False)
    one = lira_scores(np.array([3.0]), out, sides="one", pooled=False)
    assert two[0] == pytest.approx(-math.log(statistics.NormalDist(1, 1).pdf(3)))
    assert statistics.NormalDist().cdf(one[0]) == pytest.approx(statistics.NormalDist(1, 1).cdf(3))
    # Online, with {3, 5} for those that did learn it, the ratio is -1/2 + 2.
    assert math.log(statistics.NormalDist(4, 1).pdf(3)) + two[0] == pytest.approx(1.5)


def test_pooled_spread_is_of_the_models_that_never_learned():
    out = np.array([[0.0, 0.0], [2.0, 6.0]])
    spread = math.sqrt((1 + 9) / 2)
    assert lira_scores(np.array([2.0, 3.0]), out, sides="one", pooled=True) == pytest.approx([1 / spread, 0.0])


def test_over_forgetting_is_membership_to_the_two_sided_attack_only():
    out = np.random.default_rng(0).normal(0, 1, (64, 1))
    for sides, suspicious in (("one", False), ("two", True)):
        low, usual = (
            lira_scores(np.array([-9.0]), out, sides=sides, pooled=False),
            lira_scores(np.array([0.0]), out, sides=sides, pooled=False),
        )
        assert (low[0] > usual[0]) == suspicious


def test_rmia():
    scores = rmia_scores(
        np.array([0.9, 0.5]), np.array([[0.5, 0.5]]), np.array([0.6, 0.7]), np.array([[0.6, 0.2]]), a=0.3
    )
    assert scores.tolist() == [0.5, 0.0]


def test_an_impossible_picture_counts_in_rmia():
    # A probability of 0 is a signal, not a model that is missing.
    scores = rmia_scores(np.array([0.5]), np.array([[0.0], [0.5]]), np.array([0.6]), np.array([[0.5], [0.5]]), a=0.0)
    assert scores.tolist() == [1 * (0.5 / ((0.25 + 1) / 2) > 0.6 / ((0.5 + 1) / 2))]


def test_klom():
    def of(unlearned: list[float], retrained: list[float]) -> float:
        return float(klom(column(*unlearned), column(*retrained))[0])

    assert of([0, 0, 1, 1], [0, 1, 1, 1]) == pytest.approx(0.1438410, abs=1e-7)
    # Released code leaves the last bin open and loses what lies at its right edge: 0 and NaN.
    assert of([0, 0], [1, 1]) == pytest.approx(math.log(1e5 + 1), abs=1e-12)
    assert of([1, 1], [0, 0]) == pytest.approx(math.log(1e5 + 1), abs=1e-12)
    assert of([3, 3], [3, 3, 3]) == 0.0
    assert of([500, 0], [100, 0]) == 0.0


def test_klom_equals_histograms_and_a_plain_loop():
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(0, 1, (40, 6)), generator.normal(0.5, 2, (30, 6))
    for i, found in enumerate(klom(unlearned, retrained)):
        both = np.concatenate([unlearned[:, i], retrained[:, i]])
        p, q = (
            [count / len(one) for count in np.histogram(one[:, i], 20, (both.min(), both.max()))[0]]
            for one in (unlearned, retrained)
        )
        q = [1e-5 if a and not b else b for a, b in zip(p, q, strict=True)]
        expected = sum(a * math.log(a / (b / sum(q))) for a, b in zip(p, q, strict=True) if a)
        assert found == pytest.approx(expected, abs=1e-12)
    assert klom(unlearned[::-1], retrained[::-1]) == pytest.approx(klom(unlearned, retrained), abs=0)
    assert klom(unlearned, unlearned) == pytest.approx(np.zeros(6), abs=1e-12)


def test_the_noise_floor_of_klom_is_not_0():
    generator = np.random.default_rng(0)
    for models, mean in ((10, 5.6), (50, 0.87), (100, 0.36)):
        same = klom(generator.normal(size=(models, 2000)), generator.normal(size=(models, 2000)))
        assert same.mean() == pytest.approx(mean, rel=0.06)


def test_ulira():
    unlearned, retrained = np.array([[2.0], [4.0]]), np.array([[0.0], [2.0]])
    found = unlearned_probability(np.array([2.5]), unlearned, retrained, pooled=False)
    assert found[0] == pytest.approx(0.7310586, abs=1e-7)
    assert found[0] == pytest.approx(1 / (1 + math.exp(-1)))
    # Equal margins have no spread, and a floor in place of a division by 0.
    same = np.full((3, 1), 1.0)
    assert unlearned_probability(np.array([1.0]), same, same, pooled=False)[0] == 0.5


@pytest.mark.parametrize("pooled", [True, False])
def test_the_attack_of_ulira_leaves_each_model_out_and_scores_both_kinds(pooled):
    generator = np.random.default_rng(1)
    unlearned, retrained = generator.normal(1, 1, (5, 4)), generator.normal(0, 2, (6, 4))

    def spread(models: list[list[float]], i: int) -> float:
        variances = [statistics.pvariance([row[j] for row in models]) for j in range(4)]
        return math.sqrt(statistics.fmean(variances) if pooled else variances[i])

    def chance(x: float, i: int, u: list[list[float]], r: list[list[float]]) -> float:
        a, b = (statistics.NormalDist(statistics.fmean(row[i] for row in one), spread(one, i)).pdf(x) for one in (u, r))
        return a / (a + b)

    us, rs = unlearned.tolist(), retrained.tolist()
    for i, found in enumerate(attack_accuracy(unlearned, retrained, pooled=pooled)):
        right = [chance(us[m][i], i, us[:m] + us[m + 1 :], rs) > 0.5 for m in range(5)]
        kept = [chance(rs[m][i], i, us, rs[:m] + rs[m + 1 :]) <= 0.5 for m in range(6)]
        assert found == pytest.approx((statistics.fmean(right) + statistics.fmean(kept)) / 2, abs=1e-12)


def test_ulira_tells_nothing_of_equal_populations_and_all_of_distant_ones():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(64, 300)), generator.normal(size=(64, 300))
    assert attack_accuracy(one, other, pooled=False).mean() == pytest.approx(0.5, abs=0.03)
    assert attack_accuracy(one, other + 20, pooled=False).min() == 1.0


def test_divergences():
    uniform, sure = [0.01] * 100, [0.99] + [0.01 / 99] * 99
    rows = [
        ([0.9, 0.1], [0.5, 0.5], 0.1017492),
        ([0.7, 0.2, 0.1], [0.2, 0.3, 0.5], 0.1513581),
        (sure, uniform, 0.6371456),
        ([1.0, 0.0], [0.0, 1.0], math.log(2)),
    ]
    for p, q, expected in rows:
        p, q = torch.tensor([p], dtype=torch.float64), torch.tensor([q], dtype=torch.float64)
        assert js_divergence(p, q).item() == pytest.approx(expected, abs=1e-7)
        assert float(JensenShannonDivergence(log_prob=False)(p, q)) == pytest.approx(expected, abs=1e-6)
        assert zrf(p, q).item() == pytest.approx(1 - expected, abs=1e-7)
        assert js_divergence(p, p).item() == 0.0


def test_zrf_is_not_the_common_bug_of_reversed_divergences_averaged_over_classes():
    rows = [
        ([0.9, 0.1], [0.5, 0.5], 0.8982508, 0.9410134),
        ([0.7, 0.2, 0.1], [0.2, 0.3, 0.5], 0.8486419, 0.9412274),
        ([0.99] + [0.01 / 99] * 99, [0.01] * 100, 0.3628544, 0.9838554),
    ]
    for p, q, right, released in rows:
        p, q = torch.tensor([p], dtype=torch.float64), torch.tensor([q], dtype=torch.float64)
        m = (p + q) / 2
        reversed_ = [(m * (m / one).log()).mean() for one in (p, q)]
        assert 1 - (float(reversed_[0]) + float(reversed_[1])) / 2 == pytest.approx(released, abs=1e-7)
        assert zrf(p, q).item() == pytest.approx(right, abs=1e-7)


def test_cka():
    column_ = [torch.tensor(values, dtype=torch.float64)[:, None] for values in ([1.0, -1, 0], [1.0, 0, -1])]
    assert linear_cka(*column_) == pytest.approx(0.25)
    corners = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    assert linear_cka(corners, corners[:, :1]) == pytest.approx(0.7071068, abs=1e-7)
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert linear_cka(corners, 2 * corners @ rotation + 5) == pytest.approx(1.0)
    assert linear_cka(corners, torch.full((4, 1), 0.1)) is None


def test_cka_of_few_pictures_is_debiased():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, 200, generator=generator, dtype=torch.float64) for _ in range(2))
    assert linear_cka(x, y) > 0.75
    assert abs(debiased_cka(x, y)) < 0.2

    def centred(z: torch.Tensor) -> torch.Tensor:
        # U-centring of Szekely and Rizzo: another form of the same estimate.
        k = z @ z.T
        k.fill_diagonal_(0)
        n = len(k)
        rows = k.sum(dim=1)
        k = k - rows[:, None] / (n - 2) - rows[None] / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
        return k.fill_diagonal_(0)

    a, b = centred(x), centred(y)
    expected = (a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt()
    assert debiased_cka(x, y) == pytest.approx(expected.item(), abs=1e-10)
    assert debiased_cka(x, x) == pytest.approx(1.0)


def test_probe():
    x, y = torch.tensor([[-2.0], [-1], [1], [2]], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    assert probe((x, y), (x, y), x).tolist() == y.tolist()
