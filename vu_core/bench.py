"""A bench: each concept of a protocol forgotten in turn, by each unlearner, and what that gives together.

Every run has a folder of its own. A finished one is read, not repeated, so a bench that was stopped at any
moment continues where it was. Of a finished run only its numbers stay in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vu_core.benchfile import BENCH_FILE, SCHEMA
from vu_core.benchplan import BenchPlan, BenchRun
from vu_core.costs import costs_of
from vu_core.errors import RunError, VuError
from vu_core.evidence_drawn import Judges
from vu_core.files import write_text
from vu_core.heatmap import write_heatmap
from vu_core.interference import Interference, interference_of
from vu_core.models import load
from vu_core.planning import Plan, plan_run
from vu_core.pooling import Row, Single, corrected_rows, pool
from vu_core.published import Published
from vu_core.records import Record, Stage, environment
from vu_core.runner import finished_record, open_folder, run
from vu_core.stages import Surface
from vu_core.tables import pooled
from vu_core.verdicts import read_verdicts

if TYPE_CHECKING:
    from vu_core.interfaces import Model
    from vu_core.registry import Entry, Registry
    from vu_core.types import Result

Status = Literal["finished", "failed", "pending"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of a bench came to.

    Attributes:
        run: What was asked.
        status: ``"pending"`` when the bench was stopped before it.
        error: Why it failed; empty when it did not.
        carried_out: Whether this call carried it out; False when its folder held it already.
        edit: sha256 of the edit.
        fingerprint: Of the base model.
        versions: Of everything that took part, by distribution.
        seconds: By stage, of all attempts.
        drawn: Pictures that the model drew, in all attempts.
        cached: Pictures that the store held when the last attempt began.
        peak_memory_bytes: Highest resident memory while it was carried out.
        neighbours: Names of the forgotten concept's neighbours.
        results: Of pooled groups; the run's own record holds those of single concepts.
        costs: What making the edit took: see `vu_core.costs`.
    """

    run: BenchRun
    status: Status
    error: str = ""
    carried_out: bool = True
    edit: str = ""
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    drawn: int = 0
    cached: int = 0
    peak_memory_bytes: int = 0
    neighbours: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    costs: tuple[Result, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """What a bench came to: the content of ``bench.json``.

    Attributes:
        folder: Where it lies; not written into the file.
        status: How it ended.
        plan: What was asked.
        environment: Versions, machine, threads, device, dtype.
        outcomes: One a run, in the order of the plan.
        table: The numbers over all concepts of a kind, by unlearner, kind, metric and group.
        costs: What making the edits took, in the same form.
        interference: By unlearner: what forgetting one concept does to each other.
        pictures: Of the interference.
        warnings: Sentences.
    """

    folder: Path
    status: Literal["finished", "failed", "interrupted"]
    plan: BenchPlan
    environment: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    table: tuple[Row, ...]
    costs: tuple[Row, ...]
    interference: Mapping[str, Interference]
    pictures: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def published(self) -> list[Published]:
        """The protocol's numbers to compare with, of the kinds of concepts that were forgotten."""
        kinds = {"", *(concept.kind for concept in self.plan.concepts)}
        return [row for row in self.plan.evaluation.protocol.published if row.kind in kinds]

    @property
    def errors(self) -> list[str]:
        """A sentence for every run that failed."""
        return [f"{o.run.unlearner} {o.run.concept.name}: {o.error}" for o in self.outcomes if o.status == "failed"]

    def as_json(self) -> str:
        """Return the JSON text of ``bench.json``."""
        now = [outcome for outcome in self.outcomes if outcome.carried_out and outcome.status != "pending"]
        values = {
            "schema": SCHEMA,
            "status": self.status,
            "protocol": self.plan.evaluation.protocol.facts(),
            "model": {"name": self.plan.model.name, "fingerprint": next(iter(_fingerprints(self.outcomes)), None)},
            "unlearners": list(self.plan.unlearners),
            "forget": [concept.name for concept in self.plan.concepts],
            "seeds": list(self.plan.seeds),
            "environment": self.environment,
            "work": {
                "runs": len(now),
                "runs_already_there": sum(not outcome.carried_out for outcome in self.outcomes),
                "drawn": sum(outcome.drawn for outcome in now),
                "cached": sum(outcome.cached for outcome in now),
            },
            "published": [asdict(row) for row in self.published],
            "table": [_row_as_dict(row) for row in self.table],
            "costs": [_row_as_dict(row) for row in self.costs],
            "interference": {name: found.as_dict() for name, found in self.interference.items()},
            "runs": [_as_dict(outcome) for outcome in self.outcomes],
            "warnings": list(self.warnings),
            "errors": self.errors,
        }
        return json.dumps(values, indent=1, allow_nan=False) + "\n"


def carry_out(plan: BenchPlan, folder: Path, registry: Registry, surface: Surface | None = None) -> BenchRecord:
    """Carry out every run of ``plan`` that ``folder`` does not hold yet and return what all of them came to.

    A run that fails does not stop the others. ``bench.json`` is written at the end, and when it is interrupted.

    Args:
        plan: What is done.
        folder: Holds the runs' folders; the same plan continues there.
        registry: The installed components; observers are told of every run, and of the bench at its end.
        surface: Shows how far it is.

    Raises:
        RunError: A folder holds another run, or the disk cannot be written.
        KeyboardInterrupt: The user stopped it; the same call continues.
    """
    bench = _Bench(plan, folder, registry, surface or Surface())
    try:
        bench.all_runs()
    except KeyboardInterrupt:
        bench.record("interrupted")
        raise
    record = bench.record("failed" if any(o.status == "failed" for o in bench.outcomes) else "finished")
    observed = registry.plugins.notify("vu_bench_finished", record=record)
    if observed:
        record = replace(record, warnings=(*record.warnings, *observed))
        write_text(folder / BENCH_FILE, record.as_json())
    return record


def finished_outcomes(plan: BenchPlan, folder: Path, registry: Registry) -> list[Outcome]:
    """Return what the finished runs in ``folder`` came to; nothing is made or changed.

    Raises:
        RunError: A folder holds another run.
    """
    found = []
    for item in plan.runs:
        if (folder / item.folder).is_dir():
            record = finished_record(folder / item.folder, plan_run(item.spec, registry))
            found += [_outcome(item, record, carried_out=False)] if record else []
    return found


class _Bench:
    """A bench in progress: its inputs, and what its runs came to so far."""

    def __init__(self, plan: BenchPlan, folder: Path, registry: Registry, surface: Surface) -> None:
        self.plan, self.folder, self.registry, self.surface = plan, folder, registry, surface
        self._quiet = Surface(track=surface.track, trackers=surface.trackers)
        self._found = {o.run.folder: o for o in finished_outcomes(plan, folder, registry)}
        self._model: Model | None = None
        first = plan_run(plan.runs[0].spec, registry)
        self._device, self._dtype = first.spec.device, first.spec.dtype
        self._judges = Judges(self._device)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple(
            self._found.get(item.folder) or Outcome(run=item, status="pending", carried_out=False)
            for item in self.plan.runs
        )

    def all_runs(self) -> None:
        pending = [item for item in self.plan.runs if item.folder not in self._found]
        if self._found:
            self.surface.say(f"{len(self._found)} of {len(self.plan.runs)} runs are there already")
        for item in self.surface.track(pending, len(pending), "bench"):
            outcome = self._found[item.folder] = self._one(item)
            self.surface.say(_line(outcome))

    def _one(self, item: BenchRun) -> Outcome:
        where = self.folder / item.folder
        try:
            plan = plan_run(item.spec, self.registry)
            open_folder(where, plan, resume=True)
            record = run(plan, self._loaded(plan), where, self.registry, self._quiet, self._judges)
        except RunError:
            # The disk or the folder, not the concept: the others would fail as well.
            raise
        except Exception as error:
            text = str(error) if isinstance(error, VuError) else f"{type(error).__name__}: {error}"
            return Outcome(run=item, status="failed", error=text)
        return _outcome(item, record, carried_out=True)

    def _loaded(self, plan: Plan) -> Model:
        if self._model is None:
            asked = plan.spec
            self._model = load(
                plan.model, device=asked.device, dtype=asked.dtype, download=asked.download, revision=asked.revision
            )
        return self._model

    def record(self, status: Literal["finished", "failed", "interrupted"]) -> BenchRecord:
        done = [outcome for outcome in self.outcomes if outcome.status == "finished"]
        now = environment(device=self._device, dtype=self._dtype, plugins=self._plugins())
        interference = {name: found for name in self.plan.unlearners if (found := self._interference(name, done))}
        record = BenchRecord(
            folder=self.folder,
            status=status,
            plan=self.plan,
            environment=now,
            outcomes=self.outcomes,
            table=corrected_rows([row for name in self.plan.unlearners for row in _table(name, done, "results")]),
            costs=tuple(row for name in self.plan.unlearners for row in _table(name, done, "costs")),
            interference=interference,
            pictures=tuple(self._picture(name, found) for name, found in interference.items() if found.cells),
            warnings=(*self._deviations(), *_warnings(done, now["versions"])),
        )
        write_text(self.folder / BENCH_FILE, record.as_json())
        return record

    def _deviations(self) -> list[str]:
        return self.plan.evaluation.deviations(model=self.plan.model.name, dtype=self._dtype)

    def _plugins(self) -> dict[str, str]:
        """Return the versions of the plugins that take part, by distribution."""
        asked: list[Entry[Any] | None] = [
            self.plan.model.loader,
            self.plan.model.named,
            *self.plan.evaluation.components,
        ]
        asked += [self.registry.get("unlearner", name) for name in self.plan.unlearners]
        return {entry.plugin: entry.version for entry in asked if entry is not None}

    def _interference(self, unlearner: str, done: Sequence[Outcome]) -> Interference | None:
        mine = [outcome for outcome in done if outcome.run.unlearner == unlearner]
        runs = (
            (o.run.concept, frozenset(o.neighbours), read_verdicts(self.folder / o.run.folder), str(o.run.seed))
            for o in mine
        )
        return interference_of(runs, self.plan.evaluation) if mine else None

    def _picture(self, unlearner: str, found: Interference) -> Path:
        path = self.folder / f"interference-{unlearner}.png".replace(":", "-")
        write_heatmap(path, found, f"{unlearner} on {self.plan.model.name}, {self.plan.evaluation.protocol.name}")
        return path


def _table(unlearner: str, done: Sequence[Outcome], of: Literal["results", "costs"]) -> list[Row]:
    by_kind: dict[str, list[Single]] = {}
    for outcome in done:
        forgot = outcome.run.concept
        if outcome.run.unlearner == unlearner:
            single = Single(concept=forgot.name, seed=outcome.run.seed, results=getattr(outcome, of))
            by_kind.setdefault(forgot.kind, []).append(single)
    return [row for kind, singles in by_kind.items() for row in pool(unlearner, kind, singles)]


def _outcome(item: BenchRun, record: Record, *, carried_out: bool) -> Outcome:
    stages = [*record.resumed, *record.stages]
    return Outcome(
        run=item,
        status="failed" if record.errors else "finished",
        error="; ".join(record.errors),
        carried_out=carried_out,
        edit=(record.edit or {}).get("sha256", ""),
        fingerprint=record.model.get("fingerprint") or "",
        versions=record.environment["versions"],
        seconds=_seconds(stages),
        drawn=sum(stage.detail.get("drawn", 0) for stage in stages),
        cached=sum(stage.detail.get("cached", 0) for stage in record.stages),
        peak_memory_bytes=max((stage.peak_memory_bytes or 0 for stage in stages), default=0),
        neighbours=tuple(record.request.get("neighbours", ())),
        results=tuple(pooled(record.results)),
        costs=tuple(costs_of(record)),
    )


def _seconds(stages: Iterable[Stage]) -> dict[str, float]:
    total: dict[str, float] = {}
    for stage in stages:
        total[stage.name] = round(total.get(stage.name, 0.0) + stage.seconds, 3)
    return total


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    values = {name: getattr(outcome, name) for name in ("status", "error", "edit", "seconds", "drawn", "cached")}
    return {
        "unlearner": outcome.run.unlearner,
        "forget": outcome.run.concept.name,
        "kind": outcome.run.concept.kind,
        "seed": outcome.run.seed,
        "folder": outcome.run.folder.as_posix(),
        "already_there": not outcome.carried_out,
        **values,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "results": [asdict(result) for result in outcome.results],
        "costs": [asdict(result) for result in outcome.costs],
    }


def _row_as_dict(row: Row) -> dict[str, Any]:
    return {"unlearner": row.unlearner, "kind": row.kind, "concepts": row.concepts, **asdict(row.result)}


def _fingerprints(outcomes: Iterable[Outcome]) -> list[str]:
    return list(dict.fromkeys(outcome.fingerprint for outcome in outcomes if outcome.fingerprint))


def _warnings(done: Sequence[Outcome], versions: Mapping[str, str]) -> list[str]:
    found = []
    if len(_fingerprints(done)) > 1:
        found.append("the runs were made of different models: the model's files changed meanwhile")
    others = [o for o in done if any(versions.get(name) not in (None, v) for name, v in o.versions.items())]
    if others:
        found.append(f"{len(others)} runs were made by other versions than those installed now")
    return found


def _line(outcome: Outcome) -> str:
    name = f"{outcome.run.unlearner} {outcome.run.concept.name}"
    if outcome.status == "failed":
        return f"{name}: {outcome.error}"
    shares = {r.metric: r.after for r in reversed(outcome.results) if r.unit == "%" and r.after is not None}
    numbers = [f"{metric} {after:.1f}" for metric, after in reversed(shares.items())]
    return f"{name}: {sum(outcome.seconds.values()):.0f} s; {', '.join(numbers)}"
