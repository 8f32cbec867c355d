"""Facts of a record as labelled texts: what was asked, by what, with which versions, how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core import report
from vu_core.costs import SUMMARIES as COSTS
from vu_core.errors import VuError
from vu_core.events import EVENTS_FILE
from vu_core.models import plan_model
from vu_core.runspec import RUN_FILE, read_run_file

if TYPE_CHECKING:
    from vu_core.records import Record, Stage
    from vu_core.registry import Registry

_MOST_SERIES = 8


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One stage for people.

    Attributes:
        name: Of the stage.
        seconds: Wall time.
        share: Of the longest stage, from 0 to 100.
        memory: Highest resident memory.
        device: Highest memory on the accelerator; empty without one.
        detail: What it did.
    """

    name: str
    seconds: str
    share: float
    memory: str
    device: str
    detail: str


def timings(record: Record) -> list[Timing]:
    """Return the stages of a run, those of interrupted attempts first."""
    stages = [*record.resumed, *record.stages]
    longest = max((stage.seconds for stage in stages), default=0.0) or 1.0
    earlier = len(record.resumed)
    return [_timing(stage, longest, earlier=i < earlier) for i, stage in enumerate(stages)]


def total_seconds(record: Record) -> str:
    """Return how long all stages took together."""
    return duration(sum(stage.seconds for stage in (*record.resumed, *record.stages)))


def duration(seconds: float) -> str:
    """Return a time for people: ``"12.3 s"``, ``"4 min 5 s"``, ``"2 h 10 min"``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def provenance(record: Record) -> dict[str, dict[str, str]]:
    """Return, under headings, everything needed to trust and repeat a run."""
    unlearner, edit, protocol = record.unlearner, record.edit or {}, record.protocol or {}
    versions = record.environment.get("versions", {})
    surroundings = {key: value for key, value in record.environment.items() if key != "versions"}
    found = {
        "Request": _texts(record.request, skip=("retain",)) | _counted("retain", record.request.get("retain", ())),
        "Unlearner": _texts(unlearner, skip=("config",)) | ({"seed": str(record.seed)} if unlearner else {}),
        "Options": _texts(unlearner.get("config", {})),
        "Model": _texts(record.model),
        "Edit": _texts({key: edit[key] for key in ("kind", "rank", "bytes", "sha256") if key in edit}),
        "Protocol": _texts(protocol),
        "Judges": {role: f"{judge['name']} {judge['version']}" for role, judge in record.scorers.items()},
        "Machine": _texts(surroundings),
        "Versions": _texts(versions),
    }
    return {title: rows for title, rows in found.items() if rows}


def series(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return by name the numbers an unlearner logged, as (step, value); a step logged twice counts once."""
    found: dict[str, dict[int, float]] = {}
    try:
        lines = (folder / EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        values = _event(line)
        for name, value in values.items():
            if name not in ("step", "time") and isinstance(value, int | float):
                found.setdefault(name, {})[int(values["step"])] = float(value)
    whole = {name: sorted(values.items()) for name, values in found.items() if len(values) > 1}
    return dict(list(whole.items())[:_MOST_SERIES])


def loading_lines(folder: Path, registry: Registry) -> list[str]:
    """Return the lines of plain diffusers that load a run's edit; none where they cannot."""
    try:
        source = plan_model(read_run_file(folder / RUN_FILE).model, registry).source
    except VuError:
        source = "MODEL"
    return report.loading_lines(folder, source)


def summaries(registry: Registry) -> dict[str, str]:
    """Return what each installed metric and each cost measures, by its name."""
    return {**COSTS, **{entry.spec.name: entry.spec.summary for entry in registry.entries("metric")}}


def names(found: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"


def _timing(stage: Stage, longest: float, *, earlier: bool) -> Timing:
    detail = ", ".join(f"{value} {key}" for key, value in stage.detail.items())
    notes = [detail, "already there" if stage.skipped else "", "an earlier attempt" if earlier else ""]
    return Timing(
        name=stage.name,
        seconds=duration(stage.seconds),
        share=100.0 * stage.seconds / longest,
        memory=_gigabytes(stage.peak_memory_bytes),
        device=_gigabytes(stage.peak_device_bytes) if stage.peak_device_bytes else "",
        detail=", ".join(filter(None, notes)),
    )


def _gigabytes(count: int | None) -> str:
    return "–" if count is None else f"{count / 1e9:.2f} GB"


def _event(line: str) -> Mapping[str, Any]:
    # The last line may be cut short where the process was killed.
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) and isinstance(values.get("step"), int) else {}


def _texts(values: Mapping[str, Any], skip: Iterable[str] = ()) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items() if key not in skip and value not in (None, "", [], {})}


def _counted(key: str, values: Sequence[str]) -> dict[str, str]:
    return {key: f"{len(values)}: {', '.join(values)}"} if values else {}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
