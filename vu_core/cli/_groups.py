"""Tables with a row for each of several edits below that of the base model, and a column for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vu_core.tables import number, short_name

if TYPE_CHECKING:
    from rich.table import Table

    from vu_core.types import Interval, Result

# Percentage points from which an interval needs no decimals.
_WIDE = 10.0
_WIDEST = 1000


def group_table(
    title: str, base: Mapping[str, Result], rows: Sequence[tuple[str, Sequence[Result | None], str]]
) -> Table:
    """Return a table of what was measured on one group.

    Args:
        title: Stands above it, by `print_whole`.
        base: By metric, a result that holds the base model's number.
        rows: A name, its results in the order of ``base``, and how many they are the mean of; empty for one.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for metric in base:
        table.add_column(short_name(metric), justify="right", no_wrap=True)
    counted = any(count for _, _, count in rows)
    if counted:
        table.add_column("n", justify="right")
    last = [""] if counted else []
    table.add_row("base model", *(Text(number(r.before, r.unit)) for r in base.values()), *last)
    if any(result.reference is not None for result in base.values()):
        table.add_row("retrained", *(Text(number(r.reference, r.unit)) for r in base.values()), *last)
    for name, results, count in rows:
        cells = [Text(_after(result) if result else "–") for result in results]
        table.add_row(Text(name), *cells, *([count] if counted else []))
    return table


def print_whole(table: Table) -> None:
    """Print ``table``, wider than the terminal rather than without some of its numbers."""
    from rich.console import Console

    console = Console(highlight=False)
    # As a line of its own, as the table's title would be broken to the width of a narrow table.
    console.print(table.title, style="italic")
    table.title = None
    needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    Console(highlight=False, width=max(console.width, needed)).print(table)


def interval_text(interval: Interval | None, unit: str = "%") -> str:
    """Return an interval in brackets; without decimals where it is wide; nothing for none."""
    if interval is None:
        return ""
    whole = unit == "%" and interval.high - interval.low >= _WIDE
    low, high = ((f"{end:.0f}" if whole else number(end, unit)) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def _after(result: Result) -> str:
    return f"{number(result.after, result.unit)}\n{interval_text(result.after_interval, result.unit)}"
