"""Tiny pipelines shared by the tests, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from vu_core.testing.pipelines import write_pipeline

FAMILIES = ("sd1", "sd2", "sdxl")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    return {family: write_pipeline(root / family, family=family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(folders: dict[str, Path], family: str) -> Path:
    return folders[family]
