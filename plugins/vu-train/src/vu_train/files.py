"""Pictures from files: folders, lists and Hugging Face data sets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vu_core import RunError
from vu_core.context import RunContext
from vu_core.interfaces import Picture
from vu_core.types import FORGET, RETAIN
from vu_train.images import read_image
from vu_train.store import FOLDER

METADATA = "metadata.jsonl"
_FILE, _TEXT, _ROLE, _OVERWRITE = "file_name", "text", "role", "overwrite"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_SAVED = ("dataset_info.json", "dataset_dict.json")
_ACCEPTED = (
    f"Accepted: a folder with {METADATA}, a folder with one folder of images for each concept, a folder written by "
    "datasets' save_to_disk, .parquet files, or a .json or .jsonl list."
)


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
    """Return the pictures that a folder or file names; none is opened yet.

    ================================  ==================================================================
    folder with ``metadata.jsonl``    a line for each image: ``file_name``, ``text``, further columns
    folder of folders of images       the inner folders' names are the column ``label``
    ``.json`` or ``.jsonl``           such lines, or a list of them; ``file_name`` is relative to it
    folder of ``save_to_disk``        as Hugging Face ``datasets`` wrote it
    ``.parquet``, or folder of them   an image column, ``text``, further columns
    ================================  ==================================================================

    Of any further columns, texts say what a picture shows; underscores are blanks. ``role`` (``"forget"``,
    ``"retain"``) and ``overwrite`` (the caption that overwrites) decide for themselves.

    Raises:
        RunError: It does not exist, is none of these, or a line of it is malformed.
    """
    if not path.exists():
        raise RunError(f"the pictures '{path}' do not exist", hint="Or use pictures=dataset or pictures=model.")
    if path.suffix in (".json", ".jsonl"):
        return _from_lines(path, path.parent)
    if path.is_dir() and (path / METADATA).is_file():
        return _from_lines(path / METADATA, path)
    tables = [path] if path.suffix == ".parquet" else sorted(path.rglob("*.parquet")) if path.is_dir() else []
    if tables or any((path / name).is_file() for name in _SAVED):
        return _from_datasets(path, tables, ctx)
    if path.is_dir():
        files = sorted(file for file in path.glob("*/*") if file.suffix.lower() in _IMAGES)
        if files:
            return [_found(file.relative_to(path).as_posix(), file, {"label": file.parent.name}) for file in files]
    raise RunError(f"'{path}' holds no pictures that can be read", hint=_ACCEPTED)


def _from_lines(path: Path, root: Path) -> list[Found]:
    found = []
    for number, entry in enumerate(_entries(path), start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get(_FILE), str):
            raise RunError(f"entry {number} of '{path}' names no {_FILE}", hint=f'Such as: {{"{_FILE}": "1.png"}}')
        columns = {name: value for name, value in entry.items() if name != _FILE}
        found.append(_found(entry[_FILE], root / entry[_FILE], columns))
    repeated = len(found) - len({one.picture.id for one in found})
    if repeated:
        raise RunError(f"'{path}' names {repeated} files more than once", hint="Name each picture once.")
    return found


def _entries(path: Path) -> Iterable[Any]:
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        entries = json.loads(text)
    except ValueError as error:
        raise RunError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise RunError(f"'{path}' holds no list", hint=f'Such as: [{{"{_FILE}": "1.png", "{_TEXT}": "a cat"}}]')
    return entries


def _found(name: str, file: Path, columns: Mapping[str, Any]) -> Found:
    return _of_columns(name, columns, partial(read_image, file))


def _of_columns(name: str, columns: Mapping[str, Any], load: Any) -> Found:
    role = columns.get(_ROLE)
    if role not in (None, FORGET, RETAIN):
        raise RunError(f"the role of '{name}' is {role!r}", hint=f"It is '{FORGET}', '{RETAIN}' or left out.")
    attributes = {
        column: value.replace("_", " ")
        for column, value in columns.items()
        if isinstance(value, str) and value and column not in (_TEXT, _ROLE, _OVERWRITE)
    }
    picture = Picture(id=name, caption=columns.get(_TEXT) or "", attributes=attributes, load=load)
    return Found(picture=picture, role=role, overwrite=columns.get(_OVERWRITE))


def _from_datasets(path: Path, tables: list[Path], ctx: RunContext) -> list[Found]:
    """Return the rows of a Hugging Face data set on disk: of its split ``train`` where it has several."""
    try:
        import datasets
    except ImportError as error:
        raise RunError(
            f"'{path}' is a Hugging Face data set", hint="Reading it needs 'pip install vu-train[datasets]'."
        ) from error
    if any((path / name).is_file() for name in _SAVED):
        loaded = datasets.load_from_disk(str(path))
    else:
        chosen = [str(table) for table in tables if table.name.startswith("train")] or [str(table) for table in tables]
        cache = str(ctx.out_dir / FOLDER / "datasets")
        loaded = datasets.load_dataset("parquet", data_files=chosen, split="train", cache_dir=cache)
    table = loaded.get("train", next(iter(loaded.values()))) if isinstance(loaded, datasets.DatasetDict) else loaded
    images = [name for name, feature in table.features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise RunError(f"'{path}' has no column of images", hint=f"Its columns: {', '.join(table.features)}.")
    # Undecoded: a broken picture is then found where all are checked, and named.
    table = table.cast_column(images[0], datasets.Image(decode=False))
    labels = {name: feature for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)}
    found = []
    for number in range(len(table)):
        row = table[number]
        columns = {name: value for name, value in row.items() if name != images[0]}
        columns |= {name: label.int2str(row[name]) for name, label in labels.items()}
        name = row[images[0]].get("path")
        id_ = f"{number:06d}" + (f"-{Path(name).name}" if name else "")
        found.append(_of_columns(id_, columns, partial(_decode, table, images[0], number)))
    return found


def _decode(table: Any, column: str, number: int) -> torch.Tensor:
    stored = table[number][column]
    return read_image(io.BytesIO(stored["bytes"]) if stored["bytes"] else Path(stored["path"]))
