"""The option ``--vu-plugin`` of pytest; loaded into every session, so it imports nothing before it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

_OPTION = "--vu-plugin"


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


def _is_kit(item: pytest.Item) -> bool:
    return item.path == Path(__file__).with_name("test_conformance.py")
