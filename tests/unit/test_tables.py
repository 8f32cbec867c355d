"""Results as tables and sentences for people."""

from __future__ import annotations

import io

from rich.console import Console

from vu_core.tables import damage_line, rich_table
from vu_core.types import Result


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
