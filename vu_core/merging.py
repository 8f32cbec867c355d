"""Writing a model folder with an edit in its weights."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vu_core.edits import Edit, checked, edited_tensor
from vu_core.errors import EditError, ModelError, RunError
from vu_core.files import atomic_path, disk_error, write_text

MERGED_FILE = "vu_edits.json"


def write_merged(model: Any, edits: Sequence[Edit], out: Path) -> int:
    """Write a copy of ``model``'s folder with ``edits`` in it; return how many tensors changed.

    Tensors keep their stored dtype; files and tensors that no edit touches are copied byte for byte.
    The copy appears whole or not at all.

    Args:
        model: Offers `TensorSource` and lies in the folder ``model.folder``; None for one in memory.
        edits: Their changes add up.
        out: The new folder; must not exist.

    Raises:
        EditError: An edit was made for another base model, or the folder lacks a tensor it changes.
        ModelError: The model lies in no folder.
        RunError: ``out`` exists or cannot be written.
    """
    if model.folder is None:
        raise ModelError(f"'{model.name}' lies in no folder that could be copied", hint="Save it, and load its folder.")
    if out.exists():
        raise RunError(f"'{out}' already exists", hint="Choose a new folder with --out.")
    active = checked(edits, model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as parent:
            copy = Path(parent) / out.name
            shutil.copytree(model.folder, copy)
            changed = _rewrite(copy, active)
            write_text(copy / MERGED_FILE, json.dumps(facts_of(edits), indent=2) + "\n")
            copy.rename(out)
    except OSError as error:
        raise disk_error(out, error) from error
    return changed


def facts_of(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Return what a file says of the ``edits`` in it, as JSON values."""
    return [{"sha256": e.sha256(), "scale": e.scale, "unlearner": e.unlearner, **e.info} for e in edits]


def _rewrite(folder: Path, edits: Sequence[Edit]) -> int:
    wanted = {parameter for edit in edits for parameter in edit.parameters()}
    changed: set[str] = set()
    for component in sorted({parameter.partition(".")[0] for parameter in wanted}):
        for file in sorted((folder / component).glob("*.safetensors")):
            changed |= _rewrite_file(file, component, edits, wanted)
    if wanted - changed:
        raise EditError(f"the model's folder has no tensor '{min(wanted - changed)}' that the edit changes")
    return len(changed)


def _rewrite_file(file: Path, component: str, edits: Sequence[Edit], wanted: set[str]) -> set[str]:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, framework="pt") as stream:
        names = list(stream.keys())
        here = {f"{component}.{name}" for name in names} & wanted
        if not here:
            return set()
        metadata = stream.metadata()
        tensors = {name: stream.get_tensor(name) for name in names}
    for parameter in here:
        name = parameter.partition(".")[2]
        tensors[name] = edited_tensor(tensors[name], parameter, edits)
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return here
