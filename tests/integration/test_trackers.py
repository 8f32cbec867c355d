"""Trackers on the toy plugin's model: what they are told, and that a run does not depend on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BASE = ("run", "repaint", "--forget", "cat", "--replace-with", "dog", "--device", "cpu", "--out", "run")
QUICK = (*BASE, "--quick")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy", "tracker")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


def notes(folder="run"):
    return [json.loads(line) for line in (Path(folder) / "notes.jsonl").read_text().splitlines()]


def record_of(folder="run"):
    return json.loads((Path(folder) / "record.json").read_text())


def test_a_tracker_is_told_what_was_asked_logged_and_found(vu):
    result = vu(*QUICK, "--tracker", "notes")
    assert result.exit_code == 0, result.output
    first, logged, last = notes()
    facts = first["facts"]
    assert (facts["unlearner"], facts["forget"], facts["replace_with"]) == ("repaint", "cat", "dog")
    assert (facts["option/strength"], facts["option/dense"], facts["protocol"]) == (0.75, False, "toy-quick@1")
    assert facts["version/vu-toy"] == "1.0"
    assert logged == {"step": 0, "strength": 0.75}
    assert last["status"] == "finished"
    assert last["files"] == [
        "edit.safetensors",
        "pytorch_lora_weights.safetensors",
        "run.toml",
        "record.json",
        "README.md",
    ]


def test_the_numbers_are_those_of_the_record_with_their_intervals(vu):
    vu(*BASE, "--tracker", "notes")
    numbers = notes()[-1]["numbers"]
    (hit,) = [r for r in record_of()["results"] if (r["metric"], r["group"]) == ("hit", "retain")]
    for side, interval in (("before", "before_interval"), ("after", "after_interval"), ("change", "interval")):
        assert numbers[f"hit/retain/{side}"] == hit[side]
        ends = hit[interval] or {"low": None, "high": None}
        assert numbers.get(f"hit/retain/{side}_low") == ends["low"]
        assert numbers.get(f"hit/retain/{side}_high") == ends["high"]
    assert hit["interval"] is not None
    assert numbers["hit/retain/n"] == hit["n"]
    assert not any("/cat/" in name for name in numbers), "single concepts stand in the record"


def test_pairs_of_pictures_show_what_was_forgotten_first(vu):
    vu(*BASE, "--tracker", "notes")
    pictures = notes()[-1]["pictures"]
    assert next(iter(pictures)) == "contact-sheet"
    pairs = [title.partition("/") for title in list(pictures)[1:]]
    assert [side for side, _, _ in pairs] == ["before", "after"] * 4
    assert sum("cat" in sample for _, _, sample in pairs) == 4
    assert all(Path(path).is_file() for path in pictures.values())


def test_nothing_is_tracked_unless_asked(vu):
    assert vu(*QUICK).exit_code == 0
    assert not Path("run/notes.jsonl").exists()


def test_the_environment_can_ask(vu, monkeypatch):
    monkeypatch.setenv("VU_TRACKER", "notes,no-start")
    assert vu(*QUICK).exit_code == 0
    assert notes()[-1]["status"] == "finished"


@pytest.mark.parametrize(
    ("step", "called"), [("start", ["start"]), ("log", ["start", "log"]), ("finish", ["start", "log", "finish"])]
)
def test_a_tracker_that_fails_is_a_warning_and_the_others_go_on(vu, monkeypatch, step, called):
    import vu_notes_work as work

    monkeypatch.setattr(work, "calls", [])
    result = vu(*QUICK, "--tracker", f"no-{step},notes")
    assert result.exit_code == 0, result.output
    assert work.calls == called, "it is not called again"
    assert notes()[-1]["status"] == "finished"
    record = record_of()
    expected = f"tracker no-{step} failed and was left out from there on: SystemExit: the server is gone"
    assert (record["status"], record["warnings"]) == ("finished", [expected])


def test_what_a_tracker_prints_stays_off_the_standard_output(vu):
    result = vu(*QUICK, "--tracker", "notes", "--json")
    assert json.loads(result.stdout)["status"] == "finished"
    assert "a tracker talks" in result.stderr


def test_an_unknown_tracker_is_refused_before_anything_begins(vu):
    result = vu(*BASE, "--tracker", "note")
    assert result.exit_code == 2
    assert "unknown tracker 'note'. Did you mean 'notes'?" in result.stderr
    assert not Path("run").exists()


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_a_tracker_is_told_of_a_run_that_did_not_finish(vu, monkeypatch, error, status):
    import vu_toy_work as toy

    def stopped(*_args, **_kwargs):
        raise error("stopped")

    monkeypatch.setattr(toy.ToyScorer, "score", stopped)
    monkeypatch.setattr(toy.ToyScorer, "__init__", stopped)
    assert vu(*QUICK, "--tracker", "notes").exit_code != 0
    assert notes()[-1]["status"] == status
    told = {name.split("/")[0] for name in notes()[-1]["numbers"]}
    assert told == {"unlearn_time", "unlearn_memory", "edit_size"}, "what was made took something; nothing was measured"


def test_a_tracker_that_fails_after_an_interruption_is_in_the_record(vu, monkeypatch):
    import vu_toy_work as toy

    def stopped(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.ToyScorer, "__init__", stopped)
    assert vu(*BASE, "--tracker", "no-finish").exit_code == 130
    record = record_of()
    assert record["status"] == "interrupted" and "tracker no-finish failed" in record["warnings"][-1]


def test_each_run_of_a_bench_is_tracked(vu):
    bench = ("bench", "toy-quick@1", "--unlearner", "repaint", "--forget", "cat,dog", "--device", "cpu")
    result = vu(*bench, "--out", "bench", "--tracker", "notes")
    assert result.exit_code == 0, result.output
    found = sorted(Path("bench").glob("**/notes.jsonl"))
    assert len(found) == 2
    assert {notes(path.parent)[0]["facts"]["forget"] for path in found} == {"cat", "dog"}


def test_the_kit_checks_trackers_and_commands(vu):
    assert vu("check", "vu-notes", "-k", "tracker/notes-target").exit_code == 0
    result = vu("check", "vu-notes", "-k", "command/greet-target")
    assert result.exit_code == 1
    assert "greet does not explain loud in its help" in result.output
