"""Checkpoints of a training: one safetensors file each, tensors by name and JSON in its header, never pickle."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vu_core import RunError
from vu_core.context import RunContext
from vu_core.files import atomic_path
from vu_train.processes import Processes

_NOTES = "vu_train"
_SCHEMA = 1
_PACKAGES = ("vu-train", "torch", "diffusers")
_OPTIMIZER = "optimizer"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training between two steps.

    Attributes:
        step: Steps done.
        seconds: Time they took.
        key: What decided them, as JSON: a training of another key cannot continue.
        versions: Software and threads, of which bitwise equality also depends.
        tensors: Parameters, their moving averages and the optimiser's state, as ``"parameter/<name>"``, ...
    """

    step: int
    seconds: float
    key: Mapping[str, Any]
    versions: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: Made when first written to.
        keep: How many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint under its final name at once, then remove the oldest ones.

        Raises:
            RunError: The disk is full or the folder cannot be written.
        """
        notes = {
            "schema": _SCHEMA,
            "step": checkpoint.step,
            "seconds": checkpoint.seconds,
            "key": checkpoint.key,
            "versions": checkpoint.versions,
        }
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
        with atomic_path(self.folder / f"step-{checkpoint.step:08d}.safetensors") as temporary:
            save_file(tensors, temporary, metadata={_NOTES: json.dumps(notes), "format": "pt"})
        for path in self.paths()[: -self._keep]:
            path.unlink(missing_ok=True)

    def newest(self, warnings: list[str]) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None; a damaged one is named in ``warnings``."""
        for path in reversed(self.paths()):
            try:
                return _read(path)
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                warnings.append(f"the checkpoint '{path}' is damaged ({error}); an older one, if any, is used")
        return None

    def continued(self, key: Mapping[str, Any], ctx: RunContext, processes: Processes, unit: str) -> Checkpoint | None:
        """Return the checkpoint that a training of ``key`` goes on from, or None where it begins.

        What a killed process left half written is removed; other versions than the checkpoint's are warned of.

        Args:
            key: What decides the training.
            ctx: Its warnings are added to.
            processes: All that take part.
            unit: What is counted: ``"step"`` or ``"epoch"``.

        Raises:
            RunError: The folder holds checkpoints of another training.
        """
        if processes.is_first:
            self.remove_unfinished()
        processes.wait()
        found = self.newest(ctx.warnings)
        if found is not None:
            check_same(found.key, key, self.folder)
            warn_of_versions(found, ctx, unit)
        return found

    def paths(self) -> list[Path]:
        """Return the files, oldest first."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def remove_unfinished(self) -> None:
        """Remove what a killed process left half written."""
        for path in self.folder.glob(".step-*.part"):
            path.unlink(missing_ok=True)


def check_same(found: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint of another training.

    Raises:
        RunError: The keys differ; the message says in what.
    """
    asked = json.loads(json.dumps(asked))
    different = sorted(name for name in {*found, *asked} if found.get(name) != asked.get(name))
    if different:
        raise RunError(
            f"the checkpoints in '{folder}' belong to another training; what differs: {', '.join(different)}",
            hint="Use another run folder, or remove that one.",
        )


def versions(ctx: RunContext) -> dict[str, Any]:
    """Return software and threads, of which the last bits of a training depend."""
    device = torch.device(ctx.device).type
    threads = {"threads": torch.get_num_threads()} if device == "cpu" else {}
    return {**{name: version(name) for name in _PACKAGES}, "device": device, "cpus": platform.machine(), **threads}


def warn_of_versions(found: Checkpoint, ctx: RunContext, unit: str) -> None:
    """Note in the warnings that a training continues under other versions or threads than it began with."""
    if found.versions != versions(ctx):
        ctx.warnings.append(
            f"training continues from {unit} {found.step} under other versions or threads than it began with "
            f"({found.versions}): its result may differ in the last bits from an uninterrupted one"
        )


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Return the state of an optimiser of ``parameters``, as a checkpoint holds it."""
    return {
        f"{_OPTIMIZER}/{name}/{entry}": value
        for name, parameter in parameters.items()
        for entry, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Give an optimiser of ``parameters``, in this order, the state that `optimizer_tensors` found."""
    state = optimizer.state_dict()
    entries = {number: _entries(tensors, f"{_OPTIMIZER}/{name}/") for number, name in enumerate(parameters)}
    state["state"] = {number: found for number, found in entries.items() if found}
    optimizer.load_state_dict(state)


def _entries(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        notes = json.loads(file.metadata()[_NOTES])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if notes["schema"] != _SCHEMA:
        raise ValueError(f"written by another version of vu-train: schema {notes['schema']}, not {_SCHEMA}")
    return Checkpoint(
        step=notes["step"], seconds=notes["seconds"], key=notes["key"], versions=notes["versions"], tensors=tensors
    )
