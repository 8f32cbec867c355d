"""What the page of a bench shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vu_core.bench import BENCH_FILE, SCHEMA
from vu_core.errors import RunError
from vu_core.records import Record, read_record, result_of
from vu_core.registry import Registry
from vu_core.report import PAGE
from vu_core.sidebyside import SideBySide
from vu_core.tables import short_name
from vu_core.types import Result
from vu_report import facts
from vu_report.fronts import front_plot
from vu_report.galleries import Gallery, Source, gallery_of_concepts
from vu_report.numbers import plain, rows_of
from vu_report.plots import Plot
from vu_report.sentences import Verdict, verdict

_ROW = ("unlearner", "kind", "concepts")
_LEVELS = 5


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The numbers of one unlearner over all concepts of a kind."""

    unlearner: str
    kind: str
    concepts: int
    results: tuple[Result, ...]


def bench_page(folder: Path, registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``bench.html``.

    Raises:
        RunError: ``bench.json`` is damaged or has another schema.
    """
    bench = _read(folder)
    pooled, help_of = _pooled([*bench["table"], *bench.get("costs", ())]), facts.summaries(registry)
    done = [run for run in bench["runs"] if run["status"] == "finished"]
    records = {run["folder"]: read_record(folder / run["folder"]) for run in done}
    verdicts = [(item, _verdict(item)) for item in pooled]
    return {
        "title": f"{facts.names(bench['unlearners'])} on {bench['model']['name']}, {bench['protocol']['name']}",
        "bench": bench,
        "folder": folder.resolve().name,
        "headline": _headline(pooled, verdicts),
        "verdicts": verdicts,
        "tables": [(item, rows_of(item.results, help_of)) for item in pooled],
        "fronts": [plot for kind in _kinds(pooled) if (plot := _front(pooled, kind, done))],
        "matrices": [
            _matrix(name, found, _neighbours(name, done, records)) for name, found in bench["interference"].items()
        ],
        "gallery": _gallery(folder, bench, done),
        "runs": [_run(folder, run) for run in bench["runs"]],
        "total": facts.duration(sum(sum(run["seconds"].values()) for run in bench["runs"])),
        "provenance": _provenance(bench),
    }


def _read(folder: Path) -> dict[str, Any]:
    path = folder / BENCH_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' is no readable bench: {error}", hint="Give the folder of a bench.") from error
    if values.get("schema") != SCHEMA:
        raise RunError(f"'{path}' has schema {values.get('schema')}", hint=f"This vu reads schema {SCHEMA}.")
    return values


def _pooled(table: Sequence[Mapping[str, Any]]) -> list[Pooled]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in table:
        found.setdefault((row["unlearner"], row["kind"]), []).append(row)
    return [
        Pooled(
            unlearner=unlearner,
            kind=kind,
            concepts=max(row["concepts"] for row in rows),
            results=tuple(result_of({k: v for k, v in row.items() if k not in _ROW}) for row in rows),
        )
        for (unlearner, kind), rows in found.items()
    ]


def _verdict(item: Pooled) -> Verdict:
    count = f"{item.concepts} concept{'' if item.concepts == 1 else 's'}"
    what = f"{count} of kind {item.kind}"
    return verdict(item.results, what, shown=f"pictures asked to show what was forgotten ({what}, each in a run)")


def _kinds(pooled: Sequence[Pooled]) -> list[str]:
    return list(dict.fromkeys(item.kind for item in pooled))


def _headline(pooled: Sequence[Pooled], verdicts: Sequence[tuple[Pooled, Verdict]]) -> str:
    """Return one sentence: which unlearner no other one outdoes, or what the only one came to."""
    if not pooled:
        return "Nothing was measured."
    if len({item.unlearner for item in pooled}) == 1:
        return " ".join(found.headline for _, found in verdicts)
    best = {kind: side_by_side_of(pooled, kind).front() for kind in _kinds(pooled)}
    parts = [f"of kind {kind}, no other outdoes {facts.names(labels)}" for kind, labels in best.items() if labels]
    return f"In forgetting concepts {'; '.join(parts)}." if parts else "Nothing was measured that could be compared."


def side_by_side_of(pooled: Sequence[Pooled], kind: str) -> SideBySide:
    """Return the unlearners that forgot concepts of ``kind``, by their means."""
    mine = [item for item in pooled if item.kind == kind]
    return SideBySide(
        labels=tuple(item.unlearner for item in mine),
        records=tuple(Record(folder=Path(), results=list(item.results)) for item in mine),
    )


def _front(pooled: Sequence[Pooled], kind: str, runs: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Return forgetting against keeping: each unlearner's mean over the concepts of a kind, and its runs."""
    singles: dict[str, list[list[Result]]] = {}
    for run in runs:
        if run["kind"] == kind:
            singles.setdefault(run["unlearner"], []).append([result_of(values) for values in run["results"]])
    plot = front_plot(side_by_side_of(pooled, kind), singles)
    if plot is None:
        return None
    return replace(plot, caption=f"Forgotten: {kind}. {plot.caption} Small marks are single runs.")


def _neighbours(
    unlearner: str, done: Sequence[Mapping[str, Any]], records: Mapping[str, Record]
) -> dict[str, set[str]]:
    return {
        run["forget"]: set(records[run["folder"]].request.get("neighbours", ()))
        for run in done
        if run["unlearner"] == unlearner
    }


def _matrix(unlearner: str, found: Mapping[str, Any], neighbours: Mapping[str, set[str]]) -> dict[str, Any]:
    rows = [
        (forget, [_cell(forget, name, found, i, j, neighbours) for j, name in enumerate(found["measured"])])
        for i, forget in enumerate(found["forget"])
    ]
    return {"unlearner": unlearner, "measured": found["measured"], "rows": rows, "hardest": found["hardest"]}


def _cell(
    forget: str, measured: str, found: Mapping[str, Any], i: int, j: int, neighbours: Mapping[str, set[str]]
) -> dict[str, Any]:
    change = found["change"][i][j]
    if change is None:
        return {"text": "", "tone": "none", "itself": False, "neighbour": False}
    level = min(_LEVELS, -(-abs(change) * _LEVELS // 100))
    tone = "zero" if abs(change) < 0.5 else f"{'lost' if change < 0 else 'gained'}{level:.0f}"
    return {
        "text": "0" if tone == "zero" else plain(round(change), "%").removesuffix(".0"),
        "tone": tone,
        "itself": forget == measured,
        "neighbour": measured in neighbours.get(forget, set()),
    }


def _gallery(folder: Path, bench: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Gallery | None:
    """Return pictures of each forgotten concept: before, and after each unlearner's run with the first seed."""
    by_concept: dict[str, list[Source]] = {}
    for run in done:
        if run["seed"] == bench["seeds"][0]:
            source = Source(label=run["unlearner"], folder=folder / run["folder"])
            by_concept.setdefault(run["forget"], []).append(source)
    return gallery_of_concepts(by_concept)


def _run(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    page = Path(run["folder"]) / PAGE
    shares = {short_name(r["metric"]): r["after"] for r in reversed(run["results"]) if r["unit"] == "%"}
    numbers = ", ".join(f"{metric} {plain(value)}" for metric, value in reversed(shares.items()) if value is not None)
    return {
        **{key: run[key] for key in ("unlearner", "forget", "kind", "seed", "status", "error")},
        "seconds": facts.duration(sum(run["seconds"].values())),
        "memory": f"{run['peak_memory_bytes'] / 1e9:.2f} GB",
        "numbers": numbers,
        "page": page.as_posix() if (folder / page).is_file() else "",
    }


def _provenance(bench: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    record = Record(
        folder=Path(),
        model=dict(bench["model"]),
        protocol=bench["protocol"],
        environment=bench["environment"],
        request={"forget": bench["forget"]},
    )
    edits = {f"{run['unlearner']} {run['forget']}": run["edit"] for run in bench["runs"] if run["edit"]}
    return facts.provenance(record) | {"Edits, sha256": edits}
