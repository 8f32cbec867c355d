"""Records, and the verdicts beside them, read back as they were written."""

from __future__ import annotations

import errno
import json
import time

import pytest

from vu_core.benchfile import parts_of, read_bench
from vu_core.errors import RunError
from vu_core.records import Record, Stage, read_record
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


DAMAGED = [
    "",
    "{",
    "[]",
    '{"schema": 99}',
    '{"schema": 1}',
    '{"schema": 1, "results": null}',
    '{"schema": 1, "results": [{"metric": "ua"}]}',
    '{"schema": 1, "results": [], "runs": [], "table": [{}]}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_record_that_cannot_be_read_is_said_to_be_so(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RunError, match=r"record\.json"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_bench_that_cannot_be_read_is_said_to_be_so(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(RunError, match=r"bench\.json"):
        parts_of(read_bench(tmp_path), tmp_path)


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


def test_a_record_that_cannot_be_written_at_the_end_is_of_a_run_that_failed(tmp_path, monkeypatch):
    kept = Record(folder=tmp_path)
    with pytest.raises(RunError, match="no space"), kept.kept():
        monkeypatch.setattr(Record, "write", full_once(monkeypatch, Record.write))
    assert kept.status == read_record(tmp_path).status == "failed"


def full_once(monkeypatch, write):
    def full(record):
        monkeypatch.setattr(Record, "write", write)
        raise RunError("no space left")

    return full


def test_what_others_add_to_a_record_is_written(tmp_path):
    kept = Record(folder=tmp_path)
    with kept.told():
        pass
    assert not (tmp_path / "record.json").exists()
    with kept.told():
        kept.warnings.append("a tracker failed")
    assert read_record(tmp_path).warnings == ["a tracker failed"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk"),
        (OSError(errno.EROFS, "Read-only file system", "x.png"), "'x.png' cannot be written: Read-only file system"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "cat.png"), "'cat.png' is not there"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "draw: .* reset by peer. Repeat"),
        (OSError("Can't load the tokenizer"), "draw: Can't load the tokenizer. Repeat"),
    ],
)
def test_what_the_system_refuses_is_said_as_it_is(tmp_path, error, said):
    stages = Stages(record=Record(folder=tmp_path), device="cpu", surface=Surface())
    with pytest.raises(RunError, match=said), stages.stage("draw"):
        raise error


def test_no_verdicts_are_an_error_with_the_path(tmp_path):
    Verdicts().write(tmp_path / VERDICTS_FILE)
    assert list(read_verdicts(tmp_path)) == []
    with pytest.raises(RunError, match=r"nowhere/verdicts\.jsonl"):
        list(read_verdicts(tmp_path / "nowhere"))
