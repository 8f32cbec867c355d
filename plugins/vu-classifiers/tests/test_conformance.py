"""This plugin keeps the contract: every check of the kit, on a model that its own trainer makes."""

from __future__ import annotations

from vu_core import testing


@testing.parametrize("vu-classifiers")
def test_conformance(check: testing.Case) -> None:
    check()
