"""The search: each setting is a bench of its own, and Optuna chooses the next one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import Trial, TrialState

from vu_core import ConfigError, RunError
from vu_core.bench import BenchRecord, carry_out
from vu_core.benchplan import BenchPlan, plan_bench
from vu_core.concepts import qualified
from vu_core.files import refuse_file, write_text
from vu_core.stages import Surface
from vu_tune.objectives import Objective
from vu_tune.space import Dimension
from vu_tune.trials import JOURNAL, Trials

if TYPE_CHECKING:
    from vu_core.registry import Registry

TUNING_FILE = "tuning.json"
SCHEMA = 1

_SETTINGS, _REPORT = "settings", "report"


@dataclass(frozen=True, kw_only=True)
class TunePlan:
    """A search with every name resolved and every option checked.

    Attributes:
        unlearner: As the user named it.
        protocol: By which every setting is measured.
        forget: The concepts that it is tuned on, each forgotten in a run of its own.
        seeds: Of the unlearner, for each of them.
        space: What is searched.
        objectives: What is sought: one, or several that are weighed against each other.
        trials: How many settings are tried.
        seed: Of the search.
        options: Of the unlearner, the same in every setting.
        common: Other fields of every run's `RunSpec`.
        report: Concepts that the best settings are reported on; none of them is in ``forget``.
        report_protocol: By which they are reported; ``protocol`` when empty.
    """

    unlearner: str
    protocol: str
    forget: tuple[str, ...]
    seeds: tuple[int, ...]
    space: tuple[Dimension, ...]
    objectives: tuple[Objective, ...]
    trials: int
    seed: int
    options: Mapping[str, Any]
    common: Mapping[str, Any]
    report: tuple[str, ...] = ()
    report_protocol: str = ""

    def bench(self, chosen: Mapping[str, Any], registry: Registry, concepts: Sequence[str] = ()) -> BenchPlan:
        """Return the bench of one setting, over ``concepts`` or all that it is tuned on."""
        return self._bench(self.protocol, concepts or self.forget, chosen, registry)

    def report_bench(self, chosen: Mapping[str, Any], registry: Registry) -> BenchPlan:
        """Return the bench that reports one setting."""
        return self._bench(self.report_protocol or self.protocol, self.report, chosen, registry)

    def _bench(
        self, protocol: str, concepts: Sequence[str], chosen: Mapping[str, Any], registry: Registry
    ) -> BenchPlan:
        return plan_bench(
            protocol,
            [self.unlearner],
            registry,
            forget=concepts,
            seeds=self.seeds,
            options={**self.options, **chosen},
            common={"metrics": tuple(dict.fromkeys(one.metric for one in self.objectives)), **self.common},
        )

    def facts(self) -> dict[str, Any]:
        """Return, as JSON values, what decides the search: a folder holds one."""
        return {
            "unlearner": self.unlearner,
            "protocol": self.protocol,
            "tuned_on": {"forget": list(self.forget), "seeds": list(self.seeds)},
            "space": [str(dimension) for dimension in self.space],
            "objectives": [f"{objective.metric}:{objective.group}" for objective in self.objectives],
            "seed": self.seed,
            "options": dict(self.options),
            "common": json.loads(json.dumps(dict(self.common))),
        }


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting that was tried.

    Attributes:
        number: When, from 0.
        options: What was searched, as chosen.
        values: Of the objectives, in their order; empty where it was given up or failed.
        state: ``"complete"``, ``"pruned"`` or ``"failed"``.
        folder: Of its bench, within the search's.
        best: Whether no other setting is better in one objective and as good in the others.
        report: Its numbers on the concepts that it was not tuned on.
    """

    number: int
    options: Mapping[str, Any]
    values: tuple[float, ...]
    state: str
    folder: str
    best: bool = False
    report: tuple[Mapping[str, Any], ...] = ()


def check_plan(plan: TunePlan, registry: Registry) -> BenchPlan:
    """Return the bench of the space's lowest corner, after checking that the whole search can be carried out.

    Raises:
        ConfigError: A concept is both tuned on and reported on.
        VuError: Anything is unknown, ill-typed, out of range or does not fit together.
    """
    corner = {dimension.name: dimension.ends[0] for dimension in plan.space}
    tuned = plan.bench(corner, registry)
    if plan.report:
        reported = plan.report_bench(corner, registry)
        both = [concept.name for concept in tuned.concepts if concept in reported.concepts]
        if both:
            raise ConfigError(
                f"'{both[0]}' is tuned on and reported on: the report would flatter the setting",
                hint="Name other concepts with --report.",
            )
    return tuned


def search(plan: TunePlan, folder: Path, registry: Registry, surface: Surface) -> list[Setting]:
    """Try settings until ``plan.trials`` are done and return all of them, in their order.

    Every run is kept: a search that was stopped continues with the settings that it would have tried, and what is
    finished is only read. With one objective a
    setting that does worse on its first concepts than the middle of the others is given up.

    Args:
        plan: What is searched; see `check_plan`.
        folder: Holds the study's journal, a folder for each setting, and ``tuning.json``.
        registry: The installed components.
        surface: Shows how far it is.

    Raises:
        RunError: The folder holds another search, or one that another version of Optuna began, or cannot be written.
        KeyboardInterrupt: The user stopped it; the same call continues.
    """
    _claim(plan, folder)
    trials = _trials(plan, folder)
    done = len(trials.ended)
    if done:
        surface.say(f"{done} of {plan.trials} settings are there already")
    for _ in surface.track(range(done, plan.trials), max(0, plan.trials - done), "tune"):
        _try(plan, trials, folder, registry, surface)
    found = _reported(plan, _settings(trials), folder, registry, surface)
    _write(plan, found, folder)
    return found


def settings_in(plan: TunePlan, folder: Path) -> list[Setting]:
    """Return the settings that ``folder`` holds already; nothing is made or changed.

    Raises:
        RunError: It holds another search.
    """
    if not (folder / JOURNAL).is_file():
        return []
    _claim(plan, folder)
    return _settings(_trials(plan, folder))


def _trials(plan: TunePlan, folder: Path) -> Trials:
    return Trials(folder, plan.space, plan.objectives, plan.seed)


def _try(plan: TunePlan, trials: Trials, folder: Path, registry: Registry, surface: Surface) -> None:
    """Measure the next setting, concept after concept, and keep what it is worth."""
    trial, chosen = trials.ask()
    said, values = f"{trial.number}: {_said(chosen)}", list[float]()
    for count in range(1, len(plan.forget) + 1):
        bench = plan.bench(chosen, registry, plan.forget[:count])
        record = carry_out(bench, folder / _folder_of(chosen), registry, Surface(track=surface.track))
        values = _values(plan, record)
        if not values:
            why = "; ".join(record.errors) or "not measured"
            trials.fail(trial, why)
            surface.say(f"{said}: no value; {why}")
            return
        if len(values) == 1 and count < len(plan.forget) and _is_hopeless(trial, values[0], count):
            trials.give_up(trial)
            surface.say(f"{said}: given up after {count} concepts")
            return
    trials.complete(trial, values)
    numbers = ", ".join(f"{o.metric} {v:.1f}" for o, v in zip(plan.objectives, values, strict=True))
    surface.say(f"{said}: {numbers}")


def _is_hopeless(trial: Trial, value: float, concepts: int) -> bool:
    trial.report(value, concepts)
    return trial.should_prune()


def _values(plan: TunePlan, record: BenchRecord) -> list[float]:
    """Return the objectives' values, or nothing where one could not be computed."""
    found = [objective.value(record.table) for objective in plan.objectives]
    return [value for value in found if value is not None] if None not in found else []


def _settings(trials: Trials) -> list[Setting]:
    best = trials.best
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return [
        Setting(
            number=trial.number,
            options=trial.params,
            values=tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else (),
            state=names[trial.state],
            folder=_folder_of(trial.params).as_posix(),
            best=trial.number in best,
        )
        for trial in trials.ended
    ]


def _reported(
    plan: TunePlan, found: Sequence[Setting], folder: Path, registry: Registry, surface: Surface
) -> list[Setting]:
    """Return the settings, the best of them with their numbers on concepts that they were not tuned on."""
    if not plan.report:
        return list(found)
    reports: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for setting in found:
        if setting.best and setting.folder not in reports:
            bench = plan.report_bench(setting.options, registry)
            record = carry_out(bench, folder / _REPORT / Path(setting.folder).name, registry, surface)
            reports[setting.folder] = tuple({"concepts": row.concepts, **asdict(row.result)} for row in record.table)
    return [replace(one, report=reports[one.folder]) if one.best else one for one in found]


def _write(plan: TunePlan, found: Sequence[Setting], folder: Path) -> None:
    reported = {"forget": list(plan.report), "protocol": plan.report_protocol or plan.protocol}
    values = {
        "schema": SCHEMA,
        **plan.facts(),
        "trials": plan.trials,
        "reported_on": reported if plan.report else None,
        "settings": [asdict(setting) for setting in found],
    }
    write_text(folder / TUNING_FILE, json.dumps(values, indent=1, allow_nan=False) + "\n")


def _claim(plan: TunePlan, folder: Path) -> None:
    """Make ``folder`` this search's, or check that it is.

    Raises:
        RunError: It holds something else, or another search.
    """
    facts, file = plan.facts(), folder / "search.json"
    refuse_file(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        write_text(file, json.dumps(facts, indent=1) + "\n")
        return
    if not file.is_file():
        raise RunError(f"the folder '{folder}' holds something else", hint="Choose another one with --out.")
    there = json.loads(file.read_text(encoding="utf-8"))
    different = [key for key, value in facts.items() if there.get(key) != value]
    if different:
        raise RunError(
            f"the folder '{folder}' holds another search; what differs: {', '.join(different)}",
            hint="Choose another folder with --out.",
        )


def _folder_of(chosen: Mapping[str, Any]) -> Path:
    """Return where a setting's bench lies: equal settings share their runs."""
    text = json.dumps(dict(chosen), sort_keys=True)
    return Path(_SETTINGS, hashlib.sha256(text.encode()).hexdigest()[:12])


def _said(chosen: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in chosen.items()
    )


def concepts_of(plan: BenchPlan) -> tuple[str, ...]:
    """Return the concepts of a bench as ``kind:name``."""
    return tuple(qualified(concept) for concept in plan.concepts)
