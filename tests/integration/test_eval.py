"""``vu eval``: what exists already is measured, and nothing is unlearned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vu_core.verdicts import read_verdicts

RUN = ("run", "repaint", "--device", "cpu")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


def measured(vu, *arguments):
    result = vu("eval", *arguments, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    return record, {r["group"]: r for r in record["results"]}


def test_a_run_measured_again_gives_its_numbers_and_draws_nothing(vu):
    vu(*RUN, "--forget", "cat", "--out", "run")
    record, _ = measured(vu, "run")
    assert record["results"] == json.loads(Path("run/record.json").read_text())["results"]
    drawn = {s["name"]: s["detail"] for s in record["stages"]}
    assert drawn["sample before"] == drawn["sample after"] == {"drawn": 0, "cached": 60}
    assert record["protocol"]["name"] == "toy@1" and record["edit"] is None
    assert {path.name for path in Path().iterdir()} == {"run", "cache"}


def test_an_edits_file_knows_its_model_and_what_it_forgot(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick")
    shutil.copy("run/edit.safetensors", "cat.safetensors")
    record, groups = measured(vu, "cat.safetensors", "--protocol", "toy-quick@1")
    assert record["model"]["name"] == "toy" and record["request"]["forget"] == ["cat"]
    assert (groups["forget"]["before"], groups["forget"]["after"]) == (100, 0)
    (applied,) = record["applied"]
    assert (applied["unlearner"], applied["forget"], applied["scale"]) == ("repaint", ["cat"], 1.0)


def test_a_model_alone_has_no_after(vu):
    record, groups = measured(vu, "--protocol", "toy-quick@1")
    assert record["applied"] == [] and groups["retain"]["before"] == 100 and groups["retain"]["after"] is None
    assert [s["name"] for s in record["stages"]] == ["sample before", "evaluate"]
    _, asked = measured(vu, "toy", "--protocol", "toy-quick@1", "--forget", "cat")
    assert {group: r["n"] for group, r in asked.items()} == {"forget": 1, "retain": 4}


def test_several_edits_add_up_and_their_order_is_recorded(vu):
    for animal in ("dog", "fox"):
        vu(*RUN, "--forget", animal, "--out", animal, "--quick")
    record, groups = measured(vu, "fox", "dog", "--protocol", "toy@1")
    assert [edit["forget"] for edit in record["applied"]] == [["fox"], ["dog"]]
    assert (groups["forget"]["n"], groups["forget"]["after"], groups["retain"]["after"]) == (24, 0, 100)
    _, half = measured(vu, "fox", "dog", "--forget", "dog")
    assert half["forget"]["n"] == 1


def test_a_run_is_judged_by_its_own_judges_unless_others_are_named(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick", "--scorer", "object=toy-dull")
    for arguments, judge in (
        (("run",), "toy-dull"),
        (("run", "--scorer", "object=toy-object"), "toy-object"),
        (("run", "--protocol", "toy-quick@1"), "toy-object"),
    ):
        record, _ = measured(vu, *arguments)
        assert record["scorers"]["object"]["name"] == judge


def test_scale_zero_changes_nothing(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick")
    _, groups = measured(vu, "run", "--edit-scale", "0")
    assert groups["forget"]["after"] == 100


def test_a_folder_keeps_record_pictures_and_verdicts(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick")
    shown = vu("eval", "run", "--out", "kept")
    assert shown.exit_code == 0 and "hit %" in shown.stdout and "contact sheet" in shown.stdout
    assert {path.name for path in Path("kept").iterdir()} == {
        "record.json",
        "verdicts.jsonl",
        "images",
        "contact-sheet.png",
    }
    rows = {row.sample: row for row in read_verdicts(Path("kept"))}
    assert len(rows) == 5 and rows["cat-0"].attributes == {"object": "cat"}
    assert (rows["cat-0"].before, rows["cat-0"].after) == ({"object": "cat"}, {"object": "dog"})
    assert rows["fox-0"].after == {"object": "fox"}
    assert list(read_verdicts(Path("run"))) == list(rows.values())
    assert vu("eval", "run", "--out", "kept").exit_code == 0


def test_a_folder_that_holds_something_else_is_refused(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick")
    before = Path("run/record.json").read_text()
    for folder in ("run", "cache"):
        refused = vu("eval", "run", "--out", folder)
        assert refused.exit_code == 2 and "holds something else" in refused.stderr
    assert Path("run/record.json").read_text() == before


def test_dry_run_says_what_would_be_measured_and_draws_nothing(vu):
    vu(*RUN, "--forget", "cat", "--out", "run", "--quick")
    shutil.rmtree("cache")
    rows = json.loads(vu("eval", "run", "--dry-run", "--json").stdout)
    assert rows["forget"] == "cat" and rows["edits"].startswith("repaint ") and "5 pictures before" in rows["protocol"]
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toy", "elsewhere/model"), "one model is measured at a time"),
        (("toy", "--model", "toy"), "one model is measured at a time"),
        (("nowhere.safetensors",), "holds no edit"),
        (("toy", "--metric", "hot"), "Did you mean 'hit'"),
        (("toy", "--forget", "cta"), "Did you mean 'cat'"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_loads(vu, arguments, message):
    result = vu("eval", *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_a_metric_that_fails_is_an_error(vu):
    result = vu("eval", "--protocol", "toy-quick@1", "--metric", "hit,fault")
    assert result.exit_code == 1 and "the metric broke" in result.stdout


def test_an_interruption_says_how_to_go_on(vu, monkeypatch):
    import vu_toy_work as toy

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(toy.ToyScorer, "score", interrupted)
        stopped = vu("eval", "--protocol", "toy-quick@1", "--out", "kept")
    assert stopped.exit_code == 130 and "the same command continues" in stopped.stderr
    assert json.loads(Path("kept/record.json").read_text())["status"] == "interrupted"
    record, _ = measured(vu, "--protocol", "toy-quick@1", "--out", "kept")
    assert record["stages"][0]["detail"] == {"drawn": 0, "cached": 5}
