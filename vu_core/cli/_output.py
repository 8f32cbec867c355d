"""What several commands print alike: tables, and specs as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from vu_core.specs import Spec

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
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column != columns[-1])
    for row in rows:
        # What is wrong is shown whole; where nothing is, a line each is easier to read.
        brief = "ok" in row or "passed" in row
        table.add_row(*(Text(cell, _STYLES.get(cell, ""), no_wrap=brief, overflow="ellipsis") for cell in row))
    Console().print(table)
