"""What the page of a bench shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vu_core.benchfile import BenchPart, parts_of, read_bench
from vu_core.records import Record, read_record
from vu_core.registry import Registry
from vu_core.report import PAGE
from vu_core.sidebyside import SideBySide, unlearners_side_by_side
from vu_core.tables import short_name
from vu_report import facts
from vu_report.fronts import front_plot
from vu_report.galleries import Gallery, Source, gallery_of_concepts
from vu_report.numbers import plain, rows_of
from vu_report.plots import Plot
from vu_report.sentences import Verdict, verdict

_LEVELS = 5


def bench_page(folder: Path, registry: Registry) -> dict[str, Any]:
    """Return the values of the template ``bench.html``.

    Raises:
        RunError: ``bench.json`` is damaged or has another schema.
    """
    bench = read_bench(folder)
    pooled, help_of = parts_of(bench, folder), facts.summaries(registry)
    done = [run for run in bench["runs"] if run["status"] == "finished"]
    records = {run["folder"]: read_record(folder / run["folder"]) for run in done}
    verdicts = [(part, part_verdict(part)) for part in pooled]
    kinds = {kind: _of_kind(pooled, kind) for kind in dict.fromkeys(part.kind for part in pooled)}
    return {
        "title": f"{facts.names(bench['unlearners'])} on {bench['model']['name']}, {bench['protocol']['name']}",
        "bench": bench,
        "folder": folder.resolve().name,
        "headline": _headline(kinds, verdicts),
        "verdicts": verdicts,
        "tables": [(part, rows_of(part.results, help_of)) for part in pooled],
        "fronts": [plot for kind, found in kinds.items() if (plot := kind_front(found, kind))],
        "matrices": [
            _matrix(name, found, _neighbours(name, done, records)) for name, found in bench["interference"].items()
        ],
        "gallery": _gallery(folder, bench, done),
        "runs": [_run(folder, run) for run in bench["runs"]],
        "total": facts.duration(sum(sum(run["seconds"].values()) for run in bench["runs"])),
        "provenance": _provenance(bench),
    }


def part_verdict(part: BenchPart) -> Verdict:
    """Return what one unlearner came to over all concepts of a kind."""
    count = f"{part.concepts} concept{'' if part.concepts == 1 else 's'}"
    what = f"{count} of kind {part.kind}"
    return verdict(part.results, what, shown=f"pictures asked to show what was forgotten ({what}, each in a run)")


def kinds_headline(kinds: Mapping[str, SideBySide]) -> str:
    """Return one sentence: which unlearners no other one outdoes, by kind of what was forgotten."""
    best = {kind: found.front() for kind, found in kinds.items()}
    parts = [f"of kind {kind}, no other outdoes {facts.names(labels)}" for kind, labels in best.items() if labels]
    return f"In forgetting concepts {'; '.join(parts)}." if parts else "Nothing was measured that could be compared."


def kind_front(found: SideBySide, kind: str) -> Plot | None:
    """Return forgetting against keeping: each unlearner's mean over the concepts of a kind, and its runs."""
    plot = front_plot(found)
    return replace(plot, caption=f"Forgotten: {kind}. {plot.caption}") if plot else None


def _headline(kinds: Mapping[str, SideBySide], verdicts: Sequence[tuple[BenchPart, Verdict]]) -> str:
    """Return one sentence: which unlearner no other one outdoes, or what the only one came to."""
    if not verdicts:
        return "Nothing was measured."
    if len({part.unlearner for part, _ in verdicts}) == 1:
        return " ".join(found.headline for _, found in verdicts)
    return kinds_headline(kinds)


def _of_kind(pooled: Sequence[BenchPart], kind: str) -> SideBySide:
    mine = [part for part in pooled if part.kind == kind]
    return unlearners_side_by_side(mine, [part.unlearner for part in mine])


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
