"""The notebooks' sources have all their parts, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
PAGE = ROOT / "docs" / "how-to" / "notebooks.md"
NEEDS_A_HUB = "needs-a-hub"
CLASSIFIER = "4-forget-a-class"

each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def cells(source):
    return jupytext.read(source).cells


def code(source, *, hub):
    return [
        cell.source
        for cell in cells(source)
        if cell.cell_type == "code" and (NEEDS_A_HUB in cell.metadata.get("tags", [])) == hub
    ]


def test_there_are_seven_and_nothing_else():
    assert [path.stem.partition("-")[0] for path in SOURCES] == list("1234567")
    there = {path.name for path in (ROOT / "notebooks").iterdir()} - {"__pycache__"}
    assert there == {path.name for path in SOURCES} | {"execute.py"}


@each
def test_its_file_is_as_jupytext_writes_it(source):
    written = jupytext.writes(jupytext.read(source), fmt="py:percent")
    # The head that jupytext writes names its own version.
    assert written.split("# ---\n", 2)[2] == source.read_text(encoding="utf-8").split("# ---\n", 2)[2]


@each
def test_it_begins_with_its_title_and_stands_on_the_page(source):
    first = cells(source)[0]
    title = first.source.splitlines()[0]
    assert first.cell_type == "markdown" and title.startswith("# ")
    assert f"| `{source.stem}` | {title.removeprefix('# ')}: " in PAGE.read_text(encoding="utf-8")


@each
def test_every_cell_is_valid_and_every_tag_known(source):
    for cell in cells(source):
        assert set(cell.metadata) <= {"tags", "language"} and cell.metadata.get("tags", []) in ([], [NEEDS_A_HUB])
        assert cell.source.strip() and not cell.get("outputs")
        if cell.cell_type == "code" and cell.source.startswith("%%"):
            head, *commands = cell.source.replace("\\\n", "").splitlines()
            assert head == "%%bash" and all(re.match(r"(vu|pip) ", line) for line in commands)
        elif cell.cell_type == "code":
            ast.parse(cell.source)


@each
def test_what_needs_a_hub_comes_last_and_says_so(source):
    found = cells(source)
    kinds = [NEEDS_A_HUB in cell.metadata.get("tags", []) for cell in found if cell.cell_type == "code"]
    assert not kinds[0] and kinds[-1] and sorted(kinds) == kinds
    place = next(i for i, cell in enumerate(found) if NEEDS_A_HUB in cell.metadata.get("tags", []))
    assert "\n*Needs a hub" in found[place - 1].source
    other = "CIFAR10" if source.stem == CLASSIFIER else r"stable-diffusion-v1-[45]"
    assert re.search(other, "\n".join(code(source, hub=True)))
    if source.stem != CLASSIFIER:
        assert re.search(r"George W Bush(.|\n)*Tony Blair", "\n".join(code(source, hub=True)))


@each
def test_what_is_executed_asks_for_no_network(source):
    assert "download" not in "\n".join(code(source, hub=False))
