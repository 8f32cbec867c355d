"""Intervals and tests against published, exact and brute-force values."""

from __future__ import annotations

import itertools
import math
import random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vu_core.errors import ComputeError
from vu_core.statistics import (
    cluster_bootstrap,
    cluster_student,
    holm,
    mean_measurement,
    newcombe,
    paired_change,
    sign_flip,
    values_alone,
    wilson,
)
from vu_core.types import Measurement


def measured(values, clusters=None, ids=None, **fields):
    ids = ids or [f"s{i:03}" for i in range(len(values))]
    return mean_measurement("retain", values, sample_ids=ids, clusters=clusters or ids, **fields)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 142, 0.0, 0.0263400),
        (142, 142, 0.9736600, 1.0),
        (30, 142, 0.1521873, 0.2855583),
        (50, 100, 0.4038315, 0.5961685),
    ],
)
def test_wilson(successes, n, low, high):
    interval = wilson(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=2e-7)


@given(n=st.integers(1, 1000), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_wilson_holds_the_share_and_mirrors(n, share, level):
    successes = round(share * n)
    interval, mirror = wilson(successes, n, level=level), wilson(n - successes, n, level=level)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert (1 - mirror.high, 1 - mirror.low) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_share(successes, n):
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe (1998), method 10: both, the first only, the second only, neither.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((0, 30, 0, 0), 0.8395, 1.0),
        ((30, 0, 0, 0), -0.1135, 0.1135),
    ],
)
def test_newcombe_published_examples(table, low, high):
    both, first, second, neither = table
    x = [1] * (both + first) + [0] * (second + neither)
    y = [1] * both + [0] * first + [1] * second + [0] * neither
    interval = newcombe(y, x, n=len(x))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_bootstrap_spread_is_that_of_clusters_not_of_samples():
    values = [1.0] * 40 + [0.0] * 40
    clusters = [str(i // 4) for i in range(80)]
    by_cluster = cluster_bootstrap(values, clusters)
    by_sample = cluster_bootstrap(values, [str(i) for i in range(80)])
    half = 1.96 * 0.5 / math.sqrt(20)
    assert by_cluster.high - by_cluster.low == pytest.approx(2 * half, rel=0.12)
    assert by_sample.high - by_sample.low == pytest.approx(half, rel=0.12)


def test_bootstrap_equals_a_plain_resampling_of_clusters():
    generator = random.Random(0)
    clusters = [f"p{i % 12}" for i in range(30)]
    values = [generator.gauss(int(cluster[1:]), 1) for cluster in clusters]
    members = {name: [v for v, c in zip(values, clusters, strict=True) if c == name] for name in set(clusters)}
    names = sorted(members)
    means = sorted(
        fmean(itertools.chain.from_iterable(members[generator.choice(names)] for _ in names)) for _ in range(4000)
    )
    interval = cluster_bootstrap(values, clusters)
    assert (interval.low, interval.high) == pytest.approx((means[100], means[3899]), abs=0.25)


def test_bootstrap_refuses_few_clusters():
    with pytest.raises(ComputeError, match="3 prompts are too few"):
        cluster_bootstrap([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0], [c for c in "abc" for _ in range(4)])


def test_sign_flip_is_exact():
    assert sign_flip([0.01, 0.02, 0.0, 0.03]) == 0.25
    assert sign_flip([]) == 1


@pytest.mark.parametrize(("gained", "lost", "p_value"), [(8, 2, 0.109375), (15, 5, 0.0413895)])
def test_sign_flip_of_shares_is_mcnemars_exact_test(gained, lost, p_value):
    assert sign_flip([1.0] * gained + [-1.0] * lost + [0.0] * 5) == pytest.approx(p_value, abs=1e-7)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_sign_flip_enumerates_every_pattern(differences):
    totals = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    assert sign_flip(differences) == fmean(abs(t) >= abs(sum(differences)) for t in totals)


@pytest.mark.parametrize(
    "tenths",
    [
        [-2, 4, 9, 3, 5, 2, -4, -8, 2, -5, -7, 1],
        [3, 7, 7, -4, -8, -8, -6, -4, -5, -4, 8, 3, 6, -5, -6, 7, 1, 6, 1, -3, -2, -5, 2, 1, 8],
    ],
)
def test_sign_flip_does_not_depend_on_how_differences_are_rounded(tenths):
    assert sign_flip([d / 10 for d in tenths]) == sign_flip(tenths) == 1


def test_random_sign_flips_agree_with_the_exact_ones():
    generator = random.Random(1)
    differences = [generator.gauss(0.4, 1) for _ in range(20)]
    # One more, too small to matter, leaves the exact branch.
    assert sign_flip([*differences, 1e-12]) == pytest.approx(sign_flip(differences), abs=0.02)


def test_sign_flip_keeps_clusters_together():
    assert sign_flip([1.0] * 10, ["a"] * 5 + ["b"] * 5) == 0.5


def test_a_share_with_one_sample_a_prompt_has_wilsons_interval():
    found = measured([100.0] * 8 + [0.0] * 2, success=100)
    assert found.value == 80
    assert (found.interval.low, found.interval.high) == pytest.approx((49.01625, 94.33178), abs=2e-5)


def test_a_share_with_few_prompts_counts_each_once():
    clusters = [str(i // 2) for i in range(12)]
    found = measured([100.0] * 12, clusters, success=100)
    assert found.interval.low == pytest.approx(100 * wilson(6, 6).low)
    assert measured([100.0] * 40, [str(i // 2) for i in range(40)], success=100).interval.low < 100


def test_a_share_with_many_prompts_of_several_samples_is_bootstrapped():
    found = measured([100.0 * (i % 3 == 0) for i in range(60)], [str(i // 2) for i in range(60)], success=100)
    assert found.interval.method == "cluster-bootstrap"


def test_another_mean_with_two_prompts_has_no_interval_and_says_why():
    found = measured([0.1, 0.3])
    assert (found.value, found.interval) == (pytest.approx(0.2), None)
    assert "2 prompts" in found.note


def test_another_mean_with_some_prompts_has_students_interval():
    found = measured([5, 5.2, 4.8, 5.4, 4.6])
    assert (found.interval.method, found.interval.low) == ("student", pytest.approx(5 - 0.3926, abs=1e-4))
    doubled = measured([v for v in (5, 5.2, 4.8, 5.4, 4.6) for _ in range(2)], [c for c in "abcde" for _ in range(2)])
    assert doubled.interval.low == pytest.approx(found.interval.low)


def test_students_interval_equals_that_of_the_cluster_means():
    means = [1.0, 2.0, 4.0, 8.0]
    half = 3.182446 * stdev(means) / 2
    interval = cluster_student([v + d for v in means for d in (-1, 1)], [c for c in "abcd" for _ in range(2)])
    assert (interval.low, interval.high) == pytest.approx((3.75 - half, 3.75 + half))
    with pytest.raises(ComputeError, match="3 to 9"):
        cluster_student([1.0] * 10, list("abcdefghij"))


def test_order_of_samples_does_not_matter():
    generator = random.Random(2)
    rows = [(generator.random(), f"p{i % 20}", f"s{i:02}") for i in range(60)]
    shuffled = generator.sample(rows, len(rows))
    assert measured(*map(list, zip(*rows, strict=True))) == measured(*map(list, zip(*shuffled, strict=True)))


def test_no_sample_has_no_value_and_says_why():
    assert measured([]).value is None
    assert "picture" in measured([], n_excluded=2).note


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ComputeError, match="NaN"):
        measured([1.0, float("nan")])


def test_change_is_paired_by_sample():
    ids = [f"s{i}" for i in range(20)]
    before = measured([float(i) for i in range(20)], ids=ids)
    after = measured([float(i) - 0.5 for i in reversed(range(20))], ids=ids[::-1])
    change = paired_change(before, after)
    assert change.value == pytest.approx(-0.5)
    assert (change.interval.low, change.interval.high) == pytest.approx((-0.5, -0.5))
    assert change.p_value == pytest.approx(2 * 0.5**20, rel=1e-6)


def test_change_covers_the_samples_that_both_hold():
    before = measured([1.0, 2.0, 4.0], ids=["a", "b", "c"])
    after = measured([3.0, 2.0, 9.0], ids=["a", "b", "d"])
    change = paired_change(before, after)
    assert change.value == 1
    assert "2 samples" in change.note


def test_change_of_shares_stays_sensible_where_nothing_varies():
    clusters = [str(i // 2) for i in range(12)]
    before, after = (measured([v] * 12, clusters, success=100) for v in (0.0, 100.0))
    change = paired_change(before, after)
    assert change.value == 100
    assert change.interval.high == 100
    assert 20 < change.interval.low < 100
    assert change.p_value == pytest.approx(2 / 2**6)


def test_change_without_samples_or_values():
    plain = Measurement(group="retain", value=3.0, n=9)
    assert paired_change(plain, Measurement(group="retain", value=5.0, n=9)).value == 2
    missing = Measurement(group="retain", value=None, n=0, note="why")
    assert paired_change(plain, missing).note == "why"
    assert paired_change(measured([1.0], ids=["a"]), measured([1.0], ids=["b"])).value is None


def test_holm_multiplies_the_smallest_by_their_number_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_holm_believes_no_more_false_tests_than_it_says():
    generator = random.Random(0)
    wrong = sum(min(holm([generator.random() for _ in range(20)])) < 0.05 for _ in range(2000))
    assert 0.035 < wrong / 2000 < 0.065


def test_a_value_alone_has_no_interval_and_says_so():
    values = [float(i) for i in range(20)]
    whole = measured(values)
    with values_alone():
        alone = measured(values)
    assert (alone.value, alone.interval, alone.values) == (whole.value, None, whole.values)
    assert "the value alone" in alone.note
    assert measured(values) == whole
