"""What the core says of the project's own plugins is what they provide."""

from __future__ import annotations

from pathlib import Path

import pytest

from vu_core.cli import ELSEWHERE
from vu_core.discovery import discover
from vu_core.registry import FIRST_PARTY

OURS = {path.name for path in (Path(__file__).parents[2] / "plugins").iterdir()} - {"vu-example"}


@pytest.fixture(scope="module")
def records():
    return [record for record in discover().records if record.name in OURS]


def test_kinds(records):
    provided = {record.name: {spec.kind for spec in record.specs} for record in records}
    assert provided == {name: set(kinds) for name, kinds in FIRST_PARTY.items()}


def test_commands(records):
    brought = {spec.name: record.name for record in records for spec in record.specs if spec.kind == "command"}
    assert {name: ELSEWHERE.get(name) for name in brought} == brought
