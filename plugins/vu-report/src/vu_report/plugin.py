"""What this plugin does: it writes ``report.html`` when a run or a bench has ended, and when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vu_core import hookimpl

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
def vu_report(folders: Sequence[Path], page: Path) -> None:
    """Write the page about a run or a bench, or the comparison of several runs."""
    from vu_report.writing import write

    write(folders, page)


def _write_into(folder: Path) -> None:
    from vu_core.report import PAGE
    from vu_report.writing import write

    write([folder], folder / PAGE)
