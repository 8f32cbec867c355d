"""Everything about a run that can be decided, and refused, before anything heavy loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vu_core.chains import edits_of, forgotten_by, without
from vu_core.concepts import find_concepts, neighbours_of, qualified
from vu_core.config import validate
from vu_core.datasets import FreeText, dataset_facts, find_dataset, open_dataset
from vu_core.errors import ConfigError, RequestError, UnknownNameError, did_you_mean
from vu_core.evaluation import MetricUse, metric_use, reference_of
from vu_core.interfaces import MODEL, Data, Dataset
from vu_core.judging import RealPictures
from vu_core.models import ModelPlan, plan_model, resource_path
from vu_core.protocols import Protocol, load_protocol, samples_of
from vu_core.published import deviations
from vu_core.retrained import find_retrained
from vu_core.specs import DatasetSpec, MetricSpec, ScorerSpec, UnlearnerSpec
from vu_core.types import Concept, Request, Sample

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
class EvaluationPlan:
    """A measurement, with every name resolved and every option checked.

    Attributes:
        protocol: How it is measured.
        request: What is counted as forgotten.
        dataset: Where the concepts come from.
        neighbours: The concepts most likely to be damaged.
        samples: The pictures the protocol asks for.
        metrics: The metrics with their options.
        scorers: The entries, by role, of the judges that its metrics need.
        components: The entries of metrics and judges.
        reference: The real pictures that metrics compare with; None when none does.
        retrained: Files of the edits of models that never learned what is forgotten.
    """

    protocol: Protocol
    request: Request
    dataset: Dataset
    neighbours: tuple[Concept, ...]
    samples: tuple[Sample, ...]
    metrics: tuple[MetricUse, ...]
    scorers: Mapping[str, Entry[ScorerSpec]]
    components: tuple[Entry[Any], ...]
    reference: RealPictures | None = None
    retrained: tuple[Path, ...] = ()

    def deviations(self, *, model: str, dtype: str) -> list[str]:
        """Return every difference from the procedure that was published with the protocol, a sentence each.

        Args:
            model: Name, hub id or folder of the model that is judged.
            dtype: Floating-point type it computes in.
        """
        return deviations(
            self.protocol,
            model=model,
            dtype=dtype,
            pictures=len(self.samples),
            metrics=[use.spec.name for use in self.metrics],
            scorers={role: entry.spec.name for role, entry in self.scorers.items()},
        )


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
            model=_absolute(spec.model) or model.name,
            after=_absolute(spec.after),
            retrained=tuple(map(_absolute, spec.retrained)),
            dataset=unlearning.dataset.spec.name if unlearning.dataset else "",
            protocol=_absolute(spec.protocol) or (evaluation.protocol.name if evaluation else ""),
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


def for_model(
    plan: EvaluationPlan, model: ModelPlan, data: Mapping[str, Any], retrained: Sequence[str] = ()
) -> EvaluationPlan:
    """Return ``plan`` for one model, with the retrained models that it is held against where it is a classifier.

    Args:
        plan: How it is measured.
        model: The model.
        data: Which pictures the dataset consists of: see `vu_core.datasets.dataset_facts`.
        retrained: Folders of runs of ``retrain``, in addition to what the model's plugin carries.

    Raises:
        ModelError: The model cannot be measured so.
        ConfigError: ``retrained`` is given where nothing is held against retrained models.
        EditError: A folder is not there, or holds a damaged edit.
    """
    model.check_capability("Classifies" if plan.protocol.pictures else "Samples")
    if not plan.protocol.pictures:
        if retrained:
            raise ConfigError(
                f"protocol '{plan.protocol.name}' holds nothing against retrained models", hint="Leave out --retrained."
            )
        return plan
    carried = [resource_path(model.spec.retrained)] if model.spec.retrained else []
    folders = [*carried, *(Path(given).expanduser() for given in retrained)]
    return replace(plan, retrained=find_retrained(folders, plan.request, data))


def plan_evaluation(
    protocol: str,
    request: Request,
    dataset: Dataset | None,
    registry: Registry,
    metrics: Sequence[str] = (),
    scorers: Mapping[str, str] | None = None,
    *,
    download: bool = False,
) -> EvaluationPlan:
    """Return how a model will be measured.

    Args:
        protocol: Name, or path of a TOML file.
        request: What is counted as forgotten; it may forget nothing.
        dataset: Where the protocol's concepts come from.
        registry: The installed components.
        metrics: Names; empty for the protocol's own.
        scorers: Names by role, in place of the protocol's own or for a role that only the metrics ask for.
        download: Whether a published list of prompts may be fetched over the network.

    Raises:
        VuError: Anything in it is unknown, ill-typed, out of range or does not fit together.
    """
    read = load_protocol(protocol, registry)
    if dataset is None and read.dataset and not read.prompts:
        raise ConfigError(
            f"protocol '{read.name}' takes its prompts from a dataset, but none is named",
            hint=f"Pass --dataset {read.dataset}.",
        )
    dataset = dataset or FreeText()
    entries = [_entry("metric", name, read, registry) for name in metrics or read.metrics]
    _check_measures(entries, read)
    judges = _judges(read, scorers or {}, entries, registry)
    neighbours = neighbours_of(request, dataset)
    uses = tuple(metric_use(entry, read.metrics.get(entry.spec.name, {}), request, neighbours) for entry in entries)
    return EvaluationPlan(
        protocol=read,
        request=request,
        dataset=dataset,
        neighbours=neighbours,
        samples=_samples(read, dataset, request, download=download),
        metrics=uses,
        scorers=judges,
        components=(*entries, *judges.values()),
        reference=reference_of(uses, _real(read, dataset, registry, download=download)),
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


def _quick_protocol(spec: RunSpec, model: ModelPlan) -> str:
    if spec.protocol:
        raise ConfigError("--quick chooses the protocol itself, but --protocol was given too", hint="Give one of them.")
    if not model.spec.quick_protocol:
        raise ConfigError(f"model '{model.name}' names no quick protocol", hint="Leave --quick out.")
    return model.spec.quick_protocol


def _samples(protocol: Protocol, dataset: Dataset, request: Request, *, download: bool) -> tuple[Sample, ...]:
    samples = tuple(samples_of(protocol, dataset, request.forget, download=download))
    if protocol.prompts and protocol.prompts.role:
        return samples
    what = "picture" if protocol.pictures else "prompt"
    for concept in request.forget:
        if not any(sample.shows(concept) for sample in samples):
            raise RequestError(
                f"protocol '{protocol.name}' has no {what} that shows '{concept.name}'",
                hint="Nothing would prove it forgotten; choose another protocol.",
            )
    return samples


def _check_measures(metrics: Sequence[Entry[MetricSpec]], protocol: Protocol) -> None:
    """Refuse metrics of drawn pictures where a classifier's answers are measured, and the other way round.

    Raises:
        ConfigError: There is one.
    """
    for entry in metrics:
        if (MODEL in entry.spec.scorers) != bool(protocol.pictures):
            of = "a classifier's answers" if MODEL in entry.spec.scorers else "drawn pictures"
            asks = "asks a classifier about a dataset's pictures" if protocol.pictures else "draws pictures"
            raise ConfigError(
                f"metric '{entry.spec.name}' is of {of}, protocol '{protocol.name}' {asks}",
                hint="Choose another metric or another protocol: 'vu info' shows what each is of.",
            )


def _judges(
    protocol: Protocol, chosen: Mapping[str, str], metrics: Sequence[Entry[MetricSpec]], registry: Registry
) -> dict[str, Entry[ScorerSpec]]:
    """Return who plays the roles that ``metrics`` need or ``chosen`` names; ``chosen`` goes before ``protocol``."""
    roles = ((entry, role) for entry in metrics for role in entry.spec.roles(protocol.kinds))
    needed = {role: entry.spec.name for entry, role in roles if role != MODEL}
    known = list(dict.fromkeys([*protocol.scorers, *needed]))
    for role, name in chosen.items():
        if role not in known:
            hint = f"{did_you_mean(role, known)} Roles: {', '.join(known) or 'none'}.".lstrip()
            raise UnknownNameError(f"no scorer of protocol '{protocol.name}' has the role '{role}'", hint=hint)
        if (plays := registry.get("scorer", name).spec.role) != role:
            raise ConfigError(f"scorer '{name}' judges {plays}, not {role}", hint="See 'vu list scorer'.")
    names = {**protocol.scorers, **chosen}
    for role, metric in needed.items():
        if role not in names:
            raise ConfigError(
                f"metric '{metric}' needs a scorer for {role}, protocol '{protocol.name}' names none",
                hint=f"Name one, as in --scorer {role}=NAME; see 'vu list scorer'.",
            )
    return {
        role: _entry("scorer", name, protocol, registry)
        for role, name in names.items()
        if role in needed or role in chosen
    }


def _real(protocol: Protocol, dataset: Dataset, registry: Registry, *, download: bool) -> Dataset:
    """Return where real pictures come from: with a list of prompts, the protocol's own dataset."""
    if not (protocol.prompts and protocol.dataset):
        return dataset
    return open_dataset(registry.get("dataset", protocol.dataset), download=download)


def _entry(kind: Literal["metric", "scorer"], name: str, protocol: Protocol, registry: Registry) -> Entry[Any]:
    """Return a metric or scorer of a protocol.

    Raises:
        ConfigError: It is one that the protocol says nobody provides yet.
        UnknownNameError: No usable plugin provides it.
    """
    if name in protocol.needs and not registry.find(kind, name):
        raise ConfigError(
            f"protocol '{protocol.name}' needs the {kind} '{name}', which no installed plugin provides",
            hint=f"It takes: {protocol.needs[name]}. Measure what does not need it with --metric, or name another "
            "judge with --scorer.",
        )
    return registry.get(kind, name)


def _absolute(given: str) -> str:
    """Return a path that still holds from another folder; names and hub ids as they are."""
    path = Path(given).expanduser() if given else Path()
    return str(path.absolute()) if given and path.exists() else given
