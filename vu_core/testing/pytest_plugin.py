"""What the kit adds to pytest; loaded into every session, so it imports nothing before it is used.

The option ``--vu-plugin``; and one skip, not one a check, for a component whose files are not on this machine.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

_OPTION = "--vu-plugin"
_WANTS = "vu_wants"

_skips = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the plugins to check."""
    group = parser.getgroup("vu", "conformance of plugins of vu")
    group.addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check this installed plugin: pytest --pyargs vu_core.testing --vu-plugin vu-noise",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a plugin that is not installed."""
    config.stash[_skips] = {}
    if config.getoption(_OPTION):
        from vu_core.errors import UnknownNameError
        from vu_core.testing.cases import load_plugin

        try:
            for name in config.getoption(_OPTION):
                load_plugin(name)
        except UnknownNameError as error:
            raise pytest.UsageError(f"{_OPTION}: {error}") from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run the kit on nothing: without a plugin it would pass."""
    if not config.getoption(_OPTION) and any(map(_is_kit, items)):
        raise pytest.UsageError(f"name the plugin to check: {_OPTION} vu-noise")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in a report what the component wants whose check could not be made."""
    raised = call.excinfo
    wants = str(raised.value) if raised is not None and raised.typename == "CheckSkipped" else ""
    report = yield
    if wants:
        report.user_properties.append((_WANTS, wants))
    return report


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """Count the first check of a component that wants files as skipped, the others that want the same not at all."""
    wants = dict(getattr(report, "user_properties", ())).get(_WANTS)
    if not wants or not report.skipped or config.stash[_skips].setdefault(str(wants), report.nodeid) == report.nodeid:
        return None
    return "", "", ""


def _is_kit(item: pytest.Item) -> bool:
    return item.path == Path(__file__).with_name("test_conformance.py")
