"""Runs on the trained model that several files of tests look at, so that each is carried out once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

FADE = ("run", "fade", "--forget", "cat", "--replace-with", "dog", "--quick")


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder of this session of tests, the same in every process that pytest-xdist starts."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def embedded_cache(shared) -> Path:
    """The cache of all runs on the trained model: pictures of the base model are drawn once."""
    return shared / "embedded-cache"


@pytest.fixture(scope="session")
def fade_run(shared, embedded_cache) -> Path:
    """The folder of FADE's run in the README, carried out once in a session: two minutes on two cores."""
    from vu_core.cli import app

    pytest.importorskip("vu_fade", reason="vu-fade is not installed")
    out = shared / "fade-cat"
    with FileLock(shared / "fade-cat.lock"), pytest.MonkeyPatch.context() as patch:
        if not out.exists():
            patch.setenv("VU_CACHE_DIR", str(embedded_cache))
            result = CliRunner().invoke(app, [*FADE, "--out", str(out)])
            assert result.exit_code == 0, result.output
    return out
