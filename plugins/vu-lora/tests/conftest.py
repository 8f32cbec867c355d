from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from vu_core.testing.pipelines import build_pipeline


@pytest.fixture(scope="session")
def pipes():
    return {family: build_pipeline(family=family) for family in ("sd1", "sd2")}


@pytest.fixture(params=["sd1", "sd2"])
def family(request):
    return request.param


@pytest.fixture
def model(pipes, family):
    return pytest.importorskip("vu_diffusers.model").adopt(pipes[family])
