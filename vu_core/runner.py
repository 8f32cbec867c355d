"""The order of one run: unlearn, sample before, sample after, evaluate, report.

Each stage is skipped when its output is already in the run's folder, so a run that was interrupted
continues where it stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.comparison import AFTER, BEFORE, Comparison
from vu_core.context import RunContext, silent
from vu_core.edits import EDIT_FILE, LORA_FILE, Edit, read_edit, write_edit
from vu_core.errors import RunError, VuError
from vu_core.files import atomic_path, disk_error
from vu_core.planning import Plan
from vu_core.records import MemoryMeter, Record, Stage, environment
from vu_core.report import write_card, write_contact_sheet
from vu_core.runspec import RUN_FILE, read_run_file, write_run_file
from vu_core.unlearning import make_edit

if TYPE_CHECKING:
    from vu_core.interfaces import Model
    from vu_core.registry import Registry

EVENTS_FILE = "events.jsonl"
IMAGES = "images"


@dataclass
class Surface:
    """How a run tells people where it is; the default says nothing.

    Attributes:
        track: Shows progress over an iterable: ``track(items, total, label)``.
        say: Shows one line.
    """

    track: Callable[..., Iterator[Any]] = silent
    say: Callable[[str], None] = field(default=lambda line: None)


def open_folder(folder: Path, plan: Plan, *, resume: bool) -> None:
    """Make ``folder`` the run's folder, or check that it may be continued.

    Raises:
        RunError: It holds something else, another run, or the same run without ``resume``.
    """
    run_file = folder / RUN_FILE
    if folder.is_file():
        raise RunError(f"'{folder}' is a file", hint="Choose another folder with --out.")
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


def run(plan: Plan, model: Model, folder: Path, registry: Registry, surface: Surface | None = None) -> Record:
    """Carry ``plan`` through on ``model`` in ``folder`` (see `open_folder`) and return its record.

    The record is on disk from the start and after every stage, whatever happens.

    Raises:
        VuError: A component or its input failed; the record says where.
        KeyboardInterrupt: The user stopped it; the folder can be continued.
    """
    job = _Run(plan, model, folder, registry, surface or Surface())
    record = job.record
    record.write()
    record.warnings += registry.plugins.notify("vu_run_started", record=record)
    try:
        job.all_stages()
        record.status = "failed" if record.errors else "finished"
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        record.status = "interrupted" if interrupted else "failed"
        record.errors.append("interrupted by the user" if interrupted else f"{type(error).__name__}: {error}")
        _write_if_possible(record)
        record.warnings += registry.plugins.notify("vu_run_failed", record=record, error=error)
        raise
    record.write()
    observed = registry.plugins.notify("vu_run_finished", record=record)
    if observed:
        record.warnings += observed
        record.write()
    return record


class _Run:
    """One run in progress: its inputs, its record, and the stages in their order."""

    def __init__(self, plan: Plan, model: Model, folder: Path, registry: Registry, surface: Surface) -> None:
        self.plan, self.model, self.folder, self.registry, self.surface = plan, model, folder, registry, surface
        self.record = _first_record(plan, folder)
        self.record.model["revision"] = getattr(model, "revision", None)
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
        with self._stage("unlearn") as detail:
            edit = self._unlearn(detail)
        if self.plan.evaluation is None:
            return
        comparison = Comparison(plan=self.plan.evaluation, model=self.model, root=self.folder / IMAGES, ctx=self.ctx)
        edits: Sequence[Edit]
        for name, edits in ((BEFORE, ()), (AFTER, (edit,))):
            with self._stage(f"sample {name}") as detail:
                detail.update(comparison.draw(name, edits))
        self.record.model["fingerprint"] = self.model.fingerprint()
        with self._stage("evaluate"):
            self._evaluate(comparison)
        with self._stage("report"):
            write_contact_sheet(self.folder, comparison.plan, comparison.pictures(BEFORE), comparison.pictures(AFTER))
            write_card(self.folder, self.plan, self.record)
        comparison.cache.trim()

    def _unlearn(self, detail: dict[str, Any]) -> Edit:
        path = self.folder / EDIT_FILE
        if path.is_file():
            detail["skipped"] = True
            edit = read_edit(path)
        else:
            edit = make_edit(self.plan.unlearning, self.model, self.ctx)
            write_edit(edit, path)
        lora = self.folder / LORA_FILE
        if edit.kind == "lora" and edit.tensors and not lora.is_file():
            with atomic_path(lora) as temporary:
                temporary.write_bytes(path.read_bytes())
        self.record.edit = {
            "kind": edit.kind,
            "sha256": edit.sha256(),
            "bytes": edit.bytes(),
            "rank": edit.rank(),
            "read": dict(edit.base),
            "info": dict(edit.info),
        }
        return edit

    def _evaluate(self, comparison: Comparison) -> None:
        scorers = comparison.load_scorers()
        self.record.scorers = {
            role: {"name": scorer.name, "version": scorer.version} for role, scorer in scorers.items()
        }
        results, errors = comparison.measure(scorers)
        self.record.results[:] = results
        self.record.errors += errors

    @contextmanager
    def _stage(self, name: str) -> Iterator[dict[str, Any]]:
        detail: dict[str, Any] = {}
        meter, start = MemoryMeter(self.plan.spec.device), time.perf_counter()
        try:
            yield detail
        except OSError as error:
            raise disk_error(Path(error.filename or self.folder), error) from error
        finally:
            skipped = detail.pop("skipped", False)
            self.record.stages.append(
                Stage(
                    name=name,
                    seconds=time.perf_counter() - start,
                    peak_memory_bytes=meter.process_bytes(),
                    peak_device_bytes=meter.device_bytes(),
                    skipped=skipped,
                    detail=detail,
                )
            )
        self.record.write()
        self.surface.say(_stage_line(self.record.stages[-1]))

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        line = json.dumps({"step": step, "time": time.time(), **values}, allow_nan=False)
        with (self.folder / EVENTS_FILE).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def _first_record(plan: Plan, folder: Path) -> Record:
    unlearning, evaluation = plan.unlearning, plan.evaluation
    unlearner, request = unlearning.unlearner, unlearning.request
    return Record(
        folder=folder,
        request={
            "forget": [concept.name for concept in request.forget],
            "retain": [concept.name for concept in unlearning.data.retain],
            "replace_with": [concept.name for concept in request.replace_with],
            "neighbours": [concept.name for concept in evaluation.neighbours] if evaluation else [],
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


def _through_toml(plan: Plan) -> dict[str, Any]:
    """Return the plan's spec as it reads after a round trip through its file: None is left out there."""
    values = asdict(plan.spec)
    values["options"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in plan.spec.options.items()
        if value is not None
    }
    return values


def _write_if_possible(record: Record) -> None:
    # The failure that is being reported matters more than one that hits its record, such as a full disk.
    try:
        record.write()
    except VuError as error:
        record.warnings.append(str(error))


def _stage_line(stage: Stage) -> str:
    memory = f", peak {stage.peak_memory_bytes / 1e9:.1f} GB" if stage.peak_memory_bytes else ""
    detail = "".join(f", {value} {key}" for key, value in stage.detail.items())
    done = "already there" if stage.skipped else f"{stage.seconds:.1f} s"
    return f"{stage.name}: {done}{detail}{memory}"
