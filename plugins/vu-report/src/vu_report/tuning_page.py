"""What the page of a search for options, ``vu tune``, shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vu_core.benchfile import read_bench
from vu_core.records import read_schema, result_of
from vu_core.registry import Registry
from vu_core.report import PAGE
from vu_core.tables import short_name
from vu_report import facts
from vu_report.numbers import rows_of
from vu_report.plots import Plot, Point, front

TUNING_FILE = "tuning.json"
SCHEMA = 1

_CAPTION = (
    "Better is up and right. Filled marks are the settings that no other one outdoes, small ones the others tried."
)


def is_tuning(folder: Path) -> bool:
    """Return whether ``folder`` is that of a search."""
    return (folder / TUNING_FILE).is_file()


def tuning_page(folder: Path, registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``tuning.html``.

    Raises:
        RunError: ``tuning.json``, or the bench of a setting, is damaged or has another schema.
    """
    found = read_schema(
        folder / TUNING_FILE, "search", SCHEMA, hint="Give the folder of 'vu tune'.", reader="vu-report"
    )
    objectives = [_named(text) for text in found["objectives"]]
    best = [setting for setting in found["settings"] if setting["best"]]
    return {
        "title": f"{found['unlearner']}: {len(found['settings'])} settings tried on {found['protocol']}",
        "headline": _headline(best, objectives),
        "tuning": found,
        "objectives": objectives,
        "front": _front(folder, found["settings"], objectives),
        "settings": [_setting(folder, setting) for setting in _ordered(found["settings"])],
        "reports": [
            (_options(setting), rows_of([_result(row) for row in setting["report"]], facts.summaries(registry)))
            for setting in best
            if setting["report"]
        ],
        "folder": folder.resolve().name,
    }


def _named(objective: str) -> str:
    metric, _, group = objective.partition(":")
    return f"{metric} on {group}"


def _headline(best: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> str:
    if not best:
        return "No setting was tried to the end."
    if len(objectives) == 1:
        return f"Best in {objectives[0]}: {_options(best[0])}."
    many = len({_options(setting) for setting in best})
    return f"{many} setting{' is' if many == 1 else 's are'} outdone by no other in {facts.names(objectives)}."


def _options(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_short(value)}" for key, value in setting["options"].items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ordered(settings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the settings with the best first, then in the order in which they were tried."""
    return sorted(settings, key=lambda setting: (not setting["best"], setting["number"]))


def _setting(folder: Path, setting: Mapping[str, Any]) -> dict[str, Any]:
    page = Path(setting["folder"]) / PAGE
    return {
        "number": setting["number"],
        "options": _options(setting),
        "values": [_short(round(value, 4)) for value in setting["values"]],
        "state": setting["state"],
        "best": setting["best"],
        "page": page.as_posix() if (folder / page).is_file() else "",
    }


def _result(row: Mapping[str, Any]) -> Any:
    return result_of({key: value for key, value in row.items() if key != "concepts"})


def _front(folder: Path, settings: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> Plot | None:
    """Return the settings by the first two objectives; None where there is but one."""
    tried = [setting for setting in settings if setting["values"]]
    if len(objectives) < 2 or not tried:
        return None
    points = [
        Point(
            label=_options(setting) if setting["best"] else "",
            x=setting["values"][1],
            y=setting["values"][0],
            on_front=setting["best"],
            single=not setting["best"],
            series=place if setting["best"] else -1,
        )
        for place, setting in enumerate(_ordered(tried))
    ]
    less = [_less_is_better(read_bench(folder / tried[0]["folder"]), name) for name in objectives[:2]]
    plot = front(points, objectives[1], objectives[0], invert=(less[1], less[0]))
    return replace(plot, caption=_CAPTION)


def _less_is_better(bench: Mapping[str, Any], objective: str) -> bool:
    metric, _, group = objective.partition(" on ")
    rows = [row for row in bench["table"] if (short_name(row["metric"]), row["group"]) == (metric, group)]
    return bool(rows) and rows[0]["direction"] != "up"
