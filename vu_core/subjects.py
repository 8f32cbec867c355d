"""From what a user wants measured (a model, edits, runs) to a model's name and the edits on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vu_core.chains import edits_of
from vu_core.editfiles import EDIT_FILE, read_edit
from vu_core.errors import ConfigError, EditError
from vu_core.runspec import RUN_FILE, read_run_file

if TYPE_CHECKING:
    from vu_core.edits import Edit
    from vu_core.runspec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is measured.

    Attributes:
        model: Name, folder or hub id; empty for the embedded model.
        edits: In effect together, in the order they were given.
        run: What the last of the runs given was asked to do; None when no run was given.
    """

    model: str
    edits: tuple[Edit, ...]
    run: RunSpec | None


def find_subject(given: Sequence[str], model: str = "") -> Subject:
    """Return what ``given`` means: run folders, edits' files, and at most one model.

    Args:
        given: Each a run's folder, an edit's file, or a model's name, folder or hub id.
        model: The model, where it is named apart; empty for the one that edits and runs were made for.

    Raises:
        ConfigError: Two models are named, or the edits were made for different ones and none is named.
        EditError: An edit is damaged, or does not say for which model it was made and none is named.
    """
    edits: list[Edit] = []
    models: list[str] = [model] if model else []
    made_for: dict[str, None] = {}
    run = None
    for text in given:
        path = Path(text).expanduser()
        if (path / RUN_FILE).is_file():
            run = read_run_file(path / RUN_FILE)
            edits += edits_of(path)
            made_for[run.model] = None
        elif _is_edit(path):
            edits.append(read_edit(path))
            made_for[_base_of(edits[-1])] = None
        else:
            models.append(text)
    if len(models) > 1:
        raise ConfigError(f"one model is measured at a time, given were {_names(models)}", hint="Name one of them.")
    if not models and len(made_for) > 1:
        raise ConfigError(f"the edits were made for different models: {_names(made_for)}", hint="Say --model.")
    if not models and "" in made_for:
        raise EditError("the edit does not say for which model it was made", hint="Name it with --model.")
    named = [*models, *made_for]
    return Subject(model=named[0] if named else "", edits=tuple(edits), run=run)


def find_edits(given: Sequence[str], model: str = "") -> Subject:
    """Return what ``given`` means, as `find_subject` does, where each is an edit and none a model.

    Raises:
        EditError: At one there is no edit, or one is damaged or does not say for which model it was made.
        ConfigError: They were made for different models and none is named.
    """
    for text in given:
        path = Path(text).expanduser()
        if not ((path / RUN_FILE).is_file() or _is_edit(path)):
            raise EditError(f"there is no edit at '{text}'", hint="Give a run's folder or an edit's file.")
    return find_subject(given, model)


def _is_edit(path: Path) -> bool:
    return (path / EDIT_FILE).is_file() or path.suffix == ".safetensors"


def _base_of(edit: Edit) -> str:
    return str(edit.info.get("model", ""))


def _names(names: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(f"'{name}'" for name in names)
