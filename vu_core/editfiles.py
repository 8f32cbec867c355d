"""Edits as safetensors files: what they hold besides tensors stands as JSON in the file's header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.edits import Edit
from vu_core.errors import EditError
from vu_core.files import atomic_path, sha256_of_file

if TYPE_CHECKING:
    import torch

EDIT_FILE = "edit.safetensors"
LORA_FILE = "pytorch_lora_weights.safetensors"

_SCHEMA = 1
_METADATA_KEY = "vu"


def write_edit(edit: Edit, path: str | os.PathLike[str]) -> str:
    """Write ``edit`` to the file ``path`` as safetensors and return the sha256 of the file.

    A low-rank edit is written with its scale baked in, under the names plain diffusers reads.

    Raises:
        RunError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "edit.safetensors"
        >>> len(write_edit(Edit.lora({}), file))
        64
        >>> read_edit(file).is_identity()
        True
    """
    from safetensors.torch import save_file

    path = Path(path)
    lora = edit.kind == "lora"
    header = {
        "schema": _SCHEMA,
        "kind": edit.kind,
        "scale": 1.0 if lora else edit.scale,
        "unlearner": edit.unlearner,
        "base": dict(edit.base),
        "info": dict(edit.info),
    }
    metadata = {"format": "pt", _METADATA_KEY: json.dumps(header, sort_keys=True)}
    with atomic_path(path) as temporary:
        save_file(edit.baked() if lora else dict(edit.tensors), temporary, metadata=metadata)
    return sha256_of_file(path)


def read_edit(path: str | os.PathLike[str]) -> Edit:
    """Return the edit in a file, or in a run's folder.

    Raises:
        EditError: There is none, it is damaged, or it is no edit of this version.
    """
    path = Path(path)
    file = path / EDIT_FILE if path.is_dir() else path
    if not file.is_file():
        raise EditError(f"'{path}' holds no edit", hint=f"Give a run's folder or its {EDIT_FILE}.")
    edit = _read(file, with_tensors=True)
    if edit is None:
        raise EditError(f"'{file}' is no edit of vu: its header has no '{_METADATA_KEY}' entry")
    return edit


def read_header(file: Path) -> Edit | None:
    """Return the edit in a file without its tensors, reading nothing else; None where the file is no edit of vu.

    Raises:
        EditError: It is damaged, or no edit of this version.
    """
    return _read(file, with_tensors=False)


def _read(file: Path, *, with_tensors: bool) -> Edit | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as stream:
            header = (stream.metadata() or {}).get(_METADATA_KEY)
            names = list(stream.keys()) if with_tensors else []
            tensors = {name: stream.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise EditError(
            f"'{file}' is not a readable safetensors file: {error}", hint="It may be truncated; make it again."
        ) from error
    if header is None:
        return None
    try:
        return _from_header(json.loads(header), tensors, file)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EditError(f"the header of '{file}' is damaged: {error}", hint="Make the edit again.") from error


def _from_header(header: Mapping[str, Any], tensors: dict[str, torch.Tensor], file: Path) -> Edit:
    if header.get("schema") != _SCHEMA or header.get("kind") not in ("lora", "dense"):
        raise EditError(
            f"'{file}' has schema {header.get('schema')} and kind {header.get('kind')!r}",
            hint=f"This vu reads schema {_SCHEMA}, 'lora' and 'dense': install a newer vu-core.",
        )
    return Edit(
        kind=header["kind"],
        tensors=tensors,
        base=dict(header["base"]),
        unlearner=str(header["unlearner"]),
        info=dict(header["info"]),
        scale=float(header["scale"]),
    )
