"""Training a model on a dataset's pictures, by the trainer of a loader: ``vu train``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.datasets import open_dataset
from vu_core.discovery import resolve
from vu_core.errors import ConfigError, ModelError, RunError
from vu_core.events import append_event
from vu_core.files import make_folder, write_text
from vu_core.interfaces import HasPictures
from vu_core.planning import resolve_device
from vu_core.records import environment
from vu_core.stages import Surface
from vu_core.weights import read_json

if TYPE_CHECKING:
    from vu_core.interfaces import Dataset
    from vu_core.registry import Entry, Registry
    from vu_core.specs import DatasetSpec, ModelSpec

TRAINING_FILE = "vu_training.json"
"""What a model's folder says of how it was trained; written last, so a folder that has it is complete."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What is trained on what, every name resolved and every option checked.

    Attributes:
        loader: Whose trainer trains, and which reads the result.
        dataset: The entry of the dataset.
        data: The user's options for it.
        pictures: The dataset.
        config: The trainer's options.
        seed: Decides weights and order.
        device: Where it computes.
    """

    loader: Entry[ModelSpec]
    dataset: Entry[DatasetSpec]
    data: Mapping[str, Any]
    pictures: Dataset
    config: Any
    seed: int
    device: str

    def facts(self) -> dict[str, Any]:
        """Return what decides the result, as JSON values."""
        facts = {
            "loader": self.loader.spec.name,
            "dataset": self.dataset.spec.name,
            "data": dict(self.data),
            "options": asdict(self.config),
            "seed": self.seed,
        }
        found: dict[str, Any] = json.loads(json.dumps(facts))
        return found


def plan_training(
    loader: str,
    registry: Registry,
    *,
    dataset: str,
    data: Mapping[str, Any],
    options: Mapping[str, Any],
    seed: int = 0,
    device: str = "auto",
    download: bool = False,
) -> TrainingPlan:
    """Return the plan of a training; nothing heavy is loaded but what checks the device.

    Args:
        loader: Name of the loader.
        registry: Where names are looked up.
        dataset: Name of the dataset.
        data: Options of the dataset.
        options: Options of the trainer.
        seed: Decides weights and order.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        download: Whether the dataset's files may be fetched over the network.

    Raises:
        UnknownNameError: There is no such loader or dataset.
        ModelError: The loader trains nothing.
        ConfigError: An option does not fit, the dataset has no pictures, or the device is not there.
    """
    entry = registry.get("model", loader)
    if not entry.spec.trainer:
        able = ", ".join(other.spec.name for other in registry.entries("model") if other.spec.trainer)
        raise ModelError(f"'{loader}' cannot be trained by vu", hint=f"These can: {able or 'none that is installed'}.")
    found = registry.get("dataset", dataset)
    pictures = open_dataset(found, data, download=download)
    if not isinstance(pictures, HasPictures):
        raise ConfigError(f"dataset '{dataset}' has no pictures to learn from", hint="'vu list dataset' shows others.")
    config_class = entry.config_class()
    if config_class is None:
        raise ModelError(f"'{loader}' names a trainer, but no options")
    return TrainingPlan(
        loader=entry,
        dataset=found,
        data=data,
        pictures=pictures,
        config=validate(config_class, options, where=f"the training of '{loader}'"),
        seed=seed,
        device=resolve_device(device),
    )


def train_model(
    plan: TrainingPlan, folder: Path, surface: Surface | None = None, *, resume: bool = False
) -> dict[str, Any]:
    """Train ``plan``'s model into ``folder`` and return what the folder says of it; a finished one is only read.

    Args:
        plan: What is trained on what.
        folder: The model's folder; must not exist, except to resume.
        surface: Shows how far it is.
        resume: Whether to continue a training of the same plan that was interrupted there.

    Raises:
        RunError: The folder exists, or holds another training.
        VuError: The trainer refuses its input, or fails.
    """
    surface = surface or Surface()
    make_folder(folder)
    begun_before = any(folder.iterdir())
    if begun_before and not resume:
        raise RunError(f"'{folder}' already exists", hint="Continue it with --resume, or choose a new --out.")
    if (folder / TRAINING_FILE).is_file():
        return _finished(plan, folder)
    ctx = RunContext(
        out_dir=folder, device=plan.device, seed=plan.seed, log=partial(append_event, folder), track=surface.track
    )
    if begun_before:
        ctx.warnings.append("continued where an earlier attempt ended: 'seconds' are those of the last one alone")
    begun = time.perf_counter()
    told: Mapping[str, Any] = resolve(plan.loader.spec.trainer, plan.loader.plugin)(plan.pictures, plan.config, ctx)
    versions = {entry.plugin: entry.version for entry in (plan.loader, plan.dataset)}
    facts = {
        **plan.facts(),
        **told,
        "seconds": round(time.perf_counter() - begun, 1),
        "environment": environment(device=plan.device, dtype=ctx.dtype, plugins=versions),
        "warnings": ctx.warnings,
    }
    write_text(folder / TRAINING_FILE, json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return facts


def _finished(plan: TrainingPlan, folder: Path) -> dict[str, Any]:
    facts = read_json(folder / TRAINING_FILE)
    different = [name for name, value in plan.facts().items() if facts.get(name) != value]
    if different:
        raise RunError(
            f"'{folder}' holds another training; what differs: {', '.join(different)}", hint="Choose a new --out."
        )
    return facts
