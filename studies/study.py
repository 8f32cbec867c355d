"""What every study shares: many runs carried out one after another, and their pictures judged and pooled.

A study is a list of runs. Each has a folder of its own, so a study that was interrupted continues where it
stopped. A finished run is not drawn again; its pictures are judged anew, by the judges that are installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vu_core.errors import VuError
from vu_core.evaluation import AFTER, BEFORE
from vu_core.evaluationplan import EvaluationPlan
from vu_core.evidence_drawn import IMAGES
from vu_core.interfaces import Batch, Model, Scorer
from vu_core.judging import judge
from vu_core.models import load
from vu_core.planning import Plan, plan_run
from vu_core.records import RECORD_FILE
from vu_core.registry import Entry, Registry
from vu_core.runner import open_folder, run
from vu_core.runspec import RunSpec
from vu_core.sampling import Folder
from vu_core.specs import ScorerSpec
from vu_core.stages import Surface
from vu_core.statistics import Change, mean_measurement, paired_change
from vu_core.types import FORGET, RETAIN, Interval, Measurement


class StudyError(VuError):
    """A run's folder cannot be used; says which and why."""


def carry_out(main: Callable[[], None]) -> None:
    """Run a study's ``main``; a stop and an error are a sentence, not a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the same command continues")
    except VuError as error:
        sys.exit(f"error: {error}")


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One run of a study.

    Attributes:
        name: Of its folder.
        title: What a table calls it.
        spec: What it does.
    """

    name: str
    title: str
    spec: RunSpec


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        run: What was done.
        folder: Its run folder.
        record: The content of its ``record.json``; the numbers in it are those of the judges of that day.
        measured: Before and after, by metric and group, with one value a picture.
    """

    run: StudyRun
    folder: Path
    record: Mapping[str, Any]
    measured: Mapping[tuple[str, str], tuple[Measurement, Measurement]]


@dataclass
class Bench:
    """Carries out the runs of a study and judges their pictures.

    Attributes:
        work: Folder of the run folders.
        scorers: Names of judges by role, in place of the protocol's own.
        metrics: Names of what is measured, by their judges alone; empty for the protocol's own.
    """

    work: Path
    scorers: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    @cached_property
    def registry(self) -> Registry:
        """The installed components."""
        return Registry.discover()

    def outcomes(self, runs: Sequence[StudyRun]) -> list[Outcome]:
        """Carry out what is not done yet, and return all of ``runs``, judged.

        Raises:
            StudyError: A folder holds a run of another model or protocol, or pictures that cannot be judged.
        """
        found = []
        for number, item in enumerate(runs, start=1):
            print(f"{number}/{len(runs)} {item.name}", flush=True)
            found.append(self._outcome(item))
        return found

    def finished(self, runs: Sequence[StudyRun]) -> list[StudyRun]:
        """Return those of ``runs`` that nothing is left to do of."""
        return [item for item in runs if _status(self.work / item.name) == "finished"]

    def _outcome(self, item: StudyRun) -> Outcome:
        folder = self.work / item.name
        plan = plan_run(item.spec, self.registry)
        model = self._model(plan)
        open_folder(folder, plan, resume=True)
        if _status(folder) != "finished":
            run(plan, model, folder, self.registry, Surface())
        record = _record(folder)
        _check_origin(folder, record, plan, model)
        judged = self._evaluation(item.spec)
        before, after = (self._measurements(judged, pictures_of(folder, name)) for name in (BEFORE, AFTER))
        return Outcome(item, folder, record, {key: (before[key], after[key]) for key in after})

    def right_of_base(self, outcome: Outcome) -> list[tuple[Scorer, Measurement]]:
        """Return how often each judge of concepts sees in the base model's pictures what the prompt asked for."""
        plan = self._evaluation(outcome.run.spec)
        judges = {role: self._scorer(entry) for role, entry in plan.scorers.items() if role in plan.protocol.kinds}
        values: dict[str, list[float]] = {role: [] for role in judges}
        for batch in self._batches(plan, pictures_of(outcome.folder, BEFORE)):
            for role, found in values.items():
                seen = zip(batch.samples, batch.scores[role].labels(), strict=True)
                found += [100.0 * (sample.attributes[role] == label) for sample, label in seen]
        ids, clusters = ([getattr(sample, name) for sample in plan.samples] for name in ("id", "cluster"))
        return [
            (judges[role], mean_measurement(role, found, sample_ids=ids, clusters=clusters, success=100.0))
            for role, found in values.items()
        ]

    def _evaluation(self, spec: RunSpec) -> EvaluationPlan:
        asked = replace(spec, scorers={**spec.scorers, **self.scorers}, metrics=self.metrics or spec.metrics)
        plan = plan_run(asked, self.registry).evaluation
        if plan is None:
            raise StudyError(f"the run that forgets {', '.join(spec.forget)} names no protocol")
        needed = {role for use in plan.metrics for role in use.spec.roles(plan.protocol.kinds)}
        return replace(plan, scorers={role: entry for role, entry in plan.scorers.items() if role in needed})

    def _measurements(self, plan: EvaluationPlan, pictures: Folder) -> dict[tuple[str, str], Measurement]:
        metrics = {
            use.spec.name: use.load()(request=use.request, neighbours=use.neighbours, config=use.config)
            for use in plan.metrics
        }
        for batch in self._batches(plan, pictures):
            for metric in metrics.values():
                metric.update(batch)
        return {(name, m.group): m for name, metric in metrics.items() for m in metric.compute()}

    def _batches(self, plan: EvaluationPlan, pictures: Folder) -> Iterator[Batch]:
        scorers = {role: self._scorer(entry) for role, entry in plan.scorers.items()}
        for judged in judge(pictures.read, plan.samples, scorers):
            if judged.batch is None or judged.failed:
                raise StudyError(f"{pictures.root}: {', '.join(judged.failed.values())}")
            yield judged.batch

    def _scorer(self, entry: Entry[ScorerSpec]) -> Scorer:
        name = entry.spec.name
        if name not in self._loaded:
            self._loaded[name] = entry.load()(device="cpu")
        return self._loaded[name]

    def _model(self, plan: Plan) -> Model:
        asked = plan.spec
        key = (plan.model.source, asked.device, asked.dtype)
        if key not in self._models:
            self._models[key] = load(
                plan.model, device=asked.device, dtype=asked.dtype, download=asked.download, revision=asked.revision
            )
        return self._models[key]

    @cached_property
    def _loaded(self) -> dict[str, Scorer]:
        return {}

    @cached_property
    def _models(self) -> dict[tuple[str, str, str], Model]:
        return {}


@dataclass(frozen=True)
class Pooled:
    """A metric over the pictures of several runs.

    Attributes:
        before: Of the base model.
        after: Of the edited models.
        change: After minus before, paired by picture.
    """

    before: Measurement
    after: Measurement
    change: Change


def pool(outcomes: Sequence[Outcome], metric: str, group: str) -> Pooled:
    """Return ``metric`` on ``group`` over all ``outcomes``.

    Pictures of one prompt stay one cluster, whichever run they come from: runs share the base model's pictures.
    """
    before, after = (
        _joined(group, [(o.run.name, o.measured[metric, group][side]) for o in outcomes]) for side in (0, 1)
    )
    return Pooled(before, after, paired_change(before, after))


def share(value: float | None, interval: Interval | None, *, signed: bool = False) -> str:
    """Return a percentage, or a change of one, with its interval."""
    if value is None:
        return "-"
    form = "{:+.1f}" if signed else "{:.1f}"
    return form.format(value) + (f" [{form}, {form}]".format(interval.low, interval.high) if interval else "")


def variants(base: RunSpec, options: Mapping[str, Sequence[Any]]) -> Iterator[tuple[dict[str, Any], RunSpec]]:
    """Yield every combination of ``options`` and the run that has it."""
    combinations: list[dict[str, Any]] = [{}]
    for name, values in options.items():
        combinations = [{**chosen, name: value} for chosen in combinations for value in values]
    for chosen in combinations:
        yield chosen, replace(base, options={**base.options, **chosen})


def pictures_of(folder: Path, name: str) -> Folder:
    """Return the pictures of a run called ``name``: ``"before"`` or ``"after"``."""
    return Folder(folder / IMAGES / name)


def _joined(group: str, parts: Sequence[tuple[str, Measurement]]) -> Measurement:
    values = [value for _, part in parts for value in part.values]
    ids = [f"{run}/{sample}" for run, part in parts for sample in part.sample_ids]
    clusters = [cluster for _, part in parts for cluster in part.clusters]
    return mean_measurement(group, values, sample_ids=ids, clusters=clusters, success=parts[0][1].success)


def _record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    return content


def _status(folder: Path) -> str:
    return str(_record(folder)["status"]) if (folder / RECORD_FILE).is_file() else ""


def _check_origin(folder: Path, record: Mapping[str, Any], plan: Plan, model: Model) -> None:
    """Refuse pictures of another model or protocol than the installed ones.

    Raises:
        StudyError: The record says that they are.
    """
    protocol = plan.evaluation.protocol.facts() if plan.evaluation else None
    for what, there, here in (
        ("model", record["model"]["fingerprint"], model.fingerprint()),
        ("protocol", record["protocol"], protocol),
    ):
        if there != here:
            raise StudyError(f"'{folder}' was made with another {what}", hint="Remove it to draw again.")


__all__ = [
    "FORGET",
    "RETAIN",
    "Bench",
    "Outcome",
    "Pooled",
    "StudyError",
    "StudyRun",
    "carry_out",
    "pool",
    "share",
    "variants",
]
