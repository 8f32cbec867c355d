"""What every study shares: many runs carried out one after another, and their pictures pooled.

A study is a list of runs. Each has a folder of its own, so a study that was interrupted continues where it
stopped, and one that is finished is only read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vu_core.comparison import AFTER, BEFORE
from vu_core.judging import judge
from vu_core.models import load
from vu_core.planning import EvaluationPlan, Plan, plan_run
from vu_core.registry import Registry
from vu_core.runner import open_folder, run
from vu_core.runspec import RunSpec
from vu_core.sampling import Folder
from vu_core.stages import Surface
from vu_core.statistics import Change, mean_measurement, paired_change
from vu_core.types import FORGET, RETAIN, Interval, Measurement


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One run of a study.

    Attributes:
        name: Of its folder.
        title: What a table calls it.
        spec: What it does.
        subject: Runs of one subject draw the same prompts with the same noise, so intervals resample their pictures
            together; its name when empty.
    """

    name: str
    title: str
    spec: RunSpec
    subject: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        run: What was done.
        folder: Its run folder.
        record: The content of its ``record.json``.
        measured: Before and after, by metric and group, with one value a picture.
    """

    run: StudyRun
    folder: Path
    record: Mapping[str, Any]
    measured: Mapping[tuple[str, str], tuple[Measurement, Measurement]]

    def value(self, metric: str, group: str) -> float:
        """Return a metric after unlearning, in its unit."""
        value = self.measured[metric, group][1].value
        if value is None:
            raise ValueError(f"{self.run.name} has no '{metric}' on '{group}'")
        return value


@dataclass
class Bench:
    """Carries out the runs of a study on one loaded model.

    Attributes:
        work: Folder of the run folders.
        judges: Scorers by role that take the place of the protocol's own when pictures are measured.
    """

    work: Path
    judges: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def registry(self) -> Registry:
        """The installed components."""
        return Registry.discover()

    @cached_property
    def _model(self) -> Any:
        plan = plan_run(RunSpec(unlearner="uce", forget=("cat",)), self.registry)
        return load(plan.model, device=plan.spec.device, dtype="float32", download=False, revision="")

    def outcomes(self, runs: Sequence[StudyRun]) -> list[Outcome]:
        """Carry out what is not done yet, and return all of ``runs`` measured."""
        found = []
        for number, item in enumerate(runs, start=1):
            print(f"{number}/{len(runs)} {item.name}", flush=True)
            found.append(self._outcome(item))
        return found

    def _outcome(self, item: StudyRun) -> Outcome:
        folder = self.work / item.name
        plan = plan_run(item.spec, self.registry)
        record_file = folder / "record.json"
        done = record_file.is_file() and json.loads(record_file.read_text(encoding="utf-8"))["status"] == "finished"
        if not done:
            open_folder(folder, plan, resume=True)
            run(plan, self._model, folder, self.registry, Surface())
        record = json.loads(record_file.read_text(encoding="utf-8"))
        return Outcome(item, folder, record, self._measured(plan, folder))

    def _measured(self, plan: Plan, folder: Path) -> dict[tuple[str, str], tuple[Measurement, Measurement]]:
        if plan.evaluation is None:
            raise RuntimeError(f"{folder} measures nothing: its run names no protocol")
        measured = plan.evaluation
        before, after = (self._measurements(measured, Folder(folder / "images" / name)) for name in (BEFORE, AFTER))
        return {key: (before[key], after[key]) for key in after}

    def _measurements(self, plan: EvaluationPlan, pictures: Folder) -> dict[tuple[str, str], Measurement]:
        scorers = {role: self._scorer(self.judges.get(role, entry.spec.name)) for role, entry in plan.scorers.items()}
        metrics = {
            use.spec.name: use.load()(request=use.request, neighbours=use.neighbours, config=use.config)
            for use in plan.metrics
        }
        for judged in judge(pictures.read, plan.samples, scorers):
            if judged.batch is None or judged.failed:
                raise RuntimeError(f"{pictures.root}: {judged.failed}")
            for metric in metrics.values():
                metric.update(judged.batch)
        return {(name, m.group): m for name, metric in metrics.items() for m in metric.compute()}

    def _scorer(self, name: str) -> Any:
        if name not in self._scorers:
            self._scorers[name] = self.registry.get("scorer", name).load()(device="cpu")
        return self._scorers[name]

    @cached_property
    def _scorers(self) -> dict[str, Any]:
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
    """Return ``metric`` on ``group`` over all ``outcomes``; the clusters of each subject stay apart."""
    before, after = (_joined(group, [(o.run, o.measured[metric, group][side]) for o in outcomes]) for side in (0, 1))
    return Pooled(before, after, paired_change(before, after))


def _joined(group: str, parts: Sequence[tuple[StudyRun, Measurement]]) -> Measurement:
    values = [value for _, part in parts for value in part.values]
    ids = [f"{run.name}/{sample}" for run, part in parts for sample in part.sample_ids]
    clusters = [f"{run.subject or run.name}/{cluster}" for run, part in parts for cluster in part.clusters]
    return mean_measurement(group, values, sample_ids=ids, clusters=clusters, success=parts[0][1].success)


def share(value: float | None, interval: Interval | None, *, signed: bool = False) -> str:
    """Return a percentage with its interval."""
    if value is None:
        return "-"
    ends = f" [{interval.low:+.1f}, {interval.high:+.1f}]" if interval and signed else ""
    ends = f" [{interval.low:.1f}, {interval.high:.1f}]" if interval and not signed else ends
    return f"{value:+.1f}{ends}" if signed else f"{value:.1f}{ends}"


def variants(base: RunSpec, options: Mapping[str, Sequence[Any]]) -> Iterator[tuple[dict[str, Any], RunSpec]]:
    """Yield every combination of ``options`` and the run that has it."""
    combinations: list[dict[str, Any]] = [{}]
    for name, values in options.items():
        combinations = [{**chosen, name: value} for chosen in combinations for value in values]
    for chosen in combinations:
        yield chosen, replace(base, options={**base.options, **chosen})


__all__ = ["FORGET", "RETAIN", "Bench", "Outcome", "Pooled", "StudyRun", "pool", "share", "variants"]
