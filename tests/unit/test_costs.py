"""What making an edit took: from the stages of all attempts, without measuring again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vu_core.costs import SUMMARIES, costs_of, retraining_times, with_costs
from vu_core.records import Record, Stage
from vu_core.sidebyside import comparison_json, side_by_side
from vu_core.tables import as_markdown, as_text
from vu_core.types import Result

UA = Result(metric="ua", group="forget", before=0.0, after=90.0, change=90.0, n=9, unit="%", direction="up")
MACHINE = {"machine": "x86_64", "threads": 2}


def stage(seconds: float, memory: int | None = None, name: str = "unlearn", **more) -> Stage:
    return Stage(name=name, seconds=seconds, peak_memory_bytes=memory, **more)


def record(*stages: Stage, resumed=(), folder=Path("run"), **more) -> Record:
    facts = {"unlearner": {"name": "uce"}, "edit": {"bytes": 36_864}, "environment": MACHINE, "results": [UA], **more}
    return Record(folder=folder, stages=list(stages), resumed=list(resumed), **facts)


def numbers(of: Record) -> dict[str, float | None]:
    return {result.metric: result.after for result in costs_of(of)}


def test_time_memory_and_size_have_no_interval_and_say_why():
    made = record(stage(1.5, 900_000_000), stage(40.0, 2_000_000_000, name="sample before"))
    assert numbers(made) == {"unlearn_time": 1.5, "unlearn_memory": 900.0, "edit_size": 0.036864}
    for result in costs_of(made):
        assert result.group == "run" and result.direction == "down" and result.metric in SUMMARIES
        assert result.after_interval is None and result.before is None
    notes = [result.note for result in costs_of(made)]
    assert notes[0] == notes[1] == "no interval: measured once, on x86_64, 2 threads"
    assert notes[2] == "no interval: counted, not sampled"


def test_all_attempts_count_and_a_stage_that_found_the_edit_there_does_not():
    attempts = [stage(10.0, 5_000_000), stage(3.0, 7_000_000, peak_device_bytes=2_000_000)]
    again = record(stage(0.1, 9_000_000, skipped=True), resumed=attempts)
    assert numbers(again) == {
        "unlearn_time": 13.0,
        "unlearn_memory": 7.0,
        "device_memory": 2.0,
        "edit_size": 0.036864,
    }


def test_what_was_not_measured_has_no_number():
    there = costs_of(record(stage(0.1, 9_000_000, skipped=True)))
    assert [result.after for result in there] == [None, None, 0.036864]
    assert there[0].note == "not measured: the edit was there already"
    assert numbers(record(stage(1.0)))["unlearn_memory"] is None
    assert "edit_size" not in numbers(record(stage(1.0), edit={"sha256": "0"}))


@pytest.mark.parametrize("without", [{"edit": None}, {"unlearner": {}}])
def test_where_nothing_was_unlearned_there_are_none(without):
    assert costs_of(record(stage(1.0), **without)) == []


def test_tables_and_comparisons_show_them_beside_the_results(tmp_path):
    made = record(stage(1.5, 900_000_000))
    assert as_text(with_costs(made)).splitlines()[-1].split() == ["edit_size", "MB", "run", *"–", "0.037", *"––↓", "1"]
    assert as_markdown(with_costs(made))[-1] == "| edit_size (MB) | run | – | 0.037 | – | – | 1 |"
    folders = []
    for name, seconds in (("fast", 1.0), ("slow", 9.0)):
        (tmp_path / name).mkdir()
        record(stage(seconds), folder=tmp_path / name).write()
        folders.append(tmp_path / name)
    found = side_by_side(folders)[""]
    assert found.groups() == ["forget", "run"]
    assert [r.after for r in found.rows("run")["unlearn_time"]] == [1.0, 9.0]
    rows = json.loads(comparison_json({"": found}))["results"]
    assert [row["metric"] for row in rows] == ["ua", "unlearn_time", "unlearn_memory", "edit_size"]


def test_the_time_is_held_against_that_of_retraining(tmp_path):
    for number, (seconds, where) in enumerate([(80.0, MACHINE), (120.0, MACHINE), (5.0, {**MACHINE, "threads": 64})]):
        folder = tmp_path / str(number)
        folder.mkdir()
        record(stage(seconds), folder=folder, edit={"sha256": f"{number}"}, environment=where).write()
    (tmp_path / "carried").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "record.json").write_text("{")
    files = [folder / "edit.safetensors" for folder in sorted(tmp_path.iterdir())]
    times = retraining_times(files, MACHINE)
    assert times == {"0": 80.0, "1": 120.0}, "of the same kind of machine, and no other"

    facts = [{"sha256": name, "seconds": times.get(name)} for name in ("0", "1", "2", "carried")]
    time, efficiency = costs_of(record(stage(4.0), retrained=facts))[:2]
    assert time.metric == "unlearn_time"
    assert (time.after, time.reference, time.gap, time.reference_n) == (4.0, 100.0, -96.0, 2)
    assert (efficiency.metric, efficiency.after, efficiency.direction) == ("run_time_efficiency", 25.0, "up")
    assert "run_time_efficiency" not in numbers(record(stage(4.0), retrained=facts[2:]))
    assert "run_time_efficiency" not in numbers(record(stage(4.0, skipped=True), retrained=facts))
