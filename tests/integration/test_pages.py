"""The pages of unlearners and metrics: each has prose with its sections, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vu_core.pages import page, prose
from vu_core.registry import Registry

ROOT = Path(__file__).parents[2]
PLUGINS = {path.name: path for path in ROOT.glob("plugins/*")}
SECTIONS = {
    "unlearner": ("Idea", "Equation", "When to use it", "Fidelity", "Cost"),
    "metric": ("Definition", "Reading it", "Interval", "Pitfalls"),
}
OPTIONAL = ("What it looks like", "Fidelity")
REGISTRY = Registry.discover()
ENTRIES = [entry for kind in SECTIONS for entry in REGISTRY.entries(kind) if entry.plugin in PLUGINS]
TEST = re.compile(r"`([\w./-]+\.py)::(\w+)`")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.spec.name)
def test_every_unlearner_and_metric_has_a_page_with_its_sections(entry):
    written = prose(entry.spec)
    headings = [one for one in re.findall(r"^## (.*)$", written, re.MULTILINE) if one not in OPTIONAL]
    assert headings == [one for one in SECTIONS[entry.spec.kind] if one not in OPTIONAL]
    if entry.spec.kind == "unlearner":
        assert "$$" in written and TEST.search(written.partition("\n## Fidelity\n")[2])
    assert written in page(REGISTRY, entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.spec.name)
def test_every_test_that_a_page_names_is_there(entry):
    for file, name in TEST.findall(prose(entry.spec)):
        places = [folder / file for folder in (PLUGINS[entry.plugin], ROOT)]
        found = [place.read_text("utf-8") for place in places if place.is_file()]
        assert any(f"\ndef {name}(" in text for text in found), f"{file}::{name}"


def test_no_page_is_about_what_is_not_there():
    written = {(path.parent.name, path.stem) for path in ROOT.glob("plugins/*/src/*/docs/*/*.md")}
    assert written == {(entry.spec.kind, entry.spec.name) for entry in ENTRIES}


def test_the_index_names_every_unlearner():
    index = (ROOT / "docs" / "unlearners" / "index.md").read_text("utf-8")
    listed = re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+)\.md\) \|", index, re.MULTILINE)
    assert all(name == file for name, file in listed)
    assert sorted(name for name, _ in listed) == [
        entry.spec.name for entry in ENTRIES if entry.spec.kind == "unlearner"
    ]
