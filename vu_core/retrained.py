"""The other models that a run is held against: retrained ones, found by what they forgot, and untrained ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.chains import request_of
from vu_core.editfiles import read_edit, read_header
from vu_core.errors import EditError
from vu_core.types import Request

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.interfaces import Retrains

RETRAIN = "retrain"

UNTRAINED = range(1_000_000, 1_000_005)
"""Seeds of untrained networks: none that a training is likely to have begun from."""

_COMPONENT = "classifier"


def find_retrained(folders: Iterable[Path], request: Request, data: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the files under ``folders`` that hold edits of retrained models which never learned what is forgotten.

    Only the files' headers are read. What counts is what an edit says of itself: it was made by `RETRAIN`, was asked
    to forget exactly this, and of the same data.

    Args:
        folders: Of runs, of benches, or of edits; a file is one edit.
        request: What is forgotten.
        data: The dataset's name and options, as in the ``info`` of edits.

    Raises:
        EditError: A folder is not there, or holds a damaged edit.
    """
    forgotten = {(concept.kind, concept.name) for concept in request.forget}
    found = []
    for folder in folders:
        if not folder.exists():
            raise EditError(f"'{folder}' does not exist", hint="--retrained takes folders of runs of 'retrain'.")
        for file in [folder] if folder.is_file() else sorted(folder.rglob("*.safetensors")):
            header = read_header(file)
            if header is None or header.unlearner != RETRAIN or header.after or "request" not in header.info:
                continue
            asked = {(concept.kind, concept.name) for concept in request_of(header).forget}
            if asked == forgotten and header.info.get("data") == data:
                found.append(file)
    return tuple(found)


def read_retrained(files: Sequence[Path], edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return the edits in ``files``, without ``edits`` themselves: same tensors, or same seed and options.

    Raises:
        EditError: A file is damaged.
    """
    read = (read_edit(file) for file in files)
    return tuple(edit for edit in read if not any(_same(edit, other) for other in edits))


def untrained_edits(model: Retrains) -> tuple[Edit, ...]:
    """Return an edit for each of the seeds `UNTRAINED` that makes ``model`` the network it was before training."""
    from vu_core.edits import Edit

    found = []
    for seed in UNTRAINED:
        tensors = model.fresh(seed).state_dict()
        fresh = {f"{_COMPONENT}.{name}": one for name, one in tensors.items() if one.is_floating_point()}
        found.append(Edit.dense(fresh, info={"seed": seed}))
    return tuple(found)


def _same(edit: Edit, other: Edit) -> bool:
    made = [(one.unlearner, one.info.get("seed"), one.info.get("config")) for one in (edit, other)]
    return edit.identity() == other.identity() or made[0] == made[1]
