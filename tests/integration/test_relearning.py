"""Relearn time and the anamnesis index, by the real command line on the embedded classifier of digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROTOCOL = """
name = "relearning@1"
dataset = ""
[pictures]
splits = ["test"]
[metrics]
relearn_steps = { margin = 0.5, seeds = 2 }
anamnesis_index = { margin = 0.5, seeds = 2 }
"""
RUN = ("run", "ssd", "--model", "digits", "--forget", "5", "--protocol", "relearning.toml", "--device", "cpu")


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    for plugin in ("vu_digits", "vu_classify", "vu_metrics_classify"):
        pytest.importorskip(plugin, reason=f"{plugin} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))
    Path("relearning.toml").write_text(PROTOCOL)


def test_what_forgot_by_damage_relearns_sooner_than_what_never_learned(vu):
    result = vu(*RUN, "--out", "run")
    assert result.exit_code == 0, result.output
    record = json.loads(Path("run/record.json").read_text())
    found = {result["metric"]: result for result in record["results"]}
    steps, index = found["relearn_steps"], found["anamnesis_index"]
    assert steps["before"] == 0.0 and 0 < steps["after"] < steps["reference"]
    assert steps["reference_n"] == 5 and steps["reference_noise"] > 0 and steps["n"] == 2
    assert index["after"] == pytest.approx(steps["after"] / steps["reference"])
    assert index["before"] == 0.0 and index["reference"] == pytest.approx(1, abs=0.2)
    stages = {stage["name"]: stage["detail"] for stage in record["stages"]}
    assert stages["examine retrained"] == {"computed": 10, "cached": 10}
    after = json.loads(Path("run/examined/after.json").read_text())["relearn_steps"]["found"]
    assert sum(one["steps"] for one in after.values()) / 2 == steps["after"]
