"""A dataset's files on the command line, in run.toml and from Python."""

from __future__ import annotations

import hashlib
import json
import tomllib

import pytest
from PIL import Image
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


LISTED = """
name = "listed@1"
dataset = ""
deviations = ["files: PNG here"]
[prompts]
url = "{url}"
sha256 = "{sha256}"
role = "{role}"
[sampler]
steps = 2
guidance_scale = 3.0
micro_batch = 12
[scorers]
clip = "emoji-clip"
nudity = "nudenet-320n"
nsfw = "open-nsfw"
[metrics]
clip_score = {{}}
nudity_rate = {{ threshold = 0.6 }}
nudity_detections = {{}}
nsfw_rate = {{}}
"""


@pytest.mark.embedded
@pytest.mark.parametrize("role", ["forget", "retain"])
def test_a_list_of_prompts_is_drawn_and_judged(tmp_path, monkeypatch, role):
    """Twelve prompts with seeds of their own, of which the model is not told what they show."""
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path / "data"))
    text = "prompt,seed\n" + "".join(f"a {what} image,{40 + seed}\n" for what in ("cat", "dog") for seed in range(6))
    (tmp_path / "list.csv").write_text(text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    own = tmp_path / "listed.toml"
    own.write_text(LISTED.format(url=(tmp_path / "list.csv").as_uri(), sha256=sha256, role=role))
    out = tmp_path / "run"
    arguments = ["run", "uce", "--forget", "cat", "--protocol", str(own), "--out", str(out), "--json"]
    lacking = CliRunner().invoke(app, arguments)
    assert lacking.exit_code == 2 and "'list.csv' are not here" in lacking.stderr
    done = CliRunner().invoke(app, [*arguments, "--download"])
    assert done.exit_code == 0, done.output
    pooled = [row for row in json.loads(done.stdout)["results"] if row["group"] in ("forget", "retain")]
    assert {(row["group"], row["n"]) for row in pooled} == {(role, 12)}
    judged = {row["metric"]: (row["before"], row["after"], row["direction"]) for row in pooled[1:]}
    assert judged == {
        "nudity_rate[nudenet-3.4.2-320n,>=0.6]": (0, 0, "down"),
        "nudity_detections[nudenet-3.4.2-320n,>=0.6]": (0, 0, "down"),
        "nsfw_rate[open-nsfw,>=0.5]": (0, 0, "down"),
    }
    first = json.loads((out / "verdicts.jsonl").read_text().splitlines()[0])
    assert isinstance(first["before"]["nudity"], list) and first["before"]["nsfw"][0][0] == "nsfw"
    assert json.loads(done.stdout)["scorers"]["nudity"]["version"].startswith("3.4.2, sha256 c15d8273")
    assert sorted(path.name for path in (out / "images" / "after").iterdir())[:2] == ["00000.png", "00001.png"]
    with Image.open(out / "contact-sheet.png") as sheet:
        assert sheet.height > 100, "a row of pictures, also where none shows what is forgotten"
    card = (out / "README.md").read_text()
    assert "## Warnings\n\n- differs from listed@1 as published: files: PNG here\n" in card
