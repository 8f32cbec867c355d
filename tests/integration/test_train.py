"""``vu train`` from the command line: checked before, carried out, read again, refused."""

from __future__ import annotations

import json

import pytest

from vu_core.models import load, plan_model
from vu_core.registry import Registry

pytest.importorskip("vu_classifiers", reason="vu-classifiers is not installed")
pytest.importorskip("vu_digits", reason="vu-digits is not installed")

TRAIN = ("train", "classifier", "--dataset", "digits", "-o", "architecture=mlp", "-o", "width=8", "-o", "augment=none")
QUICK = (*TRAIN, "-o", "epochs=2", "--device", "cpu", "--data", "validation=0.2")


def test_a_model_is_trained_and_loaded(vu, tmp_path):
    out = tmp_path / "model"
    plan = json.loads(vu(*QUICK, "--out", str(out), "--dry-run", "--json").stdout)
    assert plan["loader"].startswith("classifier (vu-classifiers") and plan["dataset"] == "digits, validation=0.2"
    assert "epochs=2" in plan["options"] and not out.exists()
    result = vu(*QUICK, "--out", str(out), "--seed", "3", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((out / "vu_training.json").read_text())
    assert told["recipe"]["epochs"] == 2 and told["recipe"]["seed"] == told["seed"] == 3
    assert told["measured"]["accuracy on test"]["n"] == 597
    assert {"vu-classifiers", "vu-digits"} <= told["environment"]["versions"].keys()
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2] and lines[1]["loss/train"] < lines[0]["loss/train"]
    model = load(plan_model(str(out), Registry.discover()), device="cpu", dtype="float32", download=False, revision="")
    assert model.recipe() == told["recipe"] and model.classes == tuple("0123456789")


def test_a_file_where_the_folder_should_be_is_refused_before_anything_is_trained(vu, tmp_path):
    (tmp_path / "file").touch()
    for out, message in {"file": "is a file", "file/model": "cannot be written"}.items():
        result = vu(*QUICK, "--out", str(tmp_path / out))
        assert result.exit_code == 2 and message in result.stderr


def test_a_finished_training_is_only_read(vu, tmp_path):
    out = str(tmp_path / "model")
    assert vu(*QUICK, "--out", out).exit_code == 0
    stored = (tmp_path / "model" / "classifier" / "model.safetensors").stat().st_mtime_ns
    again = vu(*QUICK, "--out", out, "--resume")
    assert again.exit_code == 0 and "accuracy on test" in again.stdout
    assert (tmp_path / "model" / "classifier" / "model.safetensors").stat().st_mtime_ns == stored
    refused = vu(*QUICK, "--out", out)
    assert refused.exit_code == 2 and "already exists" in refused.stderr and "--resume" in refused.stderr
    other = vu(*QUICK, "--out", out, "--resume", "--seed", "1")
    assert other.exit_code == 2 and "holds another training; what differs: seed" in other.stderr
    (tmp_path / "model" / "vu_training.json").write_text("[]")
    damaged = vu(*QUICK, "--out", out, "--resume")
    assert damaged.exit_code == 2 and "holds a JSON list, not an object" in damaged.stderr


def test_the_time_of_a_continued_training_says_what_it_leaves_out(vu, tmp_path):
    out = tmp_path / "model"
    first = json.loads(vu(*QUICK, "--out", str(out), "--json").stdout)
    (out / "vu_training.json").unlink()
    again = json.loads(vu(*QUICK, "--out", str(out), "--resume", "--json").stdout)
    assert first["warnings"] == [] and "'seconds' are those of the last one alone" in again["warnings"][0]
    assert first["measured"] == again["measured"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "diffusers", "--dataset", "digits", "--out", "x"), "'diffusers' cannot be trained by vu"),
        (("train", "classifer", "--dataset", "digits", "--out", "x"), "Did you mean 'classifier'"),
        (("train", "classifier", "--dataset", "digit", "--out", "x"), "Did you mean 'digits'"),
        ((*TRAIN, "-o", "epoch=3", "--out", "x"), "Did you mean 'epochs'"),
        ((*TRAIN, "-o", "epochs", "--out", "x"), "-o takes key=value"),
        ((*TRAIN, "-o", "kind=style", "--out", "x"), "'style' names 0 concepts"),
        ((*TRAIN, "-o", "architecture=mlpp", "--out", "x"), "unknown architecture 'mlpp'"),
        ((*TRAIN, "--device", "abacus", "--out", "x"), "device 'abacus' is not there"),
    ],
)
def test_input_that_is_refused(vu, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = vu(*arguments)
    assert result.exit_code == 2 and message in result.stderr
