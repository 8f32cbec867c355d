"""What making an edit took, as rows beside what was measured: time, memory, size.

Taken from the record's stages and its edit, so that nothing is measured twice. They are kept apart from the record's
results, which the same run gives again; these depend on the machine and on what else it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vu_core.errors import RunError
from vu_core.records import RECORD_FILE, Record, Stage, read_record
from vu_core.reference import with_reference
from vu_core.types import RUN, Measurement, Result

UNLEARN = "unlearn"

SUMMARIES = {
    "unlearn_time": "Wall time of making the edit, of all attempts.",
    "run_time_efficiency": "How many times as long retraining took, by the records beside the retrained models.",
    "unlearn_memory": "Highest resident memory of the process while the edit was made, the model's included.",
    "device_memory": "Highest memory allocated on the accelerator while the edit was made.",
    "edit_size": "Size of the edit's tensors: what must be stored to have the model without the concept.",
}

_MEGABYTE = 1e6
_THERE_ALREADY = "not measured: the edit was there already"


def costs_of(record: Record) -> list[Result]:
    """Return what making the edit of ``record`` took, one result a number, of the group `RUN`; none without an edit.

    A number stands in ``after``, and has no interval.
    """
    return list(_costs(record)) if record.edit and record.unlearner else []


def with_costs(record: Record) -> list[Result]:
    """Return everything that a table shows of ``record``: its results, then its costs."""
    return [*record.results, *costs_of(record)]


def retraining_times(files: Iterable[Path], environment: Mapping[str, Any]) -> dict[str, float]:
    """Return how long retrained models were trained, in seconds of wall time, by the sha256 of their edits.

    Of those alone that lie in the folder of the run which made them, on the same kind of machine.

    Args:
        files: Their edits.
        environment: Of the run that is held against them, as in its record.
    """
    found = {}
    for folder in {file.parent for file in files if (file.parent / RECORD_FILE).is_file()}:
        with suppress(RunError):  # It tells a time that is nice to know; the model beside it is whole.
            record = read_record(folder)
            made = _made(record)
            if made and record.edit and _machine(record.environment) == _machine(environment):
                found[str(record.edit["sha256"])] = _seconds(made)
    return found


def _costs(record: Record) -> Iterator[Result]:
    made = _made(record)
    note = f"no interval: measured once, on {_machine(record.environment)}" if made else _THERE_ALREADY
    time = _cost("unlearn_time", _seconds(made) if made else None, "s", note)
    retrained = [facts["seconds"] for facts in record.retrained if facts.get("seconds") is not None]
    if retrained and made:
        yield with_reference(time, [Measurement(group=RUN, value=seconds, n=1) for seconds in retrained])
        yield _efficiency(_seconds(made), retrained)
    else:
        yield time
    yield _cost("unlearn_memory", _peak(made, lambda stage: stage.peak_memory_bytes), "MB", note)
    device = _peak(made, lambda stage: stage.peak_device_bytes)
    if device is not None:
        yield _cost("device_memory", device, "MB", note)
    size = (record.edit or {}).get("bytes")
    if size is not None:
        yield _cost("edit_size", size / _MEGABYTE, "MB", "no interval: counted, not sampled")


def _made(record: Record) -> list[Stage]:
    """Return the stages of all attempts that worked on the edit."""
    return [stage for stage in (*record.resumed, *record.stages) if stage.name == UNLEARN and not stage.skipped]


def _seconds(made: Sequence[Stage]) -> float:
    return sum(stage.seconds for stage in made)


def _efficiency(seconds: float, retrained: Sequence[float]) -> Result:
    ratio = sum(retrained) / len(retrained) / seconds
    note = f"no interval: {len(retrained)} retrained and one unlearned, each measured once"
    return replace(_cost("run_time_efficiency", ratio, "×", note), direction="up")


def _peak(stages: Sequence[Stage], of: Callable[[Stage], int | None]) -> float | None:
    known = [count for stage in stages if (count := of(stage)) is not None]
    return max(known) / _MEGABYTE if known else None


def _machine(environment: Mapping[str, Any]) -> str:
    """Return what a time depends on besides the work."""
    threads = environment.get("threads")
    parts = (environment.get("accelerator"), environment.get("machine"), f"{threads} threads" if threads else "")
    return ", ".join(filter(None, parts)) or "an unknown machine"


def _cost(name: str, value: float | None, unit: str, note: str) -> Result:
    return Result(
        metric=name, group=RUN, before=None, after=value, change=None, n=1, unit=unit, direction="down", note=note
    )
