"""Progress on standard error: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_PLAIN_SECONDS = 10.0


def say(line: str) -> None:
    """Show one line on standard error."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(line, style="dim", markup=False)


def track(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Iterate over ``items`` while standard error tells how far it is and how long it will take."""
    if total == 0:
        return iter(items)
    return _bar(items, total, label) if sys.stderr.isatty() else _lines(items, total, label)


def _bar(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=label)


def _lines(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    last = time.monotonic()
    begun = None
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        # The first item also waits for models to load, so it says nothing about the others.
        if begun is None:
            begun = last = now
        elif now - last >= _PLAIN_SECONDS and done != total:
            last = now
            left = f" of {total}, {(now - begun) / (done - 1) * (total - done):.0f} s left" if total else ""
            sys.stderr.write(f"{label}: {done}{left}\n")
            sys.stderr.flush()
