"""A whole run on a device through the command line: same findings as on the CPU, and a record that says where."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

pytestmark = pytest.mark.gpu

PROTOCOL = """
name = "device-test@1"
summary = "Eight objects in two styles, one picture each."
dataset = "emoji"
templates = ["a {object} image in {style} style"]
articles = true
seeds = [0]
seed_rule = "per-prompt"
[grid]
object = ["cat", "dog", "car", "apple", "house", "rocket", "tulip", "pizza"]
style = ["noto", "mono"]
[sampler]
steps = 20
guidance_scale = 3.0
micro_batch = 8
[scorers]
object = "emoji-object"
style = "emoji-style"
clip = "emoji-clip"
[metrics]
ua = {}
ira = {}
cra = {}
clip_score = {}
"""
ONE_PICTURE = 100 / 14


def run(folder, device: str) -> dict:
    from vu_core.cli import app

    folder.mkdir()
    protocol = folder / "protocol.toml"
    protocol.write_text(PROTOCOL)
    arguments = ["run", "uce", "--forget", "cat", "--protocol", str(protocol), "--device", device]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VU_CACHE_DIR", str(folder / "cache"))
        result = CliRunner().invoke(app, [*arguments, "--out", str(folder / "run")])
    assert result.exit_code == 0, result.output
    return json.loads((folder / "run" / "record.json").read_text())


def test_a_run_finds_what_it_finds_on_the_cpu(device, measured, tmp_path):
    ours, theirs = (run(tmp_path / name, at) for name, at in (("ours", device), ("theirs", "cpu")))
    for stage in ours["stages"]:
        peak = stage["peak_device_bytes"]
        assert (peak is None) == (device != "cuda")
        memory = f", {peak / 1e6:.0f} MB on the device" if peak else ""
        measured(f"run, {stage['name']}: {stage['seconds']:.2f} s{memory}")
    assert ours["environment"]["device"] == device
    if device == "cuda":
        assert ours["environment"]["accelerator"]
        assert ours["environment"]["float32"] == {"convolutions": "tf32", "matmuls": "ieee"}
    assert [(r["metric"], r["group"]) for r in ours["results"]] == [
        (r["metric"], r["group"]) for r in theirs["results"]
    ]
    for mine, other in zip(ours["results"], theirs["results"], strict=True):
        if mine["group"] != "retain":
            continue
        for when in ("before", "after"):
            assert mine[when] == pytest.approx(other[when], abs=ONE_PICTURE), mine
