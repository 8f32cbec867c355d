"""What a bench shows: one row an unlearner, what was hit hardest, what failed and where all lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vu_core.benchfile import BENCH_FILE
from vu_core.cli._groups import group_table, interval_text, print_whole
from vu_core.report import PAGE
from vu_core.tables import names_line

if TYPE_CHECKING:
    from rich.table import Table

    from vu_core.bench import BenchRecord
    from vu_core.interference import Interference

_SHOWN = 5


def show(record: BenchRecord) -> None:
    """Print what ``record`` holds."""
    from rich.console import Console

    console = Console(highlight=False)
    if record.table:
        for kind, group in dict.fromkeys((row.kind, row.result.group) for row in (*record.table, *record.costs)):
            print_whole(_table(record, kind, group))
        console.print("Means over n concepts, each forgotten in a run of its own; 95 % intervals over concepts")
        if names := names_line([row.result for row in record.table]):
            console.print(names, markup=False)
    for row in record.published:
        console.print(f"published: {row}", markup=False)
    for name, found in record.interference.items():
        console.print(_damage(name, found), markup=False)
    for warning in record.warnings:
        console.print(f"warning: {warning}", markup=False)
    for error in record.errors:
        console.print(f"error: {error}", markup=False)
    console.print(f"\n{_counts(record)}", markup=False)
    console.print(f"numbers        {record.folder / BENCH_FILE}", markup=False, soft_wrap=True)
    for picture in record.pictures:
        console.print(f"interference   {picture}", markup=False, soft_wrap=True)
    if (record.folder / PAGE).is_file():
        console.print(f"report         {record.folder / PAGE}", markup=False, soft_wrap=True)


def _table(record: BenchRecord, kind: str, group: str) -> Table:
    """Return the numbers on one group where concepts of ``kind`` were forgotten.

    It has a row for each unlearner below that of the base model, and a column for each metric.
    """
    rows = [row for row in (*record.table, *record.costs) if (row.kind, row.result.group) == (kind, group)]
    found = {(row.unlearner, row.result.metric): row for row in rows}
    base = {row.result.metric: row.result for row in reversed(rows)}
    metrics = list(dict.fromkeys(metric for _, metric in found))
    each = []
    for name in record.plan.unlearners:
        mine = [found.get((name, metric)) for metric in metrics]
        count = max((row.concepts for row in mine if row), default=0)
        each.append((name, [row.result if row else None for row in mine], str(count)))
    title = f"forgotten: {kind}; measured on: {group}"
    return group_table(title, {metric: base[metric] for metric in metrics}, each)


def _damage(unlearner: str, found: Interference) -> str:
    hardest = found.hardest(_SHOWN)
    if not hardest:
        return f"{unlearner} hit nothing that was to be kept"
    each = (
        f"{cell.measured.name} {cell.before:.0f} to {cell.after:.0f} % when {cell.forget.name} is forgotten "
        f"(change {interval_text(cell.interval)}, n={cell.n}{', a neighbour' if cell.neighbour else ''})"
        for cell in hardest
    )
    return f"{unlearner} hit hardest: {'; '.join(each)}"


def _counts(record: BenchRecord) -> str:
    done = [outcome for outcome in record.outcomes if outcome.status == "finished"]
    there = sum(not outcome.carried_out for outcome in done)
    seconds = sum(sum(outcome.seconds.values()) for outcome in done)
    return (
        f"{len(done)} of {len(record.outcomes)} runs finished, {there} were there already; {seconds / 60:.1f} minutes"
    )
