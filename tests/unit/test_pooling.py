"""Numbers of many runs as one."""

from __future__ import annotations

import random
import statistics

import pytest

from vu_core.pooling import Single, corrected_rows, pool
from vu_core.statistics import holm
from vu_core.types import Result


def result(before, after, metric="ua", group="forget", **fields):
    change = None if None in (before, after) else after - before
    values = {"n": 12, "unit": "%", "direction": "up", "success": 100.0, **fields}
    return Result(metric=metric, group=group, before=before, after=after, change=change, **values)


def runs(pairs, **fields):
    return [Single(concept=str(i), seed=0, results=[result(b, a, **fields)]) for i, (b, a) in enumerate(pairs)]


def test_every_concept_weighs_the_same():
    rows = pool("uce", "object", runs([(0, 100), (10, 50), (20, 60)]))
    (row,) = rows
    assert (row.unlearner, row.kind, row.concepts, row.result.n) == ("uce", "object", 3, 36)
    assert (row.result.before, row.result.after, row.result.change) == pytest.approx((10, 70, 60))


def test_each_metric_and_group_is_a_row():
    both = Single(concept="cat", seed=0, results=[result(0, 100), result(90, 80, "ira", "retain")])
    other = Single(concept="dog", seed=0, results=[result(0, 50), result(90, 90, "ira", "retain")])
    rows = {(row.result.metric, row.result.group): row.result for row in pool("uce", "object", [both, other])}
    assert rows["ua", "forget"].after == 75 and rows["ira", "retain"].change == -5


def test_tests_of_a_whole_table_are_corrected_together():
    """A run's own correction, for its own tests, says nothing about the table."""
    draw = random.Random(0)
    singles = []
    for i in range(12):
        metrics = [("ua", "forget", 80.0), ("ira", "retain", -2.0), ("cra", "retain", 0.0)]
        found = [result(50, 50 + shift + draw.gauss(0, 5), m, g, p_holm=0.5) for m, g, shift in metrics]
        singles.append(Single(concept=str(i), seed=0, results=found))
    rows = pool("uce", "object", singles)
    p_values = [row.result.p_value for row in rows]
    assert None not in p_values
    assert [row.result.p_holm for row in corrected_rows(rows)] == pytest.approx(holm(p_values))
    assert corrected_rows(pool("uce", "object", runs([(0, 100)], p_holm=0.5)))[0].result.p_holm != 0.5


def test_intervals_resample_concepts():
    draw = random.Random(3)
    after = [draw.choice([0.0, 25.0, 50.0, 75.0, 100.0]) for _ in range(30)]
    row = pool("uce", "object", runs([(0, value) for value in after]))[0].result
    means = sorted(statistics.fmean(draw.choices(after, k=30)) for _ in range(4000))
    assert row.after_interval.method == "cluster-bootstrap"
    assert row.after_interval.low == pytest.approx(means[100], abs=2.5)
    assert row.after_interval.high == pytest.approx(means[-101], abs=2.5)
    assert (row.interval.low, row.interval.high) == (row.after_interval.low, row.after_interval.high)


def test_seeds_of_one_concept_are_no_more_concepts():
    one = runs([(0, 100 * (i % 3 > 0)) for i in range(12)])
    more = [Single(concept=run.concept, seed=seed, results=run.results) for run in one for seed in range(5)]
    once, often = pool("uce", "object", one)[0], pool("uce", "object", more)[0]
    assert once.concepts == often.concepts == 12
    width = [row.result.after_interval.high - row.result.after_interval.low for row in (once, often)]
    assert width[1] == pytest.approx(width[0], rel=0.05)


def test_a_share_that_never_varies_is_not_certain():
    row = pool("uce", "object", runs([(0, 100)] * 30))[0].result
    assert row.after_interval.method == "wilson"
    assert (row.after_interval.low, row.after_interval.high) == (pytest.approx(88.65, abs=0.01), 100)
    assert row.interval.method == "newcombe" and 80 < row.interval.low < row.interval.high == 100


def test_two_concepts_have_an_interval_of_a_share_and_none_of_another_mean():
    share = pool("uce", "object", runs([(0, 100), (0, 50)]))[0].result
    assert 0 <= share.after_interval.low < 75 < share.after_interval.high <= 100
    other = pool("uce", "object", runs([(30, 20), (31, 22)], success=None, unit="100 cos"))[0].result
    assert other.after_interval is None and "2 concepts" in other.note


def test_a_run_without_the_number_is_counted_and_not_averaged():
    row = pool("uce", "object", runs([(0, 100), (0, None), (0, 50)]))[0]
    assert (row.concepts, row.result.after) == (2, 75) and "1 runs have no such number" in row.result.note


def test_of_a_few_concepts_the_interval_is_students_within_the_possible():
    row = pool("uce", "object", runs([(0, 100), (0, 100), (0, 83), (0, 90)]))[0].result
    values = [100, 100, 83, 90]
    half = 3.182446 * statistics.stdev(values) / 2
    assert row.after_interval.method == "student"
    assert row.after_interval.low == pytest.approx(93.25 - half) and row.after_interval.high == 100
