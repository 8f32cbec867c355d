"""Records, and the verdicts beside them, read back as they were written."""

from __future__ import annotations

import json
import time

import pytest

from vu_core.errors import RunError
from vu_core.records import SCHEMA, Record, Stage, read_record
from vu_core.stages import Stages, Surface
from vu_core.types import Interval, Result
from vu_core.verdicts import VERDICTS_FILE, Verdicts, read_verdicts

INTERVAL = Interval(low=-3.0, high=1.0, method="newcombe")


def record(folder):
    return Record(
        folder=folder,
        status="finished",
        request={"forget": ["cat"]},
        stages=[Stage(name="unlearn", seconds=1.5, detail={"drawn": 3})],
        results=[Result(metric="ua", group="forget", before=0.0, after=1.0, change=1.0, interval=INTERVAL, n=3)],
    )


def test_a_record_reads_as_it_was_written(tmp_path):
    written = record(tmp_path)
    written.write()
    assert read_record(tmp_path) == written


def test_a_stage_tells_the_time_of_the_clock_from_that_of_the_processor(tmp_path):
    stages = Stages(record=Record(folder=tmp_path), device="cpu", surface=Surface())
    with stages.stage("wait"):
        time.sleep(0.3)
    with stages.stage("work"):
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    wait, work = read_record(tmp_path).stages
    assert wait.seconds >= 0.3 > 3 * wait.cpu_seconds
    assert work.seconds >= 0.99 * work.cpu_seconds and 0.1 <= work.cpu_seconds < 0.3


def test_a_record_of_before_processor_time_was_measured_is_read(tmp_path):
    record(tmp_path).write()
    values = json.loads((tmp_path / "record.json").read_text())
    del values["stages"][0]["cpu_seconds"]
    (tmp_path / "record.json").write_text(json.dumps(values))
    assert read_record(tmp_path).stages[0].cpu_seconds is None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"schema": 99}), json.dumps({"schema": SCHEMA})])
def test_a_record_that_cannot_be_read_is_said_to_be_so(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RunError, match=r"record\.json"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("error", "status"), [(None, "finished"), (KeyboardInterrupt, "interrupted"), (OSError, "failed")]
)
def test_how_a_block_ended_is_in_the_record(tmp_path, error, status):
    kept = Record(folder=tmp_path)
    try:
        with kept.kept():
            assert read_record(tmp_path).status == "running"
            if error:
                raise error
    except (KeyboardInterrupt, OSError):
        pass
    assert read_record(tmp_path).status == status


def test_no_verdicts_are_an_error_with_the_path(tmp_path):
    Verdicts().write(tmp_path / VERDICTS_FILE)
    assert list(read_verdicts(tmp_path)) == []
    with pytest.raises(RunError, match=r"nowhere/verdicts\.jsonl"):
        list(read_verdicts(tmp_path / "nowhere"))
