"""What a bench shows: one row an unlearner, what was hit hardest, what failed and where all lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vu_core.bench import BENCH_FILE
from vu_core.tables import names_line, number, short_name

if TYPE_CHECKING:
    from rich.table import Table

    from vu_core.bench import BenchRecord
    from vu_core.interference import Interference
    from vu_core.types import Interval, Result

_SHOWN = 5
# Percentage points from which an interval needs no decimals.
_WIDE = 10.0
_WIDEST = 1000


def show(record: BenchRecord) -> None:
    """Print what ``record`` holds."""
    from rich.console import Console

    console = Console(highlight=False)
    if record.table:
        for kind, group in dict.fromkeys((row.kind, row.result.group) for row in record.table):
            table = _table(record, kind, group)
            # Wider than the terminal rather than without some of its numbers.
            needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
            Console(highlight=False, width=max(console.width, needed)).print(table)
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


def _table(record: BenchRecord, kind: str, group: str) -> Table:
    """Return the numbers on one group where concepts of ``kind`` were forgotten.

    It has a row for each unlearner below that of the base model, and a column for each metric.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [row for row in record.table if (row.kind, row.result.group) == (kind, group)]
    found = {(row.unlearner, row.result.metric): row for row in rows}
    base = {row.result.metric: row.result for row in reversed(rows)}
    metrics = list(dict.fromkeys(metric for _, metric in found))
    title = f"forgotten: {kind}; measured on: {group}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for metric in metrics:
        table.add_column(short_name(metric), justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_row("base model", *(Text(number(base[metric].before, base[metric].unit)) for metric in metrics), "")
    if any(result.reference is not None for result in base.values()):
        table.add_row("retrained", *(Text(number(base[metric].reference, base[metric].unit)) for metric in metrics), "")
    for name in record.plan.unlearners:
        mine = [found.get((name, metric)) for metric in metrics]
        cells = [Text(_after(row.result) if row else "–") for row in mine]
        table.add_row(name, *cells, str(max((row.concepts for row in mine if row), default=0)))
    return table


def _after(result: Result) -> str:
    return f"{number(result.after, result.unit)}\n{_interval(result.after_interval, result.unit)}"


def _interval(interval: Interval | None, unit: str = "%") -> str:
    if interval is None:
        return ""
    whole = unit == "%" and interval.high - interval.low >= _WIDE
    low, high = ((f"{end:.0f}" if whole else number(end, unit)) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def _damage(unlearner: str, found: Interference) -> str:
    hardest = found.hardest(_SHOWN)
    if not hardest:
        return f"{unlearner} hit nothing that was to be kept"
    each = (
        f"{cell.measured.name} {cell.before:.0f} to {cell.after:.0f} % when {cell.forget.name} is forgotten "
        f"(change {_interval(cell.interval)}, n={cell.n}{', a neighbour' if cell.neighbour else ''})"
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
