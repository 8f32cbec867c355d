"""What this plugin does: it writes ``report.html`` when a run, bench or measurement has ended, or on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vu_core import CommandSpec, hookimpl

if TYPE_CHECKING:
    from vu_core.bench import BenchRecord
    from vu_core.records import Record


@hookimpl
def vu_run_finished(record: Record) -> None:
    """Write the report of a run into its folder."""
    _write_into(record.folder)


@hookimpl
def vu_bench_finished(record: BenchRecord) -> None:
    """Write the report of a bench into its folder."""
    _write_into(record.folder)


@hookimpl
def vu_measurement_finished(record: Record) -> None:
    """Write the report of a measurement into its folder."""
    _write_into(record.folder)


@hookimpl
def vu_commands() -> Iterator[CommandSpec]:
    """Yield the command that writes the page again, or about several runs."""
    yield CommandSpec(
        name="report",
        summary="Write the page about a run, a bench or a search, or about several side by side.",
        target="vu_report.command:report",
    )


def _write_into(folder: Path) -> None:
    from vu_core.report import PAGE
    from vu_report.writing import write

    write([folder], folder / PAGE)
