"""This plugin keeps the contract, with small copies of the data sets: every check of the kit."""

from __future__ import annotations

import unittest

import pytest

from vu_core import testing


def test_without_files_what_needs_them_is_skipped(empty_dir) -> None:
    cases = {case.key: case for case in testing.cases_of(testing.load_plugin("vu-datasets"))}
    with pytest.raises(unittest.SkipTest, match="the files of dataset 'lfw' were not found"):
        cases["dataset/lfw-concepts"]()
    cases["dataset/imagenette-concepts"]()


@testing.parametrize("vu-datasets")
def test_conformance(check: testing.Case, asked_for, monkeypatch) -> None:
    monkeypatch.setenv("VU_DATA_DIR", str(asked_for))
    check()
