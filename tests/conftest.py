"""Fixtures: an environment that holds the named fake plugins and no other, and the command line in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vu_core.testing.distributions import isolated_plugins

PLUGINS = Path(__file__).parent / "data" / "plugins"

InstallFakes = Callable[..., None]
Vu = Callable[..., Result]


@pytest.fixture
def install_fakes() -> Iterator[InstallFakes]:
    """Return a function that makes folders, named within tests/data/plugins, the only plugins there are."""
    with ExitStack() as stack:

        def install(*names: str | Path) -> None:
            folders = [PLUGINS / name for name in names]
            assert all(map(Path.is_dir, folders))
            stack.enter_context(isolated_plugins(*folders))

        yield install


@pytest.fixture
def vu() -> Vu:
    """Return a function that runs ``vu`` in this process: ``vu("list", "--json")``."""
    from vu_core.cli import app

    return lambda *arguments: CliRunner().invoke(app, arguments)
