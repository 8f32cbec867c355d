"""Progress on standard error: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

_PLAIN_SECONDS = 10.0
_MEMORY_SECONDS = (
    86_400.0  # The speed of slow steps is known from all of them: one may take longer than rich remembers.
)

_shared: list[Progress] = []  # Those of the `together` blocks that are open.


def say(line: str) -> None:
    """Show one line on standard error."""
    _console().print(line, style="dim", markup=False)


def track(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Iterate over ``items`` while standard error tells how far it is and how long it will take."""
    if total == 0:
        return iter(items)
    return _bar(items, total, label) if sys.stderr.isatty() else _lines(items, total, label)


@contextmanager
def together() -> Iterator[None]:
    """Show all bars of a block at once, one below the other: iterations in iterations, such blocks in others."""
    if not sys.stderr.isatty() or _shared:
        yield
        return
    with _progress() as progress:
        _shared.append(progress)
        try:
            yield
        finally:
            _shared.remove(progress)


def _bar(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    if not _shared:
        with _progress() as progress:
            yield from progress.track(items, total=total, description=label)
        return
    task = _shared[-1].add_task(label, total=total)
    try:
        yield from _shared[-1].track(items, total=total, task_id=task)
    finally:
        _shared[-1].remove_task(task)


def _progress() -> Progress:
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
    return Progress(*columns, console=_console(), transient=True, speed_estimate_period=_MEMORY_SECONDS)


def _console() -> Console:
    """Return what writes on standard error; it knows of the bars that are shown now, and writes above them."""
    from rich.console import Console

    return _shared[-1].console if _shared else Console(stderr=True, highlight=False)


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
