"""This plugin keeps the contract: every check of the kit, on what it carries."""

from __future__ import annotations

from vu_core import testing


@testing.parametrize("vu-fashion")
def test_conformance(check: testing.Case) -> None:
    check()
