"""Seeing what code leaves behind: global state, a model's state, and files it writes."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FILE_EVENTS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate")

_watched: list[list[Path]] = []


def global_state() -> dict[str, Any]:
    """Return what a component must leave as it was, by what people call it."""
    import numpy as np
    import torch

    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "NumPy's random state": [np.asarray(part).tolist() for part in np.random.get_state()],
        "Python's random state": random.getstate(),
        "the grad mode": torch.is_grad_enabled(),
        "the default dtype": torch.get_default_dtype(),
        "the number of threads": torch.get_num_threads(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "the working directory": str(Path.cwd()),
    }


def model_state(model: Any) -> dict[str, Any]:
    """Return everything that decides what a fake model does, by what people call it.

    Args:
        model: `FakeTextToImage` or `FakeClassifier`.
    """
    from vu_core.edits import tensor_sha256

    state: dict[str, Any] = {}
    for component, stored in model.stored.items():
        module = model.component(component)
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        state[f"the names of tensors of '{component}'"] = sorted(tensors)
        for name, tensor in tensors.items():
            state[f"the tensor '{component}.{name}'"] = (id(tensor), tensor_sha256(tensor))
            state[f"requires_grad of '{component}.{name}'"] = tensor.requires_grad
            state[f"the gradient of '{component}.{name}'"] = tensor.grad is None
        for name, part in module.named_modules():
            path = f"{component}.{name}".rstrip(".")
            state[f"the training flag of '{path}'"] = part.training
            state[f"the hooks of '{path}'"] = len(part._forward_hooks) + len(part._forward_pre_hooks)
        for name, tensor in stored.items():
            state[f"the stored tensor '{component}.{name}'"] = tensor_sha256(tensor)
    return state


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what differs between two states."""
    return [what for what in before if before[what] != after.get(what)]


@contextmanager
def writes() -> Iterator[list[Path]]:
    """Yield a list that receives every path this process writes to, makes, renames or removes meanwhile."""
    _install_audit()
    seen: list[Path] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.remove(seen)


@cache
def _install_audit() -> None:
    # A hook cannot be removed: there is one, which does nothing unless somebody watches.
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    paths: tuple[Any, ...] = ()
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        paths = arguments[:1]
    elif event in _FILE_EVENTS:
        paths = arguments[:2]
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            for seen in _watched:
                seen.append(Path(os.fsdecode(path)).absolute())
