"""Runs written down in other tools as they go, by the trackers that the user names."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.costs import with_costs
from vu_core.editfiles import EDIT_FILE, LORA_FILE
from vu_core.evaluation import AFTER, BEFORE
from vu_core.evidence_drawn import IMAGES
from vu_core.records import RECORD_FILE
from vu_core.report import CARD, CONTACT_SHEET
from vu_core.runspec import RUN_FILE
from vu_core.tables import pooled
from vu_core.types import Findings
from vu_core.verdicts import VERDICTS_FILE, Verdict, read_verdicts

if TYPE_CHECKING:
    from vu_core.interfaces import Tracker
    from vu_core.records import Record
    from vu_core.registry import Registry

Trackers = Mapping[str, Callable[[], "Tracker"]]
"""What makes a tracker of one run, by the tracker's name."""

_PAIRS = 4
_FILES = (EDIT_FILE, LORA_FILE, RUN_FILE, RECORD_FILE, CARD)


def find_trackers(names: Iterable[str], registry: Registry) -> Trackers:
    """Return the trackers called ``names``, imported, so that what is missing is said before a run begins.

    Raises:
        UnknownNameError: No usable plugin provides one, or several do.
        PluginError: One cannot be imported.
    """
    return {name: registry.get("tracker", name).load() for name in names}


class Tracking:
    """The trackers of one run; what goes wrong in one is a warning in the record, and the end of that one alone.

    Args:
        trackers: From `find_trackers`.
        record: The run's.
    """

    def __init__(self, trackers: Trackers, record: Record) -> None:
        self._makers = trackers
        self._record = record
        self._running: dict[str, Tracker] = {}

    def start(self) -> None:
        """Make the trackers and tell them what was asked."""
        facts = facts_of(self._record)
        for name, make in self._makers.items():
            with self._guarded(name):
                self._running[name] = make()
                self._running[name].start(self._record.folder, facts)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Pass on what the unlearner logged."""
        for name, tracker in list(self._running.items()):
            with self._guarded(name):
                tracker.log(step, values)

    def finish(self) -> None:
        """Tell the trackers what the run came to; the record says how it ended."""
        for name, tracker in list(self._running.items()):
            with self._guarded(name):
                tracker.finish(findings_of(self._record))

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            # What a command prints on standard output is its result.
            with redirect_stdout(sys.stderr):
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._running.pop(name, None)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            self._record.warnings.append(f"tracker {name} failed and was left out from there on: {text}")


def facts_of(record: Record) -> dict[str, str | int | float | bool]:
    """Return what was asked and with what, by names of words joined by ``/``."""
    facts: dict[str, Any] = {key: record.unlearner[key] for key in ("name", "plugin", "version", "preset")}
    facts["unlearner"] = facts.pop("name")
    facts |= {key: ", ".join(record.request[key]) for key in ("forget", "replace_with", "earlier")}
    facts |= {"model": record.model["name"], "protocol": (record.protocol or {}).get("name", ""), "seed": record.seed}
    facts |= {key: record.environment[key] for key in ("device", "dtype", "threads", "machine")}
    facts |= {f"option/{name}": value for name, value in record.unlearner["config"].items()}
    facts |= {f"version/{name}": value for name, value in record.environment["versions"].items()}
    return {name: value if isinstance(value, str | int | float) else json.dumps(value) for name, value in facts.items()}


def findings_of(record: Record) -> Findings:
    """Return what a run came to, from its record and what lies in its folder."""
    folder = record.folder
    return Findings(
        status=record.status,
        numbers=dict(_numbers(record)),
        pictures=dict(_pictures(record)),
        files=[path for name in _FILES if (path := folder / name).is_file()],
    )


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    for result in pooled(with_costs(record)):
        name = f"{result.metric}/{result.group}"
        values = {"before": result.before, "after": result.after, "change": result.change}
        intervals = (result.before_interval, result.after_interval, result.interval)
        for (side, value), interval in zip(values.items(), intervals, strict=True):
            if value is not None:
                yield f"{name}/{side}", value
            if interval is not None:
                yield f"{name}/{side}_low", interval.low
                yield f"{name}/{side}_high", interval.high
        yield f"{name}/n", result.n


def _pictures(record: Record) -> Iterator[tuple[str, Path]]:
    """Yield the contact sheet and some pairs, half of them of what was forgotten where there are as many."""
    sheet = record.folder / CONTACT_SHEET
    if sheet.is_file():
        yield sheet.stem, sheet
    if not (record.folder / VERDICTS_FILE).is_file():
        return
    forgotten: list[Verdict] = []
    kept: list[Verdict] = []
    for verdict in read_verdicts(record.folder):
        asked = set(verdict.attributes.values()) & set(record.request["forget"])
        (forgotten if asked else kept).append(verdict)
    for verdict in [*forgotten[: _PAIRS // 2], *kept][:_PAIRS]:
        for side in (BEFORE, AFTER):
            path = record.folder / IMAGES / side / f"{verdict.sample}.png"
            if path.is_file():
                yield f"{side}/{verdict.sample}", path
