"""Pictures from files, with what the files say of their use in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vu_core import RunError
from vu_core.context import RunContext
from vu_core.interfaces import Picture
from vu_core.pictures import Row, read_rows
from vu_core.types import FORGET, RETAIN
from vu_train.store import FOLDER

_TEXT, _ROLE, _OVERWRITE = "text", "role", "overwrite"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture of some source, before it is known what it is needed for.

    Attributes:
        picture: The picture.
        role: ``"forget"`` or ``"retain"`` where the source says so.
        overwrite: The caption that overwrites it, where the source says so.
    """

    picture: Picture
    role: str | None = None
    overwrite: str | None = None


def read_source(path: Path, ctx: RunContext) -> list[Found]:
    """Return the pictures to train on that a folder or file names, as `vu_core.pictures.read_rows` reads it.

    Where it has several splits, those of ``train`` are meant. The column ``text`` is a picture's caption. Of any
    further columns, texts say what a picture shows; underscores are blanks. ``role`` (``"forget"``,
    ``"retain"``) and ``overwrite`` (the caption that overwrites) decide for themselves.

    Raises:
        RunError: It does not exist, holds no pictures, or a line of it is malformed.
    """
    rows = read_rows(path, cache_dir=ctx.out_dir / FOLDER / "datasets")
    parts = {row.split for row in rows}
    return [_of_row(row) for row in rows if "train" not in parts or row.split == "train"]


def _of_row(row: Row) -> Found:
    name, columns = row.id, row.columns
    role = columns.get(_ROLE) or None
    if role not in (None, FORGET, RETAIN):
        raise RunError(f"the role of '{name}' is {role!r}", hint=f"It is '{FORGET}', '{RETAIN}' or left out.")
    attributes = {
        column: value.replace("_", " ")
        for column, value in columns.items()
        if isinstance(value, str) and value and column not in (_TEXT, _ROLE, _OVERWRITE)
    }
    picture = Picture(id=name, caption=columns.get(_TEXT) or "", attributes=attributes, load=row.load)
    return Found(picture=picture, role=role, overwrite=columns.get(_OVERWRITE) or None)
