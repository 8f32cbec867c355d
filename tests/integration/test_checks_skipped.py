"""A component whose files are not there: one skip that says so, and every check once they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vu_core.testing import make_dist
from vu_core.testing.checks import scorers

LIGHT = """
from vu_core import ScorerSpec, hookimpl

@hookimpl
def vu_scorers():
    for name in ("seer", "prophet"):
        yield ScorerSpec(name=name, summary="Sees.", target="vu_fake.work:Seer", outputs="features", role="features")
"""
WORK = """
from pathlib import Path

from vu_core import DataError


class Seer:
    name, version = "seer", "1"

    def __init__(self, *, device):
        if not Path("weights").is_file():
            raise DataError("the file 'weights' is missing", hint="Put it there.")

    def score(self, images, prompts):
        return images.float().mean(dim=(2, 3))
"""
FILES = {"vu_fake/__init__.py": "", "vu_fake/py.typed": "", "vu_fake/plugin.py": LIGHT, "vu_fake/work.py": WORK}
WANTS = "cannot be checked: the file 'weights' is missing. Put it there."
PYTEST = ("-m", "pytest", "-ra", "-p", "no:cacheprovider", "--pyargs", "vu_core.testing", "--vu-plugin", "vu-fake")


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    made = make_dist(tmp_path / "site", "vu-fake", FILES)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", str(made))
    return made


def counts(text: str) -> dict[str, int]:
    return {
        outcome: int(count) for count, outcome in re.findall(r"(\d+) (passed|skipped|failed)", text.splitlines()[-1])
    }


def test_pytest_skips_once_a_component(site):
    def kit() -> str:
        return subprocess.run([sys.executable, *PYTEST], capture_output=True, text=True).stdout

    without = kit()
    Path("weights").touch()
    whole = counts(kit())
    assert counts(without) == {"passed": whole["passed"] - 2 * len(scorers.CHECKS), "skipped": 2}
    for name in ("seer", "prophet"):
        assert without.count(f"scorer/{name} {WANTS}") == 1


def test_the_command_shows_one_row_and_counts_every_check(site, vu, install_fakes):
    install_fakes(site)
    shown = vu("check", "vu-fake", "-k", "seer-v").stdout
    (row,) = [line for line in shown.splitlines() if WANTS in line]
    assert row.split()[:4] == ["4", "checks", "scorer/seer", "skipped"]
    assert shown.endswith("0 passed, 0 failed, 4 skipped\n")
    told = json.loads(vu("check", "vu-fake", "-k", "seer-v", "--json").stdout)
    assert [row["check"] for row in told["checks"]] == ["version", "verdicts", "verdicts_alone", "verdicts_repeat"]
    Path("weights").touch()
    assert vu("check", "vu-fake", "-k", "seer-v").stdout.endswith("4 passed, 0 failed\n")
