"""A dataset's files on the command line, in run.toml and from Python."""

from __future__ import annotations

import json
import tomllib

import pytest
from typer.testing import CliRunner

import vu_core as vu
from vu_core.cli import app
from vu_core.planning import plan_run
from vu_core.registry import Registry
from vu_core.runspec import read_run_file, run_spec, write_run_file

OWN = """
name = "own@1"
dataset = ""
templates = ["a {label}"]
seeds = [0]
deviations = ["wording: ours"]
[grid]
label = ["cat", "dog"]
[sampler]
steps = 2
guidance_scale = 3.0
[scorers]
clip = "emoji-clip"
[metrics]
clip_score = {}
[original]
steps = 50
model = "SD"
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    return str(tmp_path / "own.toml")


def vu_run(*arguments):
    return CliRunner().invoke(app, ["run", "uce", "--model", "emoji", "--dry-run", "--json", *arguments])


def test_on_the_command_line(data_dir, own):
    root = f"root={data_dir / 'images'}"
    done = vu_run("--dataset", "images", "--data", root, "--forget", "cat", "--protocol", own)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["retain"] == "1 concepts"
    wrong = vu_run("--dataset", "images", "--data", root, "--forget", "cow", "--protocol", own)
    assert wrong.exit_code == 2 and "It has label: cat, dog" in wrong.stderr
    assert "--data takes key=value, 'here' was given" in vu_run("--data", "here", "--forget", "cat").stderr
    emoji = vu_run("--data", "root=x", "--forget", "cat")
    assert "dataset 'emoji' has no options, but root was given" in emoji.stderr


def test_in_run_toml(data_dir, own, tmp_path):
    spec = run_spec({
        "unlearner": "uce", "forget": ["cat"], "model": "emoji", "dataset": "images", "protocol": own,
        "data": {"root": str(data_dir / "images"), "seed": 3, "concepts": ["label", "style"]},
    })  # fmt: skip
    write_run_file(spec, tmp_path / "run.toml")
    assert tomllib.loads((tmp_path / "run.toml").read_text())["data"]["concepts"] == ["label", "style"]
    read = read_run_file(tmp_path / "run.toml")
    assert read.data == spec.data
    plan = plan_run(read, Registry.discover())
    assert plan.unlearning.data.dataset.config.seed == 3
    assert [concept.name for concept in plan.unlearning.data.retain] == ["dog"]
    assert plan.warnings == (
        "differs from own@1 as published: wording: ours",
        "differs from own@1 as published: model: emoji here, SD as published",
        "differs from own@1 as published: steps: 2 here, 50 as published",
    )


def test_from_python(data_dir):
    model = vu.load_model("emoji", device="cpu")
    data = {"root": str(data_dir / "images")}
    edit = vu.unlearn("uce", model, forget="cat", dataset="images", data=data, preset="none")
    assert edit.info["request"]["forget"][0]["kind"] == "label"
    with pytest.raises(vu.VuError, match="the files of dataset 'images' were not found: 'nowhere'"):
        vu.unlearn("uce", model, forget="cat", dataset="images", data={"root": "nowhere"})
