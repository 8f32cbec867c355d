"""Pictures from files: image folders, lists and Hugging Face data sets, each as rows that are opened when read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vu_core.errors import RunError

if TYPE_CHECKING:
    import torch

METADATA = ("metadata.jsonl", "metadata.csv")
FILE_NAME = "file_name"
SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
"""How sources call their splits."""

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_LISTS = (".json", ".jsonl", ".csv")
_SAVED = ("dataset_info.json", "dataset_dict.json")
_ACCEPTED = (
    f"Accepted: a folder with {' or '.join(METADATA)}, a folder with one folder of images for each concept, either of "
    "them once for train, val and test, a folder written by datasets' save_to_disk, .parquet files, or a .json, .jsonl "
    "or .csv list."
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of a source, and what stands beside it.

    Attributes:
        id: Its file's path below the source, or its place in the table; unique within the source.
        columns: What stands beside it: texts and numbers by column.
        split: ``"train"``, ``"validation"`` or ``"test"`` where the source says so, else empty.
        load: Called without arguments, returns its pixels as `read_image` does.
    """

    id: str
    columns: Mapping[str, Any]
    split: str = ""
    load: Callable[[], torch.Tensor] = field(repr=False, compare=False)


def read_image(file: Path | IO[bytes]) -> torch.Tensor:
    """Return an image file's picture: uint8 (3, H, W) RGB, upright, on white where it is transparent.

    Raises:
        OSError: It is missing, no image, or damaged; Pillow also raises ValueError, SyntaxError and
            ``Image.DecompressionBombError``.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image)
            image = white
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_sheet(file: Path, size: tuple[int, int], count: int) -> Any:
    """Return the pictures of a sheet, where they lie side by side, row by row: numpy uint8 (count, height, width).

    Args:
        file: The sheet, a grey image without loss.
        size: Height and width of a picture, in pixels.
        count: Of the pictures; the sheet's last row may have room for more.

    Raises:
        OSError: The file is missing or damaged.
    """
    import numpy as np
    from PIL import Image

    height, width = size
    with Image.open(file) as opened:
        sheet = np.array(opened.convert("L"))
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    tiles = sheet.reshape(rows, height, columns, width).transpose(0, 2, 1, 3).reshape(-1, height, width)
    return np.ascontiguousarray(tiles[:count])


def read_rows(path: Path, *, cache_dir: Path | None = None) -> list[Row]:
    """Return the pictures that a folder or file names, in a fixed order; none is opened yet.

    ======================================  ==================================================================
    folder with ``metadata.jsonl``/``.csv``  a line for each image: ``file_name`` and further columns
    folder of folders of images             the inner folders' names are the column ``label``
    folder with ``train``, ``val``, ...     each of them one of the above
    ``.json``, ``.jsonl`` or ``.csv``       such lines, or a list of them; ``file_name`` is relative to it
    folder of ``save_to_disk``              as Hugging Face ``datasets`` wrote it
    ``.parquet``, or folder of them         an image column and further columns
    ======================================  ==================================================================

    Args:
        path: The folder or file.
        cache_dir: Where ``datasets`` keeps what it makes of ``.parquet`` files; None for its own place.

    Raises:
        RunError: It does not exist, is none of these, or a line of it is malformed.
    """
    if not path.exists():
        raise RunError(f"the pictures '{path}' do not exist", hint="Give a folder or a file.")
    if path.suffix in _LISTS:
        return _listed(path, path.parent)
    tables = [path] if path.suffix == ".parquet" else sorted(path.rglob("*.parquet"))
    if tables or any((path / name).is_file() for name in _SAVED):
        return list(_stored(path, tables, cache_dir))
    parts = {part.name: SPLITS[part.name] for part in _folders(path) if part.name in SPLITS}
    split_up = [row for name, split in parts.items() for row in _plain(path / name, path, split)]
    found = split_up if split_up and not _metadata(path) else _plain(path, path, "")
    if not found:
        raise RunError(f"'{path}' holds no pictures that can be read", hint=_ACCEPTED)
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def _metadata(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def _plain(folder: Path, root: Path, split: str) -> list[Row]:
    """Return the images of a folder with metadata, or of a folder of folders; ids are paths below ``root``."""
    listed = _metadata(folder)
    if listed:
        return _listed(listed, root, split)
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in IMAGES)
    return [
        Row(
            id=file.relative_to(root).as_posix(),
            columns={"label": file.parent.name},
            split=split,
            load=partial(read_image, file),
        )
        for file in files
    ]


def _listed(path: Path, root: Path, split: str = "") -> list[Row]:
    found = []
    for number, entry in enumerate(read_list(path), start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get(FILE_NAME), str):
            raise RunError(
                f"entry {number} of '{path}' names no {FILE_NAME}", hint=f'Such as: {{"{FILE_NAME}": "1.png"}}'
            )
        file = path.parent / entry[FILE_NAME]
        columns = {name: value for name, value in entry.items() if name != FILE_NAME}
        name = file.relative_to(root).as_posix() if split else entry[FILE_NAME]
        found.append(Row(id=name, columns=columns, split=split, load=partial(read_image, file)))
    repeated = len(found) - len({row.id for row in found})
    if repeated:
        raise RunError(f"'{path}' names {repeated} files more than once", hint="Name each picture once.")
    return found


def read_list(path: Path) -> Iterable[Any]:
    """Return the entries of a ``.json``, ``.jsonl`` or ``.csv`` file; those of ``.csv`` are texts by column.

    Raises:
        RunError: It cannot be read, or is no such file.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as stream:
                return list(csv.DictReader(stream, strict=True))
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        entries = json.loads(text)
    except OSError as error:
        raise RunError(f"'{path}' cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise RunError(f"'{path}' is not CSV: {error}") from error
    except ValueError as error:
        raise RunError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise RunError(f"'{path}' holds no list", hint=f'Such as: [{{"{FILE_NAME}": "1.png", "text": "a cat"}}]')
    return entries


def _stored(path: Path, tables: list[Path], cache_dir: Path | None) -> Iterator[Row]:
    """Yield the rows of a Hugging Face data set on disk."""
    loaded = _load_dataset(path, tables, cache_dir)
    for name, table in loaded.items():
        split = SPLITS.get(name, "")
        prefix = f"{name}-" if len(loaded) > 1 else ""
        yield from _of_table(path, table, split, prefix)


def _load_dataset(path: Path, tables: list[Path], cache_dir: Path | None) -> Mapping[str, Any]:
    """Return the tables of a data set by the name of their split."""
    try:
        import datasets
    except ImportError as error:
        raise RunError(
            f"'{path}' is a Hugging Face data set", hint="Reading it needs 'pip install datasets'."
        ) from error
    if any((path / name).is_file() for name in _SAVED):
        loaded = datasets.load_from_disk(str(path))
        return loaded if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or ""): loaded}
    files: dict[str, list[str]] = {}
    for table in tables:
        files.setdefault(_split_of(table), []).append(str(table))
    cache = None if cache_dir is None else str(cache_dir)
    # The names of sources' splits are datasets' own only by chance: each is read as "train".
    return {
        split: datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=cache)
        for split, paths in files.items()
    }


def _split_of(table: Path) -> str:
    """Return the split that a file's name, or its folder's, begins with: ``train-00000-of-00002.parquet``."""
    for name in (table.name, table.parent.name):
        for word in name.replace("_", "-").replace(".", "-").split("-"):
            if word in SPLITS:
                return word
    return ""


def _of_table(path: Path, table: Any, split: str, prefix: str) -> Iterator[Row]:
    import datasets

    images = [name for name, feature in table.features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise RunError(f"'{path}' has no column of images", hint=f"Its columns: {', '.join(table.features)}.")
    # Undecoded: a broken picture is then found where it is read, and named.
    table = table.cast_column(images[0], datasets.Image(decode=False))
    labels = {name: feature for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)}
    # Flattened: the names of the files are read without their bytes.
    files = table.flatten().select_columns([f"{images[0]}.path"])
    beside = zip(table.remove_columns(images[:1]), files, strict=True)
    for number, (row, stored) in enumerate(beside):
        file = stored[f"{images[0]}.path"]
        columns = {**row, **{name: label.int2str(row[name]) for name, label in labels.items() if row[name] is not None}}
        id_ = f"{prefix}{number:06d}" + (f"-{Path(file).name}" if file else "")
        yield Row(id=id_, columns=columns, split=split, load=partial(_decode, table, images[0], number))


def _decode(table: Any, column: str, number: int) -> torch.Tensor:
    stored = table[number][column]
    if not stored or not (stored["bytes"] or stored["path"]):
        raise OSError(f"row {number} has no picture")
    return read_image(io.BytesIO(stored["bytes"]) if stored["bytes"] else Path(stored["path"]))
