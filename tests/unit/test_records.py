"""Records, and the verdicts beside them, read back as they were written."""

from __future__ import annotations

import json

import pytest

from vu_core.errors import RunError
from vu_core.records import Record, Stage, read_record
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


@pytest.mark.parametrize("text", ["", "{", json.dumps({"schema": 99})])
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
