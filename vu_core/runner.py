"""The order of one run: unlearn, sample before, sample after, evaluate, report.

Each stage is skipped when its output is already in the run's folder, so a run that was interrupted
continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.context import RunContext
from vu_core.costs import UNLEARN
from vu_core.editfiles import EDIT_FILE, LORA_FILE, read_edit, write_edit
from vu_core.edits import Edit
from vu_core.errors import RunError
from vu_core.events import append_event
from vu_core.evidence_drawn import Judges
from vu_core.files import refuse_file, write_bytes
from vu_core.measuring import evidence_of, measure
from vu_core.planning import Plan
from vu_core.records import RECORD_FILE, Record, Stage, environment, read_record
from vu_core.report import write_card
from vu_core.runspec import RUN_FILE, read_run_file, write_run_file
from vu_core.stages import Stages, Surface
from vu_core.tracking import Tracking
from vu_core.unlearning import make_edit

if TYPE_CHECKING:
    from vu_core.interfaces import Model
    from vu_core.registry import Registry


def open_folder(folder: Path, plan: Plan, *, resume: bool) -> None:
    """Make ``folder`` the run's folder, or check that it may be continued.

    Raises:
        RunError: It holds something else, another run, or the same run without ``resume``.
    """
    run_file = folder / RUN_FILE
    refuse_file(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        write_run_file(plan.spec, run_file)
        return
    if not run_file.is_file():
        raise RunError(f"the folder '{folder}' is not empty and holds no run", hint="Choose another one with --out.")
    if not resume:
        raise RunError(
            f"the folder '{folder}' already holds a run",
            hint="Continue it with --resume, or choose another folder with --out.",
        )
    there, asked = asdict(read_run_file(run_file)), _through_toml(plan)
    different = [key for key, value in asked.items() if there[key] != value]
    if different:
        raise RunError(
            f"the folder '{folder}' holds another run; what differs: {', '.join(different)}",
            hint=f"'vu run --resume --out {folder}' continues it as it was; --out with another folder starts anew.",
        )


def finished_record(folder: Path, plan: Plan) -> Record | None:
    """Return the record of ``plan``'s run if ``folder`` holds it and it is finished, else None.

    Raises:
        RunError: The folder holds something else, or another run.
    """
    open_folder(folder, plan, resume=True)
    if not (folder / RECORD_FILE).is_file():
        return None
    record = read_record(folder)
    facts = plan.evaluation.protocol.facts() if plan.evaluation else None
    return record if record.status == "finished" and record.protocol == facts else None


def run(
    plan: Plan,
    model: Model,
    folder: Path,
    registry: Registry,
    surface: Surface | None = None,
    judges: Judges | None = None,
) -> Record:
    """Carry ``plan`` through on ``model`` in ``folder`` (see `open_folder`) and return its record.

    The record is on disk from the start and after every stage, whatever happens.

    Args:
        plan: What is done.
        model: Unlearns and draws.
        folder: The run's folder.
        registry: The installed components; their observers are told.
        surface: Shows how far it is, and holds the trackers that write the run down.
        judges: Those that other runs have loaded already; None loads them for this run alone.

    Raises:
        VuError: A component or its input failed; the record says where.
        KeyboardInterrupt: The user stopped it; the folder can be continued.
    """
    job = _Run(plan, model, folder, surface or Surface(), judges or Judges(plan.spec.device))
    record, notify = job.record, registry.plugins.notify
    try:
        with record.kept():
            record.warnings += notify("vu_run_started", record=record)
            job.tracking.start()
            job.all_stages()
    except BaseException as error:
        with record.told():
            job.tracking.finish()
            record.warnings += notify("vu_run_failed", record=record, error=error)
        raise
    with record.told():
        job.tracking.finish()
        record.warnings += notify("vu_run_finished", record=record)
    return record


class _Run:
    """One run in progress: its inputs, its record, and the stages in their order."""

    def __init__(self, plan: Plan, model: Model, folder: Path, surface: Surface, judges: Judges) -> None:
        self.plan, self.model, self.folder, self.judges = plan, model, folder, judges
        self.record = _first_record(plan, folder)
        self.record.model["revision"] = getattr(model, "revision", None)
        self.stages = Stages(record=self.record, device=plan.spec.device, surface=surface)
        self.tracking = Tracking(surface.trackers, self.record)
        self.ctx = RunContext(
            out_dir=folder,
            device=plan.spec.device,
            dtype=plan.spec.dtype,
            seed=plan.spec.seed,
            log=self._log,
            warnings=self.record.warnings,
            track=surface.track,
        )

    def all_stages(self) -> None:
        with self.stages.stage(UNLEARN) as detail:
            edit = self._unlearn(detail)
        if self.plan.evaluation is None:
            return
        evidence = evidence_of(self.plan.evaluation, self.model, self.ctx)
        measure(evidence, (edit,), self.stages, self.judges, self.plan.unlearning.earlier)
        with self.stages.stage("report"):
            evidence.sheet(compared=True)
            write_card(self.folder, self.plan, self.record)

    def _unlearn(self, detail: dict[str, Any]) -> Edit:
        path = self.folder / EDIT_FILE
        if path.is_file():
            detail["skipped"] = True
            edit = read_edit(path)
        else:
            edit = make_edit(self.plan.unlearning, self.model, self.ctx)
            write_edit(edit, path)
        lora = self.folder / LORA_FILE
        # Plain diffusers would put it on the base model, which is not what it was made of.
        if edit.kind == "lora" and edit.tensors and not edit.after and not lora.is_file():
            write_bytes(lora, path.read_bytes())
        self.record.edit = {
            "kind": edit.kind,
            "sha256": edit.sha256(),
            "bytes": edit.bytes(),
            "rank": edit.rank(),
            "read": dict(edit.base),
            "info": dict(edit.info),
        }
        return edit

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        append_event(self.folder, step, values)
        self.tracking.log(step, values)


def _first_record(plan: Plan, folder: Path) -> Record:
    unlearning, evaluation = plan.unlearning, plan.evaluation
    unlearner, request = unlearning.unlearner, unlearning.request
    return Record(
        folder=folder,
        resumed=_earlier_stages(folder),
        request={
            "forget": [concept.name for concept in request.forget],
            "retain": [concept.name for concept in unlearning.data.retain],
            "replace_with": [concept.name for concept in request.replace_with],
            "neighbours": [concept.name for concept in evaluation.neighbours] if evaluation else [],
            "earlier": [concept.name for concept in unlearning.data.gone],
        },
        unlearner={
            "name": unlearner.spec.name,
            "plugin": unlearner.plugin,
            "version": unlearner.version,
            "config": dict(plan.spec.options),
            "preset": plan.spec.preset,
        },
        model={"name": plan.model.name, "fingerprint": None},
        protocol=evaluation.protocol.facts() if evaluation else None,
        seed=plan.spec.seed,
        environment=environment(
            device=plan.spec.device,
            dtype=plan.spec.dtype,
            plugins={entry.plugin: entry.version for entry in plan.components},
        ),
        warnings=list(plan.warnings),
    )


def _earlier_stages(folder: Path) -> list[Stage]:
    if not (folder / RECORD_FILE).is_file():
        return []
    record = read_record(folder)
    return [*record.resumed, *record.stages]


def _through_toml(plan: Plan) -> dict[str, Any]:
    """Return the plan's spec as it reads after a round trip through its file: None is left out there."""
    values = asdict(plan.spec)
    values["options"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in plan.spec.options.items()
        if value is not None
    }
    return values
