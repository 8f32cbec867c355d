"""This plugin keeps the contract, with small copies of the data sets: every check of the kit."""

from __future__ import annotations

from vu_core import testing


@testing.parametrize("vu-datasets")
def test_conformance(check: testing.Case, data_dir) -> None:
    check()
