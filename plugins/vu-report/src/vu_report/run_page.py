"""What the page of one run, or of a measurement, shows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.costs import with_costs
from vu_core.evidence_drawn import IMAGES
from vu_core.records import Record, read_record
from vu_core.runspec import RUN_FILE
from vu_core.tables import pooled
from vu_core.types import FORGET, NEIGHBOURS, POOLED, RETAIN, Result
from vu_report import facts
from vu_report.galleries import Figure, Gallery, Source, galleries
from vu_report.numbers import Row, rows_of
from vu_report.plots import curves
from vu_report.sentences import verdict

if TYPE_CHECKING:
    from vu_core.registry import Registry

_TELLING = (
    ("ua", FORGET),
    ("unrecognised", FORGET),
    ("ira", RETAIN),
    ("ira", NEIGHBOURS),
    ("unlearning_accuracy", FORGET),
    ("retain_accuracy", RETAIN),
)
_TILES = 4


def run_page(folder: Path, registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``run.html``.

    Raises:
        RunError: The folder holds no readable record, or its verdicts are damaged.
    """
    record = read_record(folder)
    forget, neighbours = record.request.get("forget", []), record.request.get("neighbours", [])
    logged = facts.series(folder)
    help_of = facts.summaries(registry)
    rows = rows_of(pooled(with_costs(record)), help_of)
    shown = galleries([Source(label="after", folder=folder)], forget, neighbours)
    return {
        "title": title_of(record),
        "record": record,
        "folder": folder.name or str(folder),
        "verdict": verdict(pooled(record.results), facts.names(forget) or "it", neighbours=facts.names(neighbours)),
        "tiles": _tiles(rows),
        "rows": rows,
        "hero": _hero(shown),
        "concepts": concept_rows(record.results, help_of),
        "neighbours": neighbours,
        "galleries": shown,
        "curves": curves(logged) if logged else None,
        "timings": facts.timings(record),
        "total": facts.total_seconds(record),
        "provenance": facts.provenance(record),
        "loading": facts.loading_lines(folder, registry),
        "commands": _commands(folder, record),
    }


def title_of(record: Record) -> str:
    """Return what a run is called: ``"uce: emoji without cat"``."""
    model, forget = record.model.get("name") or "model", facts.names(record.request.get("forget", []))
    who = f"{record.unlearner['name']}: " if record.unlearner else ""
    return f"{who}{model} without {forget}" if forget and record.applied else f"{who}{model}"


def concept_rows(results: Sequence[Result], summaries: dict[str, str]) -> list[Row]:
    """Return the rows of single concepts in percent, those that changed most first."""
    single = [r for r in results if r.group not in POOLED and r.unit == "%" and r.change is not None]
    return rows_of(sorted(single, key=lambda r: (-abs(r.change or 0.0), r.group, r.metric)), summaries)


def _tiles(rows: Sequence[Row]) -> list[Row]:
    """Return the numbers that say most, at most four."""
    found = [row for metric, group in _TELLING for row in rows if (row.metric, row.group) == (metric, group)]
    return (found if len(found) > 1 else list(rows))[:_TILES]


def _hero(shown: Sequence[Gallery]) -> Figure | None:
    """Return what was to be forgotten and is judged differently, whole, as the first thing seen."""
    figures = [f for gallery in shown if gallery.group == FORGET for f in gallery.figures]
    whole = [f for f in figures if all(shot.picture for shot in f.shots) and len(f.shots) > 1]
    return next((f for f in whole if f.changed), whole[0] if whole else None)


def _commands(folder: Path, record: Record) -> list[str]:
    where = shlex.quote(str(folder))
    forget = shlex.quote(facts.names(record.request.get("forget", [])[:1]) or "a thing")
    lines = [f"vu eval {where}", f"vu export {where} --to safetensors-dense"]
    if (folder / IMAGES).is_dir():
        lines = [f"vu sample {forget} --edit {where}", lines[0], f"vu export {where} --to diffusers-pipeline"]
    return [*lines, f"vu run -c {shlex.quote(str(folder / RUN_FILE))} --out again"] if record.unlearner else lines
