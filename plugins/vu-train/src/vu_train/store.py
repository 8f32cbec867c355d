"""Tensors that are computed once for what decides them, and kept in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vu_core.cache import key_sha256
from vu_core.context import RunContext
from vu_core.files import atomic_path

FOLDER = "training"
"""Folder of a run in which training keeps checkpoints and prepared data."""

_KEY = "vu_train"


class TensorStore:
    """Named tensors by a key; see `get`.

    Args:
        ctx: Whose folder keeps them.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> store = TensorStore(RunContext(out_dir=Path(tempfile.mkdtemp())))
        >>> store.get("ones", {"size": 2}, lambda: {"values": torch.ones(2)})["values"]
        tensor([1., 1.])
    """

    def __init__(self, ctx: RunContext) -> None:
        self._folder = ctx.out_dir / FOLDER

    def get(
        self, name: str, key: Mapping[str, Any], compute: Callable[[], Mapping[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """Return tensors on the CPU: those stored under ``key``, else what ``compute`` returns, which is then stored.

        Args:
            name: What they are, in the file's name.
            key: JSON values: everything that decides the tensors.
            compute: Called without arguments when there are none yet.

        Raises:
            RunError: The disk is full or the folder cannot be written.
        """
        path = self._folder / f"{name}-{key_sha256(key)[:24]}.safetensors"
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                if json.loads(file.metadata()[_KEY]) == json.loads(json.dumps(key)):
                    return {entry: file.get_tensor(entry) for entry in file.keys()}  # noqa: SIM118
        tensors = {entry: tensor.detach().cpu().contiguous() for entry, tensor in compute().items()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(key), "format": "pt"})
        return tensors
