"""What ``vu new`` writes, installed: each kind passes ``vu check`` and its own tests, and is clean."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vu_core.cli.new import STARTERS, render
from vu_core.testing import cases_of, isolated_plugins, load_plugin

SHORT, LONG = "x", "extraordinarily-long-name-of-1"


def python(*arguments: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def projects(tmp_path_factory) -> dict[str, Path]:
    """The four projects, by kind."""
    folder = tmp_path_factory.mktemp("projects")
    for kind in STARTERS:
        write(folder / kind, kind, f"new-{kind}")
    return {kind: folder / kind for kind in STARTERS}


@pytest.fixture(scope="module")
def installed(projects, tmp_path_factory) -> Path:
    """The folder that the four are installed in."""
    target = tmp_path_factory.mktemp("installed")
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    python("pip", "install", "-q", *offline, "--target", str(target), *map(str, projects.values()))
    return target


def write(folder: Path, kind: str, name: str) -> None:
    for path, text in render(kind, name):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.mark.parametrize("kind", STARTERS)
def test_it_passes_vu_check_at_once_and_a_check_takes_less_than_two_seconds_besides_imports(vu, installed, kind):
    with isolated_plugins(installed):
        result = vu("check", f"vu-new-{kind}")
        assert result.exit_code == 0, result.output
        assert f"{kind}/new-{kind}" in result.stdout and " 0 failed" in result.stdout
        seconds = {case.key: processor_seconds(case) for case in cases_of(load_plugin(f"vu-new-{kind}"))}
    assert {name: spent for name, spent in seconds.items() if spent >= 2} == {}


def processor_seconds(work: Callable[[], None]) -> float:
    """Return the time that processors spent on ``work`` here and in processes that it started."""
    before = os.times()
    work()
    return sum(os.times()[:4]) - sum(before[:4])


def test_its_own_tests_pass(projects, installed):
    suites = [str(project / "tests") for project in projects.values()]
    python("pytest", "-q", "-W", "error", "--import-mode=importlib", *suites, PYTHONPATH=str(installed))


@pytest.mark.parametrize("name", [SHORT, LONG])
def test_style_is_clean_whatever_the_name(tmp_path, name):
    for kind in STARTERS:
        write(tmp_path / kind, kind, name)
    python("ruff", "check", "--no-cache", str(tmp_path))
    python("ruff", "format", "--no-cache", "--check", str(tmp_path))
