"""The kit as pytest runs it: ``pytest --pyargs vu_core.testing --vu-plugin PLUGIN``."""

from __future__ import annotations

import pytest

from vu_core.testing.cases import Case, cases_of, load_plugin


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test a check of each plugin that ``--vu-plugin`` names."""
    plugins = metafunc.config.getoption("--vu-plugin")
    if plugins:
        cases = [case for name in plugins for case in cases_of(load_plugin(name))]
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


def test_conformance(case: Case) -> None:
    """Run one check."""
    case()
