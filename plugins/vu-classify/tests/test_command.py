"""``vu retrain``: what it writes, what it leaves as it is, and that runs are held against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

import vu_core as vu
from vu_core.cli import app
from vu_core.editfiles import read_edit

digits = pytest.importorskip("vu_digits.make", reason="vu-digits is not installed")


def retrain(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["retrain", "--device", "cpu", "--out", "retrained", *arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


def test_it_writes_what_the_unlearner_returns_and_continues_where_it_stopped() -> None:
    asked = ("--forget", "3", "--count", "2")
    assert "2: 0 there already" in retrain(*asked, "--dry-run").stdout
    assert not Path("retrained").exists()
    written = [Path(name) for name in json.loads(retrain(*asked, "--json").stdout)]
    assert [file.name for file in written] == ["3-001.safetensors", "3-002.safetensors"]
    times = [file.stat().st_mtime_ns for file in written]
    for seed, file in enumerate(written, start=1):
        found, carried = read_edit(file), read_edit(digits.ASSETS / "retrained" / f"3-{seed:02d}.safetensors")
        for key in ("model", "config", "seed", "request", "data", "model_seed", "pictures"):
            assert found.info[key] == carried.info[key]
        assert (found.unlearner, found.base) == (carried.unlearner, carried.base)
        model = vu.load_model("digits", device="cpu")
        images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        logits = []
        for edit in (found, carried):
            with edit.applied(model):
                logits.append(model.classify(images).logits)
        torch.testing.assert_close(*logits, rtol=0, atol=0.05)
    assert "3, 1 of them new" in retrain("--forget", "3", "--count", "3", "--at-once", "1").stdout
    all_three = [f"retrained/3-{seed:03d}.safetensors" for seed in (1, 2, 3)]
    assert json.loads(retrain("--forget", "3", "--count", "3", "--json").stdout) == all_three
    assert [file.stat().st_mtime_ns for file in written] == times
    model = vu.load_model("digits", device="cpu")
    measured = vu.evaluate(model, forget="3", metrics="unlearning_accuracy", retrained=["retrained"], out="measured")
    assert measured["unlearning_accuracy", "forget"].reference_n == 20 + 3


def test_other_pictures_to_forget_are_another_set_of_models() -> None:
    retrain("--forget", "samples:random", "--data", "samples=0.1", "--count", "1")
    retrain("--forget", "samples:random", "--data", "samples=0.2", "--count", "1", "--seed", "2")
    found = {file.name: read_edit(file).info["data"] for file in Path("retrained").iterdir()}
    assert sorted(found) == ["random-001.safetensors", "random-002.safetensors"]
    assert found["random-001.safetensors"] != found["random-002.safetensors"]


def test_models_of_something_else_are_not_written_over() -> None:
    retrain("--forget", "samples:random", "--data", "samples=0.1", "--count", "1")
    before = Path("retrained/random-001.safetensors").read_bytes()
    asked = ["--forget", "samples:random", "--data", "samples=0.2", "--count", "2", "--seed", "0"]
    found = CliRunner().invoke(app, ["retrain", "--out", "retrained", *asked])
    assert found.exit_code == 2 and "Choose another folder with --out" in found.output
    assert Path("retrained/random-001.safetensors").read_bytes() == before
    assert len(list(Path("retrained").iterdir())) == 1
