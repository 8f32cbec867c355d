"""What goes up: the edit, its record and the model card, without a path of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

from vu_core import RunError, read_edit, write_edit
from vu_core.editfiles import EDIT_FILE, LORA_FILE
from vu_core.files import sha256_of_file
from vu_core.records import RECORD_FILE, Record, read_record
from vu_core.report import CARD, CONTACT_SHEET
from vu_hub.card import card_text

FILES = (CARD, EDIT_FILE, LORA_FILE, RECORD_FILE, CONTACT_SHEET)
"""All that is ever pushed or pulled."""

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
# Quoted absolute paths, and unquoted ones of two parts or more; a URL has ':' or '/' before its slashes.
_PATHS = re.compile(r"'((?:/|~|[A-Za-z]:\\)[^']*)'|(?<![\w.:/'-])((?:~|[A-Za-z]:)?(?:[/\\][\w.@+-]+){2,})")


@dataclass(frozen=True, kw_only=True)
class Package:
    """Files that go up together.

    Attributes:
        repository: ``"org/name"``.
        title: What the commit is called.
        files: By their name on the hub, where they lie here.
    """

    repository: str
    title: str
    files: dict[str, Path]

    def lines(self) -> list[str]:
        """Return what would go up in words: every file with size and sha256, then the card as it will read."""
        rows = [
            f"{path.stat().st_size:>12,}  {sha256_of_file(path)}  {name}" for name, path in sorted(self.files.items())
        ]
        total = sum(path.stat().st_size for path in self.files.values())
        card = self.files[CARD].read_text(encoding="utf-8").splitlines()
        return [f"{self.repository}: {len(rows)} files, {total:,} bytes", *rows, "", f"{CARD}:", *card]


@contextmanager
def packed(run: Path, repository: str, *, license_name: str = "") -> Iterator[Package]:
    """Give what ``run`` puts into ``repository``; files that had to be written anew are removed at the end.

    Args:
        run: The folder of a finished run.
        repository: ``"org/name"``.
        license_name: What the card states, as the hub names it; empty for nothing.

    Raises:
        RunError: The folder holds no finished run, or the name is no repository's.
        EditError: The edit is missing or damaged.
    """
    check_repository(repository)
    record = read_record(run)
    if record.status != "finished":
        hint = f"Finish it first: vu run --resume --out {run}"
        raise RunError(f"the run in '{run}' is '{record.status}', not finished", hint=hint)
    with TemporaryDirectory(prefix="vu-") as folder:
        yield _pack(run, record, repository, license_name, Path(folder))


def check_repository(name: str) -> None:
    """Refuse a name that is not ``"org/name"``.

    Raises:
        RunError: It is not.
    """
    if not _REPOSITORY.fullmatch(name):
        raise RunError(f"'{name}' is no repository", hint="Give ORG/NAME, as in me/emoji-without-cat.")


def portable(value: Any) -> Any:
    """Return ``value``, as JSON holds it, with the last part of each absolute path in place of the whole.

    Example:
        >>> portable({"model": "/home/me/models/sd", "note": "'/data/my pictures' has 3 files"})
        {'model': 'sd', 'note': "'my pictures' has 3 files"}
    """
    if isinstance(value, dict):
        return {_plain(key): portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    return _plain(value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or text.startswith("~"):
        return _last(text)
    return _PATHS.sub(lambda found: f"'{_last(found[1])}'" if found[1] else _last(found[2]), text)


def _last(path: str) -> str:
    return PureWindowsPath(path).name


def _pack(run: Path, record: Record, repository: str, license_name: str, folder: Path) -> Package:
    public = portable(json.loads(record.as_json()))
    lora = (run / LORA_FILE).is_file()
    sheet = (run / CONTACT_SHEET).is_file()
    texts = {
        RECORD_FILE: json.dumps(public, indent=2, allow_nan=False) + "\n",
        CARD: card_text(record, public, repository, license_name=license_name, lora=lora, sheet=sheet),
    }
    files = {EDIT_FILE: _public_edit(run / EDIT_FILE, folder)}
    if lora:
        # Under the other name it is the same file.
        files[LORA_FILE] = files[EDIT_FILE]
    if sheet:
        files[CONTACT_SHEET] = run / CONTACT_SHEET
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        files[name] = folder / name
    return Package(repository=repository, title=f"{public['unlearner']['name']}: {_forgotten(record)}", files=files)


def _public_edit(path: Path, folder: Path) -> Path:
    """Return the edit's file, or one written anew where its header names a path of this machine."""
    edit = read_edit(path)
    info = portable(dict(edit.info))
    if info == edit.info:
        return path
    write_edit(replace(edit, info=info), folder / EDIT_FILE)
    return folder / EDIT_FILE


def _forgotten(record: Record) -> str:
    return f"forget {', '.join(record.request['forget'])}"
