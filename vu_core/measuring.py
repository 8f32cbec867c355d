"""Measuring a model as it is, or before and after edits: draw, judge, compute, record.

A run measures what it made through here, and so do ``vu eval`` and ``vu_core.evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vu_core.chains import forgotten_by, request_of
from vu_core.concepts import find_concepts, qualified
from vu_core.context import RunContext
from vu_core.costs import retraining_times
from vu_core.datasets import dataset_facts, find_dataset, open_dataset
from vu_core.errors import ConfigError, RunError
from vu_core.evaluation import AFTER, BEFORE
from vu_core.evaluationplan import check_measures, for_model, plan_evaluation
from vu_core.evidence import Evidence, Others, add_up, names_of
from vu_core.evidence_answered import AnsweredEvidence
from vu_core.evidence_drawn import DrawnEvidence, Judges
from vu_core.files import refuse_file
from vu_core.models import plan_of
from vu_core.records import RECORD_FILE, Record, environment
from vu_core.runspec import RUN_FILE
from vu_core.stages import Stages, Surface
from vu_core.types import Concept, Request
from vu_core.verdicts import VERDICTS_FILE, Verdicts

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.interfaces import Dataset, Model
    from vu_core.models import ModelPlan
    from vu_core.registry import Registry


def plan_measuring(
    chosen: ModelPlan,
    edits: Sequence[Edit],
    registry: Registry,
    *,
    protocol: str = "",
    forget: Iterable[str | Concept] = (),
    dataset: str = "",
    data: Mapping[str, Any] = MappingProxyType({}),
    metrics: Sequence[str] = (),
    scorers: Mapping[str, str] | None = None,
    retrained: Sequence[str] = (),
    download: bool = False,
) -> EvaluationPlan:
    """Return how a model will be measured, before and after ``edits`` or as it is.

    Args:
        chosen: The model.
        edits: In effect after; empty to measure the model as it is.
        registry: The installed components.
        protocol: Name, or path of a TOML file; empty for the model's own.
        forget: What is counted as forgotten; empty for what the edits say they were asked to forget.
        dataset: Where the protocol's concepts come from; empty for the model's own.
        data: The dataset's options by name.
        metrics: Names; empty for the protocol's own.
        scorers: Names by role, in place of the protocol's own.
        retrained: Folders of runs of ``retrain`` that a classifier is held against.
        download: Whether data and lists of prompts may be fetched over the network.

    Raises:
        VuError: Something is unknown or does not fit together.
    """
    protocol = protocol or chosen.spec.protocol
    if not protocol:
        hint = "Name one with --protocol."
        if chosen.named is None and chosen.source and not Path(chosen.source).exists():
            hint = f"{hint} No run, edit or model of that name is here, so it was read as a model on a hub."
        raise ConfigError(f"model '{chosen.name}' names no protocol, and none was given", hint=hint)
    check_measures(protocol, chosen, registry)
    entry = find_dataset(dataset, chosen, registry)
    source = open_dataset(entry, data, download=download)
    request = _request(tuple(forget), edits, source)
    plan = plan_evaluation(protocol, request, source, registry, metrics, scorers, download=download)
    return for_model(plan, chosen, dataset_facts(entry, data), retrained)


def check_folder(folder: Path) -> None:
    """Refuse to measure into a folder that holds anything but an earlier measurement.

    Raises:
        RunError: It does, or it is a file.
    """
    refuse_file(folder)
    measured = (folder / RECORD_FILE).is_file() and not (folder / RUN_FILE).is_file()
    if folder.is_dir() and any(folder.iterdir()) and not measured:
        raise RunError(f"the folder '{folder}' holds something else", hint="Choose another one with --out.")


def measure_model(
    plan: EvaluationPlan,
    model: Model,
    edits: Sequence[Edit],
    folder: Path,
    registry: Registry,
    surface: Surface | None = None,
    *,
    kept: bool = True,
) -> Record:
    """Measure ``model`` before and after ``edits``, or as it is when there are none, and return the record.

    ``folder`` gets pictures, verdicts and ``record.json``.

    Args:
        plan: What is drawn, who judges it, what is computed.
        model: Offers `Samples`.
        edits: In effect together after; their order is recorded.
        folder: Where everything is written.
        registry: The installed components; their observers are told.
        surface: Shows how far it is.
        kept: Whether the folder stays: then it gets a contact sheet, and observers are told.

    Raises:
        VuError: The model, an edit or the disk failed; the record says where.
        KeyboardInterrupt: The user stopped it; pictures drawn so far are in the cache.
    """
    surface = surface or Surface()
    record = _first_record(plan, model, folder)
    stages = Stages(record=record, device=model.device, surface=surface)
    ctx = RunContext(
        out_dir=folder,
        device=model.device,
        dtype=model.dtype,
        warnings=record.warnings,
        track=surface.track,
    )
    evidence = evidence_of(plan, model, ctx)
    with record.kept():
        measure(evidence, edits, stages, Judges(model.device))
        if kept:
            with stages.stage("report"):
                evidence.sheet(compared=bool(edits))
    if kept:
        with record.told():
            record.warnings += registry.plugins.notify("vu_measurement_finished", record=record)
    return record


def evidence_of(plan: EvaluationPlan, model: Model, ctx: RunContext) -> Evidence:
    """Return what ``plan`` measures of ``model``: pictures that it draws, or its answers to a dataset's."""
    kind = AnsweredEvidence if plan.protocol.pictures else DrawnEvidence
    return kind(plan=plan, model=model, folder=ctx.out_dir, ctx=ctx)


def measure(
    evidence: Evidence,
    edits: Sequence[Edit],
    stages: Stages,
    judges: Judges,
    earlier: Sequence[Edit] = (),
) -> None:
    """Obtain ``evidence`` before and after ``edits`` and put all that is measured into the record.

    Without edits the model is measured alone, as ``before``. What is ``earlier`` is in effect before and after.
    """
    record, model = stages.record, evidence.model
    record.applied = [_facts(edit) for edit in (*earlier, *edits)]
    with stages.stage(f"{evidence.stage} before") as detail:
        detail.update(evidence.obtain(BEFORE, earlier))
    if edits:
        with stages.stage(f"{evidence.stage} after") as detail:
            detail.update(evidence.obtain(AFTER, (*earlier, *edits)))
    others = {kind: found for kind, found in evidence.others((*earlier, *edits)).items() if found}
    for kind, found in others.items():
        with stages.stage(f"{evidence.stage} {kind}") as detail:
            detail.update(evidence.obtain_others(kind, found))
    retrained = others.get("retrained", ())
    if evidence.examiners:
        _examine(evidence, stages, earlier, edits, retrained)
    record.retrained = _retrained(retrained, evidence.plan, record)
    record.model = {**record.model, "fingerprint": model.fingerprint(), "revision": getattr(model, "revision", None)}
    with stages.stage("evaluate"):
        counts = {kind: len(found) for kind, found in others.items()}
        _evaluate(evidence, record, judges, compared=bool(edits), others=counts)
    evidence.cache.trim()


def _retrained(edits: Sequence[Edit], plan: EvaluationPlan, record: Record) -> list[Mapping[str, Any]]:
    """Return the facts of retrained models, with how long they were trained where that is known."""
    times = retraining_times(plan.retrained, record.environment)
    return [{**(facts := _facts(edit)), "seconds": times.get(facts["sha256"])} for edit in edits]


def _examine(
    evidence: Evidence, stages: Stages, earlier: Sequence[Edit], edits: Sequence[Edit], retrained: Sequence[Edit]
) -> None:
    """Let metrics examine the model before and after ``edits``, and every retrained one."""
    models: dict[str, dict[str, Sequence[Edit]]] = {BEFORE: {BEFORE: earlier}}
    if edits:
        models[AFTER] = {AFTER: (*earlier, *edits)}
    if retrained:
        names = names_of("retrained", len(retrained))
        models["retrained"] = {name: (edit,) for name, edit in zip(names, retrained, strict=True)}
    for what, made in models.items():
        with stages.stage(f"examine {what}") as detail:
            add_up(detail, (evidence.examine(name, own, earlier) for name, own in made.items()))


def _evaluate(
    evidence: Evidence, record: Record, judges: Judges, *, compared: bool, others: Mapping[Others, int]
) -> None:
    scorers = judges.of(evidence.plan)
    record.scorers = {role: {"name": scorer.name, "version": scorer.version} for role, scorer in scorers.items()}
    verdicts = Verdicts()
    results, errors = evidence.measure(scorers, compared=compared, others=others, watch=verdicts.watch)
    verdicts.write(record.folder / VERDICTS_FILE)
    record.results[:] = results
    record.errors += errors


def _first_record(plan: EvaluationPlan, model: Model, folder: Path) -> Record:
    chosen = plan_of(model)
    entries = [entry for entry in (chosen.loader, chosen.named, *plan.components) if entry is not None]
    return Record(
        folder=folder,
        request={
            "forget": [concept.name for concept in plan.request.forget],
            "neighbours": [concept.name for concept in plan.neighbours],
        },
        model={"name": chosen.name, "fingerprint": None},
        protocol=plan.protocol.facts(),
        environment=environment(
            device=model.device,
            dtype=model.dtype,
            plugins={entry.plugin: entry.version for entry in entries},
        ),
        warnings=plan.deviations(model=chosen.name, dtype=model.dtype),
    )


def _request(forget: tuple[str | Concept, ...], edits: Sequence[Edit], dataset: Dataset | None) -> Request:
    if forget:
        known = {qualified(concept): concept for concept in forget if isinstance(concept, Concept)}
        names = [qualified(concept) if isinstance(concept, Concept) else concept for concept in forget]
        return Request(forget=find_concepts(names, dataset, known))
    if len(edits) == 1:
        return request_of(edits[0])
    # What replaces a concept is left out: one edit's replacement may be what another forgets.
    return Request(forget=forgotten_by(tuple(edits)))


def _facts(edit: Edit) -> dict[str, Any]:
    forget = [concept.name for concept in request_of(edit).forget] if "request" in edit.info else []
    return {
        "sha256": edit.sha256(),
        "kind": edit.kind,
        "scale": edit.scale,
        "unlearner": edit.unlearner,
        "forget": forget,
    }
