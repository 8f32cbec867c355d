from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# The training that other processes run is a module, here and there.
sys.path.insert(0, str(Path(__file__).parent))

from vu_diffusers.model import DiffusersModel, load

from vu_core.context import RunContext
from vu_core.testing.pipelines import write_pipeline


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def ctx(tmp_path) -> RunContext:
    """A run whose log is kept in ``ctx.lines``."""
    lines = []
    made = RunContext(out_dir=tmp_path / "run", log=lambda step, values: lines.append((step, dict(values))))
    object.__setattr__(made, "lines", lines)
    return made


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipelines") / "sd1")


@pytest.fixture
def model(pipeline) -> DiffusersModel:
    return load(str(pipeline))
