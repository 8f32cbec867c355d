"""Atomic files and safetensors checkpoints (no pickle)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vu_core.files import atomic_path, write_text


def write_json(path: Path, data: Any) -> None:
    """Writes data as indented JSON, atomically."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def replace_folder(source: Path, target: Path) -> None:
    """Puts a finished folder in the place of another; readers see the old or the new one."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.replace(old)
    source.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], notes: dict[str, Any] | None = None) -> None:
    """Writes named tensors with JSON notes in the header, atomically."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={"notes": json.dumps(notes or {}), "format": "pt"})


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the tensors and the notes that :func:`save_tensors` wrote."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        notes = json.loads((file.metadata() or {}).get("notes", "{}"))
    return tensors, notes


class Checkpoint:
    """The whole state of a training loop in one safetensors file: weights, optimiser, RNG, step."""

    def __init__(self, path: Path, modules: dict[str, torch.nn.Module], optimizer: Any) -> None:
        self.path = path
        self.modules = modules
        self.optimizer = optimizer

    def save(self, notes: dict[str, Any], generator: torch.Generator) -> None:
        """Writes the state; ``notes`` must be plain JSON data."""
        tensors = {
            f"{name}/{key}": value
            for name, module in self.modules.items()
            for key, value in module.state_dict().items()
        }
        state = self.optimizer.state_dict()
        for index, values in state["state"].items():
            for key, value in values.items():
                tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value)
        tensors["rng/global"] = torch.get_rng_state()
        tensors["rng/data"] = generator.get_state()
        save_tensors(self.path, tensors, notes)

    def load(self, generator: torch.Generator) -> dict[str, Any] | None:
        """Restores the state and returns the notes; None when there is no checkpoint yet."""
        if not self.path.exists():
            return None
        tensors, notes = load_tensors(self.path)
        for name, module in self.modules.items():
            prefix = f"{name}/"
            part = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
        state = self.optimizer.state_dict()
        state["state"] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, index, name = key.split("/")
                state["state"].setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(state)
        torch.set_rng_state(tensors["rng/global"])
        generator.set_state(tensors["rng/data"])
        return notes
