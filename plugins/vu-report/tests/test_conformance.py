"""This plugin keeps the contract: every check of the kit."""

from __future__ import annotations

from vu_core import testing


@testing.parametrize("vu-report")
def test_conformance(check: testing.Case) -> None:
    check()
