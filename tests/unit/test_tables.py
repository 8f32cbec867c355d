"""Results as tables: digits, signs, and rows that have one number for before and after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vu_core.tables import as_markdown, as_text, damage_line, noise_line, number
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


def test_damage_names_the_worst_first_and_marks_neighbours():
    fallen = {"dog": -50.0, "fox": -20.0, "bus": 0.0}
    results = [
        replace(SHARE, metric="ira", group=group, before=100.0, after=100.0 + change, change=change)
        for group, change in fallen.items()
    ]
    expected = "Most damaged (ira): dog 100.0 to 50.0 % (n=12, a neighbour), fox 100.0 to 80.0 % (n=12)"
    assert damage_line(results, ["dog", "bus"]) == expected


def test_a_change_has_signs():
    assert as_markdown([SHARE, PAIRS])[2:] == [
        "| ua (%) | forget | 2.0 | 100.0 | +98.0 | +91.3 … +99.9 | 12 |",
        "| ssim | retain | – | 0.935 | – | 0.900 … 0.950 | 348 |",
    ]
