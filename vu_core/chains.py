"""Several edits: made one after another, or summed into one; and what each was asked to forget."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vu_core.editfiles import read_edit
from vu_core.edits import LORA_A, Edit
from vu_core.errors import EditError, RequestError
from vu_core.interfaces import Data
from vu_core.runspec import RUN_FILE, read_run_file
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    import torch


def edits_of(path: str | os.PathLike[str]) -> tuple[Edit, ...]:
    """Return the edit in a file or a run's folder, behind those it was made after, in their order.

    Raises:
        EditError: There is none, it is damaged, or one that it was made after is not what it was.
        ConfigError: A run's folder that it names is not there.
    """
    path = Path(path)
    edit = read_edit(path)
    run_file = path / RUN_FILE
    before = read_run_file(run_file).after if run_file.is_file() else ""
    earlier = edits_of(before) if before else ()
    if run_file.is_file() and [other.identity() for other in earlier] != list(edit.after):
        raise EditError(
            f"the edit in '{path}' was made after another edit than the one that is in '{before}' now",
            hint="Make it again, or put the earlier run back.",
        )
    return (*earlier, edit)


def request_of(edit: Edit) -> Request:
    """Return what ``edit`` was asked to do.

    Raises:
        EditError: It does not say so, as when it was not made by vu or is the sum of several edits, or not legibly.

    Example:
        >>> cat = {"name": "cat", "kind": "object", "text": "cat"}
        >>> edit = Edit.lora({}, info={"request": {"forget": [cat], "retain": [], "replace_with": []}})
        >>> request_of(edit).forget[0].name
        'cat'
    """
    request = edit.info.get("request")
    if request is None:
        raise EditError("the edit does not say what it was asked to forget", hint="Say it, as in forget='cat'.")
    try:
        return Request(**{key: tuple(Concept(**concept) for concept in concepts) for key, concepts in request.items()})
    except (AttributeError, TypeError) as error:
        raise EditError(
            f"the edit's request is damaged: {error}", hint="Say what it forgets, as in forget='cat'."
        ) from error


def forgotten_by(edits: tuple[Edit, ...]) -> tuple[Concept, ...]:
    """Return what ``edits`` were asked to forget, each once, in their order.

    Raises:
        EditError: One does not say so.
    """
    return tuple(dict.fromkeys(concept for edit in edits for concept in request_of(edit).forget))


def without(data: Data, gone: tuple[Concept, ...]) -> Data:
    """Return ``data`` for a model that has forgotten ``gone`` already: these are neither forgotten again nor kept.

    Raises:
        RequestError: One of them is to be forgotten again.
    """
    if again := [concept.name for concept in data.forget if concept in gone]:
        raise RequestError(f"'{again[0]}' was forgotten by an earlier edit already", hint="Leave it out of --forget.")
    return replace(data, retain=tuple(concept for concept in data.retain if concept not in gone), gone=gone)


def combine(edits: Sequence[Edit]) -> Edit:
    """Return one low-rank edit that does what ``edits`` do together: their sum.

    The sum of separate edits is in general not the edit that unlearning all concepts at once gives.

    Raises:
        EditError: An edit is dense, or they were made for different base models.
    """
    import torch

    if any(edit.kind != "lora" for edit in edits):
        raise EditError("only low-rank edits can be combined into one", hint="Apply dense edits one after another.")
    base: dict[str, str] = {}
    stacked: dict[str, list[torch.Tensor]] = {}
    for edit in edits:
        for name, sha in edit.base.items():
            if base.setdefault(name, sha) != sha:
                raise EditError(f"the edits were made for different base models: '{name}' differs")
        for name, tensor in edit.baked().items():
            stacked.setdefault(name, []).append(tensor)
    tensors = {name: torch.cat(parts, dim=0 if name.endswith(LORA_A) else 1) for name, parts in stacked.items()}
    info = {"combined": [{"sha256": edit.sha256(), "scale": edit.scale, **edit.info} for edit in edits]}
    return Edit(kind="lora", tensors=tensors, base=base, unlearner="+".join(e.unlearner for e in edits), info=info)
