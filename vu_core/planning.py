"""Everything about a run that can be decided, and refused, before anything heavy loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.chains import edits_of, forgotten_by, without
from vu_core.concepts import find_concepts, qualified
from vu_core.config import validate
from vu_core.datasets import dataset_facts, find_dataset, open_dataset
from vu_core.errors import ConfigError, RequestError, UnknownNameError, did_you_mean
from vu_core.evaluationplan import EvaluationPlan, check_measures, for_model, plan_evaluation
from vu_core.interfaces import Data
from vu_core.models import ModelPlan, plan_model
from vu_core.specs import DatasetSpec, UnlearnerSpec
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.registry import Entry, Registry
    from vu_core.runspec import Device, RunSpec

NO_PRESET = "none"
UNMEASURED = "nothing is measured: neither --protocol nor the model names a protocol"


@dataclass(frozen=True, kw_only=True)
class UnlearnPlan:
    """An unlearner's work, with every name resolved and every option checked.

    Attributes:
        unlearner: The unlearner's entry.
        preset: Name of the preset in use, or ``"none"``.
        config: Its validated options; None when it has none.
        seed: Seed of all its randomness.
        request: The concepts.
        data: What the unlearner may use.
        dataset: The entry of the dataset they come from; None for free texts.
        earlier: The edits that are in the model already, in the order they were made.
        facts: Which pictures the dataset consists of: see `vu_core.datasets.dataset_facts`.
    """

    unlearner: Entry[UnlearnerSpec]
    preset: str
    config: Any
    seed: int
    request: Request
    data: Data
    dataset: Entry[DatasetSpec] | None
    earlier: tuple[Edit, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The options by name, defaults filled in."""
        return asdict(self.config) if self.config is not None else {}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run with every name resolved and every option checked.

    Attributes:
        spec: What was asked, with all defaults filled in: the content of ``run.toml``.
        model: Which model, and who loads it.
        unlearning: How the edit is made.
        evaluation: How it is measured; None when the run only makes an edit.
        warnings: What the user should know before it starts.
    """

    spec: RunSpec
    model: ModelPlan
    unlearning: UnlearnPlan
    evaluation: EvaluationPlan | None
    warnings: tuple[str, ...]

    @property
    def components(self) -> list[Entry[Any]]:
        """Every entry that takes part, for the record."""
        measured = self.evaluation.components if self.evaluation else ()
        entries = (self.unlearning.unlearner, self.model.loader, self.model.named, self.unlearning.dataset, *measured)
        return [entry for entry in entries if entry is not None]


def plan_run(spec: RunSpec, registry: Registry, *, quick: bool = False) -> Plan:
    """Return how ``spec`` will be carried out.

    Args:
        spec: What is asked.
        registry: The installed components.
        quick: Use the model's quick protocol when the spec names none.

    Raises:
        VuError: Anything in it is unknown, ill-typed, out of range or does not fit together.
    """
    unlearner = registry.get("unlearner", spec.unlearner)
    model = plan_model(spec.model, registry, unlearner.spec.families)
    unlearning = plan_unlearning(spec, model, registry, earlier=edits_of(spec.after) if spec.after else ())
    protocol = spec.protocol or model.spec.protocol
    if quick:
        protocol = _quick_protocol(spec, model)
    if (spec.metrics or spec.scorers) and not protocol:
        option = "--metric" if spec.metrics else "--scorer"
        raise ConfigError(f"{option} needs a protocol that says which pictures to measure", hint="Pass --protocol.")
    evaluation = None
    if protocol:
        check_measures(protocol, model, registry)
        request, data = unlearning.request, unlearning.data.dataset
        if unlearning.data.gone:
            # What replaces a concept is left out: it may be what was forgotten earlier.
            request = Request(forget=(*request.forget, *unlearning.data.gone))
        evaluation = plan_evaluation(
            protocol, request, data, registry, spec.metrics, spec.scorers, download=spec.download
        )
        evaluation = for_model(evaluation, model, unlearning.facts, spec.retrained)
    return Plan(
        spec=replace(
            spec,
            unlearner=f"{unlearner.plugin}:{unlearner.spec.name}" if ":" in spec.unlearner else unlearner.spec.name,
            model=_absolute(spec.model, Path.is_dir) or model.name,
            after=_absolute(spec.after),
            retrained=tuple(map(_absolute, spec.retrained)),
            dataset=unlearning.dataset.spec.name if unlearning.dataset else "",
            protocol=_absolute(spec.protocol, Path.is_file) or (evaluation.protocol.name if evaluation else ""),
            preset=unlearning.preset,
            options=unlearning.options,
            device=resolve_device(spec.device),
        ),
        model=model,
        unlearning=unlearning,
        evaluation=evaluation,
        warnings=tuple(evaluation.deviations(model=model.name, dtype=spec.dtype)) if evaluation else (UNMEASURED,),
    )


def plan_unlearning(
    spec: RunSpec,
    model: ModelPlan,
    registry: Registry,
    concepts: Iterable[Concept] = (),
    earlier: tuple[Edit, ...] = (),
) -> UnlearnPlan:
    """Return how the edit that ``spec`` asks for will be made.

    Args:
        spec: What is asked; its model, protocol, metrics and earlier run are not looked at.
        model: The model that unlearns.
        registry: The installed components.
        concepts: What is meant where ``spec`` says ``kind:name``; other names are looked up in the dataset.
        earlier: The edits that are in the model already, in the order they were made.

    Raises:
        VuError: Anything in it is unknown, ill-typed, out of range or does not fit together.
    """
    unlearner = registry.get("unlearner", spec.unlearner)
    model.check_offers(unlearner.spec)
    if not spec.forget:
        raise RequestError("nothing to forget was given", hint="Name at least one concept: --forget cat")
    preset, options = _options(spec, unlearner, model)
    config = _config(unlearner, options)
    entry = find_dataset(spec.dataset, model, registry)
    dataset = open_dataset(entry, spec.data, download=spec.download)
    known = {qualified(concept): concept for concept in concepts}
    request = Request(
        forget=find_concepts(spec.forget, dataset, known),
        retain=find_concepts(spec.retain, dataset, known),
        replace_with=find_concepts(spec.replace_with, dataset, known),
    )
    data = dataset.split(request) if dataset else Data(forget=request.forget, retain=request.retain)
    gone = forgotten_by(earlier)
    return UnlearnPlan(
        unlearner=unlearner,
        preset=preset,
        config=config,
        seed=spec.seed,
        request=request,
        data=without(data, gone) if gone else data,
        dataset=entry,
        earlier=earlier,
        facts=dataset_facts(entry, spec.data),
    )


def resolve_device(name: str) -> Device:
    """Return the device that ``name`` means: ``"auto"`` is the accelerator where there is one.

    Raises:
        ConfigError: The device is not there.
    """
    import torch

    there: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, available in there.items() if available)
    if name not in there or not there[name]:
        usable = ", ".join(device for device, available in there.items() if available)
        raise ConfigError(f"device '{name}' is not there", hint=f"This machine has: {usable}. Pass --device auto.")
    return name


def _options(spec: RunSpec, unlearner: Entry[UnlearnerSpec], model: ModelPlan) -> tuple[str, dict[str, Any]]:
    presets = model.spec.presets.get(unlearner.spec.name, {})
    name = spec.preset or ("default" if "default" in presets else NO_PRESET)
    if name == NO_PRESET:
        return name, dict(spec.options)
    if name not in presets:
        known = [*presets, NO_PRESET]
        raise UnknownNameError(
            f"model '{model.name}' has no preset '{name}' for {unlearner.spec.name}",
            hint=f"{did_you_mean(name, known)} It has: {', '.join(known)}.".strip(),
        )
    return name, {**presets[name], **spec.options}


def _config(unlearner: Entry[UnlearnerSpec], options: Mapping[str, Any]) -> Any:
    cls = unlearner.config_class()
    if cls is not None:
        return validate(cls, options, where=f"unlearner '{unlearner.spec.name}'")
    if options:
        raise ConfigError(f"{unlearner.spec.name} has no options, but {', '.join(options)} was given")
    return None


def _quick_protocol(spec: RunSpec, model: ModelPlan) -> str:
    if spec.protocol:
        raise ConfigError("--quick chooses the protocol itself, but --protocol was given too", hint="Give one of them.")
    if not model.spec.quick_protocol:
        raise ConfigError(f"model '{model.name}' names no quick protocol", hint="Leave --quick out.")
    return model.spec.quick_protocol


def _absolute(given: str, is_meant: Callable[[Path], bool] = Path.exists) -> str:
    """Return a path that still holds from another folder; what ``is_meant`` refuses, a name or hub id, as it is."""
    path = Path(given).expanduser() if given else Path()
    return str(path.absolute()) if given and is_meant(path) else given
