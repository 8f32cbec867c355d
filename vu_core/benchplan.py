"""Everything about a bench that can be decided, and refused, before anything heavy loads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.concepts import find_concept, qualified
from vu_core.datasets import find_dataset, open_dataset
from vu_core.errors import ConfigError, RequestError
from vu_core.evaluationplan import EvaluationPlan, check_measures, plan_evaluation
from vu_core.models import ModelPlan, plan_model
from vu_core.planning import Plan, plan_run
from vu_core.runspec import RunSpec, run_spec
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    from vu_core.registry import Registry

ALL = "all"

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """One run of a bench: one unlearner forgets one concept.

    Attributes:
        unlearner: As the user named it.
        concept: What is forgotten.
        seed: Of the unlearner's randomness.
        spec: The whole run.
    """

    unlearner: str
    concept: Concept
    seed: int
    spec: RunSpec

    @property
    def folder(self) -> Path:
        """Its folder within the bench's: ``uce/object-cat-seed0``."""
        parts = (self.unlearner, f"{self.concept.kind}-{self.concept.name}-seed{self.seed}")
        return Path(*(_UNSAFE.sub("-", part) for part in parts))


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """A bench with every name resolved and every option checked.

    Attributes:
        model: Which model, and who loads it.
        evaluation: How every run is measured, but for what is counted as forgotten.
        unlearners: As the user named them.
        runs: In the order in which they are carried out.
    """

    model: ModelPlan
    evaluation: EvaluationPlan
    unlearners: tuple[str, ...]
    runs: tuple[BenchRun, ...]

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What is forgotten, each in a run of its own."""
        return tuple(dict.fromkeys(run.concept for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every unlearner."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))


def plan_bench(
    protocol: str,
    unlearners: Sequence[str],
    registry: Registry,
    *,
    forget: Sequence[str] = (ALL,),
    seeds: Sequence[int] = (0,),
    options: Mapping[str, Any] | None = None,
    common: Mapping[str, Any] | None = None,
) -> BenchPlan:
    """Return how a bench will be carried out.

    Args:
        protocol: Name, or path of a TOML file.
        unlearners: Names.
        registry: The installed components.
        forget: Names of concepts, kinds of concepts, or `ALL` that the protocol shows.
        seeds: Each concept is forgotten once for each.
        options: Of the unlearners: ``option`` for all of them, ``unlearner.option`` for one.
        common: Other fields of every run's `RunSpec`: ``model``, ``dataset``, ``metrics``, ``device``, ...

    Raises:
        VuError: Anything in it is unknown, ill-typed, out of range or does not fit together.
    """
    for what, given in (("unlearner", unlearners), ("seed", seeds)):
        if not given or len(set(given)) < len(given):
            raise ConfigError(f"a bench needs at least one {what}, each named once; given were {list(given)}")
    common = {**(common or {}), "protocol": protocol}
    families = registry.get("unlearner", unlearners[0]).spec.families
    model = plan_model(common.get("model", ""), registry, families)
    check_measures(protocol, model, registry)
    entry = find_dataset(common.get("dataset", ""), model, registry)
    download = common.get("download", False)
    dataset = open_dataset(entry, common.get("data", {}), download=download)
    chosen = {"metrics": common.get("metrics", ()), "scorers": common.get("scorers")}
    evaluation = plan_evaluation(protocol, Request(forget=()), dataset, registry, **chosen, download=download)
    concepts = _concepts(forget, evaluation)
    runs = tuple(
        BenchRun(unlearner=name, concept=concept, seed=seed, spec=_spec(name, concept, seed, chosen, common))
        for name, chosen in _options(unlearners, options or {}).items()
        for concept in concepts
        for seed in seeds
    )
    for _ in plans(runs, registry):
        pass
    return BenchPlan(model=model, evaluation=evaluation, unlearners=tuple(unlearners), runs=runs)


def plans(runs: Sequence[BenchRun], registry: Registry) -> Iterator[Plan]:
    """Yield the plan of each run; one at a time, as each holds every sample of the protocol.

    Raises:
        VuError: A run cannot be carried out as asked.
    """
    return (plan_run(run.spec, registry) for run in runs)


def _spec(
    unlearner: str, concept: Concept, seed: int, options: Mapping[str, Any], common: Mapping[str, Any]
) -> RunSpec:
    asked = {"unlearner": unlearner, "forget": [qualified(concept)], "seed": seed, "options": dict(options)}
    return run_spec({**common, **asked}, origin="the bench")


def _options(unlearners: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each unlearner's options; those of one alone win over those of all."""
    chosen: dict[str, dict[str, Any]] = {
        name: {key: value for key, value in options.items() if "." not in key} for name in unlearners
    }
    for key, value in options.items():
        name, dot, option = key.rpartition(".")
        if dot and name not in chosen:
            raise ConfigError(f"the option '{key}' is for '{name}', which is not in this bench")
        if dot:
            chosen[name][option] = value
    return chosen


def _concepts(forget: Sequence[str], plan: EvaluationPlan) -> tuple[Concept, ...]:
    asked = dict.fromkeys((kind, name) for sample in plan.samples for kind, name in sample.attributes.items())
    known = plan.dataset.concepts() or [Concept(name=name, kind=kind) for kind, name in asked]
    shown = [concept for concept in known if (concept.kind, concept.name) in asked]
    kinds = {concept.kind for concept in shown}
    found: list[Concept] = []
    for text in forget:
        if text == ALL or text in kinds:
            found += [concept for concept in shown if text in (ALL, concept.kind)]
            continue
        concept = find_concept(text, plan.dataset)
        if concept not in shown:
            raise RequestError(f"protocol '{plan.protocol.name}' has no prompt that shows '{text}'")
        found.append(concept)
    if not found:
        raise RequestError("nothing to forget was given", hint=f"As in --forget all, or one of: {', '.join(kinds)}.")
    return tuple(dict.fromkeys(found))
