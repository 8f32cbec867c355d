"""Runs on the trained model that several files of tests look at, so that each is carried out once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

FADE = ("run", "fade", "--forget", "cat", "--replace-with", "dog", "--quick")


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory) -> Path:
    """The cache of all runs on the trained model: pictures of the base model are drawn once."""
    return tmp_path_factory.mktemp("embedded") / "cache"


@pytest.fixture(scope="session")
def fade_run(tmp_path_factory, embedded_cache) -> Path:
    """The folder of FADE's run in the README, carried out once in a session: two minutes on two cores."""
    from vu_core.cli import app

    pytest.importorskip("vu_fade", reason="vu-fade is not installed")
    out = tmp_path_factory.mktemp("runs") / "fade-cat"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VU_CACHE_DIR", str(embedded_cache))
        result = CliRunner().invoke(app, [*FADE, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out
