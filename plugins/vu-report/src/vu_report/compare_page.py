"""What the page of several runs side by side shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.sidebyside import SideBySide, side_by_side
from vu_core.tables import pooled
from vu_report import facts
from vu_report.fronts import front_plot, front_sentence
from vu_report.galleries import Source, galleries
from vu_report.numbers import rows_of
from vu_report.run_page import title_of
from vu_report.sentences import verdict

if TYPE_CHECKING:
    from vu_core.records import Record
    from vu_core.registry import Registry


def compare_page(folders: Sequence[Path], registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``compare.html``.

    Raises:
        RunError: A folder holds no readable record, or one is given twice.
    """
    found = side_by_side(folders)
    help_of = facts.summaries(registry)
    forget = _names(found.records, "forget")
    sources = [Source(label=label, folder=folder) for label, folder in zip(found.labels, folders, strict=True)]
    return {
        "title": f"{len(folders)} runs side by side",
        "headline": front_sentence(found),
        "runs": [
            {
                "label": label,
                "title": title_of(record),
                "verdict": verdict(pooled(record.results), facts.names(record.request.get("forget", [])) or "it"),
                "preset": record.unlearner.get("preset", "–"),
                "seconds": facts.total_seconds(record),
                "bytes": f"{(record.edit or {}).get('bytes', 0) / 1e6:.2f} MB",
            }
            for label, record in zip(found.labels, found.records, strict=True)
        ],
        "groups": [_group(found, group, help_of) for group in found.groups()],
        "front": front_plot(found),
        "differences": found.differences(),
        "galleries": galleries(sources, forget, _names(found.records, "neighbours")),
    }


def _group(found: SideBySide, group: str, summaries: dict[str, str]) -> dict[str, Any]:
    """Return the table of one group: a line for each run, a column for each metric."""
    rows = found.rows(group)
    columns = [next(rows_of([r], summaries)[0] for r in results if r is not None) for results in rows.values()]
    cells = [[rows_of([r], summaries)[0] if r else None for r in results] for results in rows.values()]
    return {
        "name": group,
        "columns": columns,
        "lines": [(label, [column[i] for column in cells]) for i, label in enumerate(found.labels)],
    }


def _names(records: Sequence[Record], key: str) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.request.get(key, ())))
