"""How a model is measured: everything that can be decided, and refused, before anything heavy loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vu_core.concepts import neighbours_of
from vu_core.datasets import FreeText, open_dataset
from vu_core.errors import ConfigError, RequestError, UnknownNameError, did_you_mean
from vu_core.evaluation import reference_of
from vu_core.interfaces import MODEL, Dataset
from vu_core.judging import RealPictures
from vu_core.meters import MetricUse, metric_use
from vu_core.models import ModelPlan, resource_path
from vu_core.protocols import Protocol, load_protocol, samples_of
from vu_core.published import deviations
from vu_core.retrained import find_others
from vu_core.specs import MetricSpec, ScorerSpec
from vu_core.types import Concept, Request, Sample

if TYPE_CHECKING:
    from vu_core.registry import Entry, Registry


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
        unlearned: Files of the edits of models that learned and forgot it.
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
    unlearned: tuple[Path, ...] = ()

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
    uses = tuple(
        metric_use(entry, read.metrics.get(entry.spec.name, {}), request, neighbours, read.min_samples)
        for entry in entries
    )
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


def check_measures(protocol: str, model: ModelPlan, registry: Registry) -> None:
    """Refuse a protocol of another kind of model.

    Raises:
        ModelError: ``model`` does not draw pictures, or does not classify them, as ``protocol`` asks.
        VuError: No plugin provides the protocol, or its file is missing or invalid.
    """
    model.check_capability("Classifies" if load_protocol(protocol, registry).pictures else "Samples")


def for_model(
    plan: EvaluationPlan, model: ModelPlan, data: Mapping[str, Any], retrained: Sequence[str] = ()
) -> EvaluationPlan:
    """Return ``plan`` for one model, with the retrained models that it is held against where it is a classifier.

    Args:
        plan: How it is measured.
        model: The model.
        data: Which pictures the dataset consists of: see `vu_core.datasets.dataset_facts`.
        retrained: Folders of runs of ``retrain``, in addition to what the model's plugin carries. Other runs there that
            forgot the same are what metrics of many such models are given.

    Raises:
        ConfigError: ``retrained`` is given where nothing is held against retrained models.
        EditError: A folder is not there, or holds a damaged edit.
    """
    if not plan.protocol.pictures:
        if retrained:
            raise ConfigError(
                f"protocol '{plan.protocol.name}' holds nothing against retrained models", hint="Leave out --retrained."
            )
        return plan
    carried = [resource_path(model.spec.retrained)] if model.spec.retrained else []
    found = find_others([*carried, *(Path(folder).expanduser() for folder in retrained)], plan.request, data)
    return replace(plan, retrained=found.retrained, unlearned=found.unlearned)


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
