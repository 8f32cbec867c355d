"""Fixtures: an environment that holds the named fake plugins and no other, and the command line in process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import importlib_metadata
import pytest
from typer.testing import CliRunner, Result

PLUGINS = Path(__file__).parent / "data" / "plugins"

InstallFakes = Callable[..., None]
Vu = Callable[..., Result]


@pytest.fixture
def install_fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallFakes]:
    """Return a function that makes folders, named within tests/data/plugins, the only plugins there are."""
    before = set(sys.modules)
    discover_all = importlib_metadata.distributions

    def install(*names: str | Path) -> None:
        folders = [str(PLUGINS / name) for name in names]
        assert all(map(Path.is_dir, map(Path, folders)))
        for folder in reversed(folders):
            monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(importlib_metadata, "distributions", partial(discover_all, path=folders))

    monkeypatch.delenv("VU_PLUGINS_OFF", raising=False)
    # A fake plugin brings a module of this name, and another test may have imported the real one.
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    yield install
    for name in set(sys.modules) - before:
        if str(PLUGINS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def vu() -> Vu:
    """Return a function that runs ``vu`` in this process: ``vu("list", "--json")``."""
    from vu_core.cli import app

    return lambda *arguments: CliRunner().invoke(app, arguments)
