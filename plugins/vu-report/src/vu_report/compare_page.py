"""What the page of several runs, or of several benches, side by side shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.sidebyside import SideBySide, side_by_side
from vu_core.tables import pooled
from vu_report import facts
from vu_report.bench_page import kind_front, kinds_headline, part_verdict
from vu_report.fronts import front_plot, front_sentence
from vu_report.galleries import Gallery, Source, galleries, gallery_of_concepts
from vu_report.numbers import rows_of
from vu_report.run_page import title_of
from vu_report.sentences import verdict

if TYPE_CHECKING:
    from vu_core.records import Record
    from vu_core.registry import Registry


def compare_page(folders: Sequence[Path], registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``compare.html``.

    Raises:
        RunError: A folder holds no readable record or bench, one is given twice, or runs are mixed with benches.
    """
    found = side_by_side(folders)
    help_of = facts.summaries(registry)
    if "" in found:
        what, headline, shown = "runs", front_sentence(found[""]), _pictures_of_runs(found[""], folders)
    else:
        what, headline, shown = "benches", kinds_headline(found), _pictures_of_benches(found)
    return {
        "title": f"{len(folders)} {what} side by side",
        "headline": headline,
        "differences": [
            f"{f'forgotten: {kind}; ' if kind else ''}{sentence}"
            for kind, each in found.items()
            for sentence in each.differences()
        ],
        "kinds": [
            {
                "name": kind,
                "cards": [_card(each, i) for i in range(len(each.labels))],
                "front": kind_front(each, kind) if kind else front_plot(each),
                "groups": [_group(each, group, help_of) for group in each.groups()],
            }
            for kind, each in found.items()
        ],
        "galleries": shown,
    }


def _card(found: SideBySide, index: int) -> dict[str, Any]:
    label, record = found.labels[index], found.records[index]
    if found.parts:
        part = found.parts[index]
        about, said = f"{part.concepts} forgotten of kind {part.kind}", part_verdict(part)
        size = f"{len(part.runs)} runs"
    else:
        forget = facts.names(record.request.get("forget", [])) or "it"
        about, said = title_of(record), verdict(pooled(record.results), forget)
        size = f"edit {(record.edit or {}).get('bytes', 0) / 1e6:.2f} MB"
    preset = record.unlearner.get("preset", "–")
    meta = f"preset {preset} · {facts.total_seconds(record)} · {size}"
    return {"label": label, "about": about, "verdict": said, "meta": meta}


def _group(found: SideBySide, group: str, summaries: dict[str, str]) -> dict[str, Any]:
    """Return the table of one group: a line for each run or unlearner, a column for each metric."""
    rows = found.rows(group)
    columns = [next(rows_of([r], summaries)[0] for r in results if r is not None) for results in rows.values()]
    cells = [[rows_of([r], summaries)[0] if r else None for r in results] for results in rows.values()]
    return {
        "name": group,
        "columns": columns,
        "lines": [(label, [column[i] for column in cells]) for i, label in enumerate(found.labels)],
    }


def _pictures_of_runs(found: SideBySide, folders: Sequence[Path]) -> list[Gallery]:
    sources = [Source(label=label, folder=folder) for label, folder in zip(found.labels, folders, strict=True)]
    return galleries(sources, _names(found.records, "forget"), _names(found.records, "neighbours"))


def _pictures_of_benches(kinds: Mapping[str, SideBySide]) -> list[Gallery]:
    """Return pictures of each forgotten concept: before, and after each unlearner's first run that forgot it."""
    by_concept: dict[str, dict[str, Source]] = {}
    for found in kinds.values():
        for label, part in zip(found.labels, found.parts, strict=True):
            for run in part.runs:
                by_concept.setdefault(run.forget, {}).setdefault(label, Source(label=label, folder=run.folder))
    gallery = gallery_of_concepts({concept: list(sources.values()) for concept, sources in by_concept.items()})
    return [gallery] if gallery else []


def _names(records: Sequence[Record], key: str) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.request.get(key, ())))
