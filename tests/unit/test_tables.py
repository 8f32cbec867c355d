"""Results as tables: digits, signs, and rows that have one number for before and after."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from vu_core.tables import as_markdown, as_text, damage_line, noise_line, number, rich_table
from vu_core.types import Interval, Result

SHARE = Result(
    metric="ua",
    group="forget",
    before=2.0,
    after=100.0,
    change=98.0,
    interval=Interval(low=91.26, high=99.9),
    n=12,
    unit="%",
    direction="up",
    ideal=100.0,
)
PAIRS = Result(
    metric="ssim",
    group="retain",
    before=None,
    after=0.93456,
    change=None,
    after_interval=Interval(low=0.9, high=0.95),
    n=348,
    direction="up",
    ideal=1.0,
)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "%", "–"),
        (0.04, "%", "0.0"),
        (4.6667, "", "4.667"),
        (0.000412, "", "0.0004"),
        (0.0, "", "0.000"),
        (18.0, "", "18.0"),
        (0.0369, "MB", "0.037"),
        (1.25, "s", "1.2"),
        (434.0, "s", "434.0"),
        (-12.34, "", "-12.3"),
    ],
)
def test_numbers(value, unit, shown):
    assert number(value, unit) == shown


def test_a_number_for_both_has_its_own_interval():
    row = as_text([SHARE, PAIRS]).splitlines()[-1].split()
    assert row == ["ssim", "retain", "–", "0.935", "–", "0.900", "…", "0.950", "↑", "1", "348"]


def test_a_change_within_noise_is_marked_and_the_mark_explained():
    noise = replace(SHARE, change=3.0, interval=Interval(low=-1.0, high=7.0))
    assert "~ +3.0" in as_text([noise])
    assert "~" not in as_text([SHARE, PAIRS])
    assert (noise_line([SHARE, noise]), noise_line([SHARE, PAIRS])) == ("~ within noise: the interval holds 0", "")


def test_the_table_says_that_it_has_no_reference():
    alone = replace(SHARE, direction="reference", ideal=None)
    assert "no reference" in noise_line([alone])
    assert "no reference" not in noise_line([replace(alone, reference=99.0, reference_n=3), alone])
    assert "no reference" not in noise_line([SHARE])


def test_a_change_has_signs():
    assert as_markdown([SHARE, PAIRS])[2:] == [
        "| ua (%) | forget | 2.0 | 100.0 | +98.0 | +91.3 … +99.9 | 12 |",
        "| ssim | retain | – | 0.935 | – | 0.900 … 0.950 | 348 |",
    ]


def result(metric, group, before, after):
    return Result(metric=metric, group=group, before=before, after=after, change=after - before, n=6, unit="%")


RESULTS = [
    result("ua", "forget", 0.0, 100.0),
    result("ua", "cat", 100.0, 50.0),
    result("ua", "dog", 0.0, 100.0),
    result("ira", "retain", 90.0, 80.0),
    result("ira", "fox", 100.0, 50.0),
    result("ira", "car", 100.0, 90.0),
    result("cra", "forget", 90.0, 90.0),
    result("cra", "retain", 90.0, 90.0),
    result("cra", "cat", 90.0, 90.0),
]


def rows(table):
    stream = io.StringIO()
    Console(file=stream, width=100).print(table)
    return [line.split()[:3] for line in stream.getvalue().splitlines()]


def test_what_was_forgotten_earlier_has_rows_where_forgetting_is_measured():
    assert ["cat", "100.0", "50.0"] in rows(rich_table(RESULTS, ["cat", "dog"]))
    shown = [cells[0] for cells in rows(rich_table(RESULTS, ["cat", "dog"])) if cells]
    assert (shown.count("cat"), shown.count("dog"), shown.count("fox")) == (1, 1, 0)
    assert not any("cat" in cells for cells in rows(rich_table(RESULTS)))


def test_the_most_damaged_are_named_and_neighbours_among_them_marked():
    assert damage_line(RESULTS, ["fox"]) == (
        "Most damaged (ira): fox 100.0 to 50.0 % (n=6, a neighbour), car 100.0 to 90.0 % (n=6)"
    )
    assert damage_line(RESULTS[:3]) == "Most damaged: unknown, ira was not measured"
