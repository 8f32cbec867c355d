"""Everything about a run that can be decided, and refused, before anything heavy loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.config import validate
from vu_core.errors import ConfigError, RequestError, UnknownNameError, did_you_mean
from vu_core.evaluation import MetricUse, metric_use
from vu_core.interfaces import Data, Dataset
from vu_core.models import ModelPlan, plan_model
from vu_core.protocols import Protocol, load_protocol, samples_of
from vu_core.specs import DatasetSpec, MetricSpec, ScorerSpec, UnlearnerSpec
from vu_core.types import Concept, Request, Sample

if TYPE_CHECKING:
    from vu_core.registry import Entry, Registry
    from vu_core.runspec import Device, RunSpec

NEIGHBOURS_EACH = 3
NO_PRESET = "none"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run with every name resolved and every option checked.

    Attributes:
        spec: What was asked, with all defaults filled in: the content of ``run.toml``.
        unlearner: The unlearner's entry.
        config: Its validated options.
        model: Which model, and who loads it.
        request: The concepts.
        data: What the unlearner may use.
        neighbours: The concepts most likely to be damaged.
        protocol: How the run is measured; None when it only makes an edit.
        samples: The pictures the protocol asks for.
        metrics: The metrics with their options.
        scorers: The judges' entries by role.
        components: Every entry that takes part, for the record.
        warnings: What the user should know before it starts.
    """

    spec: RunSpec
    unlearner: Entry[UnlearnerSpec]
    config: Any
    model: ModelPlan
    request: Request
    data: Data
    neighbours: tuple[Concept, ...]
    protocol: Protocol | None
    samples: tuple[Sample, ...]
    metrics: tuple[MetricUse, ...]
    scorers: Mapping[str, Entry[ScorerSpec]]
    components: tuple[Entry[Any], ...]
    warnings: tuple[str, ...]


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
    model = plan_model(spec.model, registry)
    model.check_offers(unlearner.spec)
    preset, options = _options(spec, unlearner, model)
    config = _config(unlearner, options)
    dataset_entry = _dataset(spec, model, registry)
    dataset = dataset_entry.load()() if dataset_entry else None
    request = _request(spec, dataset)
    data = dataset.split(request) if dataset else Data(forget=request.forget, retain=request.retain)
    neighbours = _neighbours(request, dataset)
    protocol = _protocol(spec, model, registry, quick=quick)
    metrics = _metric_entries(spec, protocol, registry)
    scorers = _scorers(protocol, registry)
    return Plan(
        spec=replace(
            spec,
            unlearner=f"{unlearner.plugin}:{unlearner.spec.name}" if ":" in spec.unlearner else unlearner.spec.name,
            model=_absolute(spec.model) or model.name,
            dataset=dataset_entry.spec.name if dataset_entry else "",
            protocol=_absolute(spec.protocol) or (protocol.name if protocol else ""),
            preset=preset,
            options=asdict(config) if config is not None else {},
            device=resolve_device(spec.device),
        ),
        unlearner=unlearner,
        config=config,
        model=model,
        request=request,
        data=data,
        neighbours=neighbours,
        protocol=protocol,
        samples=_samples(protocol, dataset, request),
        metrics=tuple(
            metric_use(entry, protocol.metrics.get(entry.spec.name, {}) if protocol else {}, request, neighbours)
            for entry in metrics
        ),
        scorers=scorers,
        components=tuple(
            entry
            for entry in (unlearner, model.loader, model.named, dataset_entry, *metrics, *scorers.values())
            if entry is not None
        ),
        warnings=() if protocol else ("nothing is measured: neither --protocol nor the model names a protocol",),
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
        return validate(cls, options)
    if options:
        raise ConfigError(f"{unlearner.spec.name} has no options, but {', '.join(options)} was given")
    return None


def _dataset(spec: RunSpec, model: ModelPlan, registry: Registry) -> Entry[DatasetSpec] | None:
    name = spec.dataset or model.spec.dataset
    return registry.get("dataset", name) if name else None


def _request(spec: RunSpec, dataset: Dataset | None) -> Request:
    def concepts(names: Sequence[str]) -> tuple[Concept, ...]:
        return tuple(find_concept(name, dataset) for name in names)

    return Request(forget=concepts(spec.forget), retain=concepts(spec.retain), replace_with=concepts(spec.replace_with))


def find_concept(text: str, dataset: Dataset | None) -> Concept:
    """Return the concept that ``text``, ``name`` or ``kind:name``, means.

    Without a dataset any text is a concept, of kind ``object`` unless it says otherwise.

    Raises:
        RequestError: The dataset does not have it, or has it in several kinds.
    """
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = "", text
    kind, name = kind.strip(), name.strip()
    if dataset is None:
        return Concept(name=name, kind=kind or "object")
    known = dataset.concepts()
    found = [concept for concept in known if concept.name == name and kind in ("", concept.kind)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(f"'{name}' is ambiguous", hint=f"Write {' or '.join(f'{c.kind}:{c.name}' for c in found)}.")
    by_kind: dict[str, list[str]] = {}
    for concept in known:
        by_kind.setdefault(concept.kind, []).append(concept.name)
    listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())
    suggestion = did_you_mean(name, [concept.name for concept in known])
    raise RequestError(
        f"the dataset has no concept '{text}'. {suggestion}".strip(),
        hint=f"It has {listed}.",
    )


def _neighbours(request: Request, dataset: Dataset | None) -> tuple[Concept, ...]:
    if dataset is None:
        return ()
    nearest: dict[str, Concept] = {}
    for concept in request.forget:
        others = [other for other in dataset.neighbours(concept) if other not in request.forget]
        nearest.update((other.name, other) for other in others[:NEIGHBOURS_EACH])
    return tuple(nearest.values())


def _protocol(spec: RunSpec, model: ModelPlan, registry: Registry, *, quick: bool) -> Protocol | None:
    chosen = spec.protocol
    if quick and chosen:
        raise ConfigError("--quick chooses the protocol itself, but --protocol was given too", hint="Give one of them.")
    if quick and not model.spec.quick_protocol:
        raise ConfigError(f"model '{model.name}' names no quick protocol", hint="Leave --quick out.")
    chosen = chosen or (model.spec.quick_protocol if quick else model.spec.protocol)
    return load_protocol(chosen, registry) if chosen else None


def _samples(protocol: Protocol | None, dataset: Dataset | None, request: Request) -> tuple[Sample, ...]:
    if protocol is None:
        return ()
    if dataset is None:
        raise ConfigError(
            f"protocol '{protocol.name}' takes its prompts from a dataset, but none is named",
            hint=f"Pass --dataset {protocol.dataset}.",
        )
    samples = tuple(samples_of(protocol, dataset))
    for concept in request.forget:
        if not any(sample.shows(concept) for sample in samples):
            raise RequestError(
                f"protocol '{protocol.name}' has no prompt that shows '{concept.name}'",
                hint="Nothing would prove it forgotten; choose another protocol.",
            )
    return samples


def _metric_entries(spec: RunSpec, protocol: Protocol | None, registry: Registry) -> tuple[Entry[MetricSpec], ...]:
    if protocol is None:
        if spec.metrics:
            raise ConfigError("--metric needs a protocol that says which pictures to measure", hint="Pass --protocol.")
        return ()
    entries = tuple(registry.get("metric", name) for name in spec.metrics or protocol.metrics)
    for entry in entries:
        lacking = [role for role in entry.spec.roles(protocol.kinds) if role not in protocol.scorers]
        if lacking:
            raise ConfigError(
                f"metric '{entry.spec.name}' needs a scorer for {', '.join(lacking)}, "
                f"protocol '{protocol.name}' names none"
            )
    return entries


def _scorers(protocol: Protocol | None, registry: Registry) -> dict[str, Entry[ScorerSpec]]:
    if protocol is None:
        return {}
    return {role: registry.get("scorer", name) for role, name in protocol.scorers.items()}


def _absolute(given: str) -> str:
    """Return a path that still holds from another folder; names and hub ids as they are."""
    path = Path(given).expanduser() if given else Path()
    return str(path.absolute()) if given and path.exists() else given
