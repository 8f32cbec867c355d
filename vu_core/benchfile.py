"""``bench.json`` as it is read again: what each unlearner came to on concepts of one kind, and in which runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vu_core.records import read_schema, result_of, undamaged
from vu_core.types import Result

BENCH_FILE = "bench.json"
SCHEMA = 1

_ROW = ("unlearner", "kind", "concepts")


@dataclass(frozen=True, kw_only=True)
class BenchedRun:
    """One finished run of a bench.

    Attributes:
        folder: Where it lies.
        forget: Name of the concept.
        seed: Of the unlearner.
        seconds: By stage, of all attempts.
        results: Of pooled groups.
    """

    folder: Path
    forget: str
    seed: int
    seconds: Mapping[str, float]
    results: tuple[Result, ...]


@dataclass(frozen=True, kw_only=True)
class BenchPart:
    """What one unlearner came to over all concepts of a kind.

    Attributes:
        unlearner: Its name.
        kind: Of what was forgotten.
        concepts: How many were forgotten.
        results: Means over them, and what making the edits took.
        runs: What the means are of; at least one.
    """

    unlearner: str
    kind: str
    concepts: int
    results: tuple[Result, ...]
    runs: tuple[BenchedRun, ...]


def is_bench(folder: Path) -> bool:
    """Return whether ``folder`` is a bench's."""
    return (folder / BENCH_FILE).is_file()


def read_bench(folder: Path) -> dict[str, Any]:
    """Return the content of a bench's ``bench.json``.

    Raises:
        RunError: It cannot be read, or has another schema.
    """
    return read_schema(folder / BENCH_FILE, "bench", SCHEMA, hint="Give the folder of a bench.")


def parts_of(bench: Mapping[str, Any], folder: Path) -> list[BenchPart]:
    """Return the parts of a bench in ``folder``, in the order of its table.

    Raises:
        RunError: Its ``bench.json`` is damaged.
    """
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    with undamaged(folder / BENCH_FILE):
        for row in (*bench["table"], *bench.get("costs", ())):
            rows.setdefault((row["unlearner"], row["kind"]), []).append(row)
        return [
            BenchPart(
                unlearner=unlearner,
                kind=kind,
                concepts=max(row["concepts"] for row in mine),
                results=tuple(result_of({k: v for k, v in row.items() if k not in _ROW}) for row in mine),
                runs=tuple(_run(run, folder) for run in bench["runs"] if _of(run, unlearner, kind)),
            )
            for (unlearner, kind), mine in rows.items()
        ]


def _of(run: Mapping[str, Any], unlearner: str, kind: str) -> bool:
    return (run["unlearner"], run["kind"], run["status"]) == (unlearner, kind, "finished")


def _run(run: Mapping[str, Any], folder: Path) -> BenchedRun:
    return BenchedRun(
        folder=folder / run["folder"],
        forget=run["forget"],
        seed=run["seed"],
        seconds=run["seconds"],
        results=tuple(map(result_of, run["results"])),
    )
