"""What several commands print alike: tables, and specs as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from vu_core.specs import Spec

_GAP = 2  # Columns between cells.
_NARROWEST = 30  # As many columns the last cell of a row needs beside the others.
_INDENT = 4
_STYLES = {"broken": "red", "warning": "yellow", "ok": "green", "off": "dim", "passed": "green", "failed": "red"}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print ``rows`` under ``columns``: coloured on a terminal, as wide as it is, else aligned plain lines."""
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    lines = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def spec_as_json(spec: Spec) -> dict[str, Any]:
    """Return a spec as JSON values, its kind first."""
    return {"kind": spec.kind, **{field.name: _plain(getattr(spec, field.name)) for field in fields(spec)}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _print_rich(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, lines = Console(), list(rows)
    widths = [max(len(line[i]) for line in (columns, *lines)) for i in range(len(columns) - 1)]
    if console.width - sum(width + _GAP for width in widths) < _NARROWEST:
        _print_below(console, widths, columns, lines)
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP // 2))
    for column in columns:
        table.add_column(column, no_wrap=column != columns[-1])
    for line in lines:
        # What is wrong is shown whole; where nothing is, a line each is easier to read.
        brief = "ok" in line or "passed" in line
        table.add_row(*(_cell(text, no_wrap=brief, overflow="ellipsis") for text in line))
    console.print(table)


def _print_below(
    console: Console, widths: Sequence[int], columns: Sequence[str], lines: Sequence[Sequence[str]]
) -> None:
    """Print each row's last cell below the others, where there is no room for it beside them."""
    from rich.padding import Padding
    from rich.text import Text

    for line in (columns, *lines):
        cells = [_cell(text) + " " * (width - len(text)) for text, width in zip(line, widths, strict=False)]
        console.print(Text(" " * _GAP).join(cells), soft_wrap=True, style="bold" if line is columns else None)
        if line[-1]:
            console.print(Padding(Text(line[-1], style="bold" if line is columns else "dim"), (0, 0, 0, _INDENT)))


def _cell(text: str, **how: Any) -> Text:
    from rich.text import Text

    return Text(text, _STYLES.get(text, ""), **how)
