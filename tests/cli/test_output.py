"""Tables on a terminal, and lists of names in options."""

from __future__ import annotations

import re
import sys

import pytest

from vu_core.cli._arguments import names
from vu_core.cli._output import print_table

COLUMNS = ("NAME", "STATUS", "SUMMARY")
ROWS = [("erase", "ok", "Erase a concept, and keep the others as they are."), ("moved", "broken", "import: oops")]


@pytest.fixture
def lines(monkeypatch, capsys):
    """Return a function that prints the table on a terminal of some width and returns its lines."""

    def printed(width):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(COLUMNS, ROWS)
        return [line.rstrip() for line in re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()]

    return printed


def test_the_last_cell_stands_beside_the_others_where_there_is_room(lines):
    header, first, second = lines(80)
    assert header.split() == list(COLUMNS)
    assert first.split()[:3] == ["erase", "ok", "Erase"] and first.endswith("as they are.")
    assert second.split() == ["moved", "broken", "import:", "oops"]


def test_on_a_narrow_terminal_it_stands_below_whole(lines):
    found = lines(40)
    assert [line.split() for line in found[:3]] == [["NAME", "STATUS"], ["SUMMARY"], ["erase", "ok"]]
    assert " ".join(line.strip() for line in found[3:5]) == ROWS[0][-1]
    assert found[5].split() == ["moved", "broken"] and found[6] == "    import: oops"


@pytest.mark.parametrize(
    ("given", "found"),
    [(None, None), (["a,b", " c "], ["a", "b", "c"]), (["3,"], ["3"]), ([""], []), ([" , "], [])],
)
def test_names_are_never_empty(given, found):
    assert names(given) == found
