"""The other models that a run is held against: found by what they forgot, or untrained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class OtherModels:
    """Files of edits that other models consist of, which forgot the same of the same data.

    Attributes:
        retrained: Of models that never learned it.
        unlearned: Of models that learned it first.
    """

    retrained: tuple[Path, ...] = ()
    unlearned: tuple[Path, ...] = ()


def find_others(folders: Iterable[Path], request: Request, data: Mapping[str, Any]) -> OtherModels:
    """Return the files under ``folders`` that hold edits of models which forgot exactly this.

    Only the files' headers are read. What counts is what an edit says of itself: by whom it was made, what it was
    asked to forget, and of which data.

    Args:
        folders: Of runs, of benches, or of edits; a file is one edit.
        request: What is forgotten.
        data: The dataset's name and options, as in the ``info`` of edits.

    Raises:
        EditError: A folder is not there, or holds a damaged edit.
    """
    found: dict[bool, list[Path]] = {True: [], False: []}
    for file, header in _forgot_the_same(folders, request, data):
        found[header.unlearner == RETRAIN].append(file)
    return OtherModels(retrained=tuple(found[True]), unlearned=tuple(found[False]))


def _forgot_the_same(folders: Iterable[Path], request: Request, data: Mapping[str, Any]) -> Iterator[tuple[Path, Edit]]:
    """Yield the files under ``folders`` of edits that forgot exactly this of the same data, with their headers."""
    forgotten = {(concept.kind, concept.name) for concept in request.forget}
    for folder in folders:
        if not folder.exists():
            raise EditError(f"'{folder}' does not exist", hint="--retrained takes folders of runs of 'retrain'.")
        for file in [folder] if folder.is_file() else sorted(folder.rglob("*.safetensors")):
            header = read_header(file)
            if header is None or header.after or "request" not in header.info:
                continue
            asked = {(concept.kind, concept.name) for concept in request_of(header).forget}
            if asked == forgotten and header.info.get("data") == data:
                yield file, header


def read_retrained(files: Sequence[Path], edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return the edits in ``files``, without ``edits`` themselves: same tensors, or same seed and options.

    Raises:
        EditError: A file is damaged.
    """
    read = (read_edit(file) for file in files)
    return tuple(edit for edit in read if not any(_same(edit, other) for other in edits))


def read_unlearned(files: Sequence[Path], edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return the edits in ``files`` that are made as the last of ``edits``, but for the seed, and differ from it.

    Raises:
        EditError: A file is damaged.
    """
    if not edits:
        return ()
    made = _maker(edits[-1])
    read = {edit.identity(): edit for edit in map(read_edit, files) if _maker(edit) == made}
    return tuple(edit for edit in read.values() if not _same(edit, edits[-1]))


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
    made = [(_maker(one), one.info.get("seed")) for one in (edit, other)]
    return edit.identity() == other.identity() or made[0] == made[1]


def _maker(edit: Edit) -> tuple[str, Any]:
    return edit.unlearner, edit.info.get("config")
