"""Where the files of a dataset are: a folder the user names, its place in the data folder, or the hub's cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vu_core import ConfigError, DataError, RunError
from vu_core.files import DATA_DIR_VARIABLE, data_dir
from vu_core.pictures import Row, read_rows

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a dataset comes from.

    Attributes:
        name: Name of the dataset.
        layout: What its folder must look like, in words.
        url: What says how to get it: a page, or a document.
        hub: Id of a copy on the hub; empty when there is none.
        system: Folder where a package of the system puts it; empty when there is none.
    """

    name: str
    layout: str
    url: str
    hub: str = ""
    system: str = ""

    def find(self, root: str, *, download: bool) -> Path:
        """Return the folder or file that holds the data.

        Args:
            root: What the user named: a path, a hub id, or nothing for the dataset's place in the data folder.
            download: Whether it may be fetched from the hub.

        Raises:
            DataError: It is not there, or could not be fetched.
        """
        path = Path(root).expanduser() if root else data_dir() / self.name
        if path.exists():
            return path
        if self.system and not root and Path(self.system).is_dir():
            return Path(self.system)
        hub = root if _HUB_ID.fullmatch(root) else "" if root else self.hub
        found = _snapshot(hub, download=download) if hub else None
        if found:
            return found
        place = f"Or put it in '{data_dir() / self.name}' ({DATA_DIR_VARIABLE}). " if root else ""
        fetch = f"With --download, '{hub}' is fetched from the hub. " if hub and not download else ""
        given = f"'{root}' does not exist" if root else f"there is no folder '{path}'"
        raise DataError(
            f"the files of dataset '{self.name}' were not found: {given}",
            hint=f"Name them: --data root=DIR. {place}{fetch}{self.expected()}",
        )

    def rows(self, root: Path) -> list[Row]:
        """Return the pictures under ``root``.

        Raises:
            ConfigError: They are not laid out as they should be.
        """
        try:
            return read_rows(root)
        except RunError as error:
            raise self.odd(root, error.message) from error

    def odd(self, root: Path, problem: str) -> ConfigError:
        """Return the error that says how the files differ from what they should be."""
        return ConfigError(f"'{root}' cannot be read as '{self.name}': {problem}", hint=self.expected())

    def expected(self) -> str:
        """Return a sentence that says what the files look like and where they come from."""
        return f"Expected: {self.layout}; see {self.url}."


def text_column(rows: list[Row], names: tuple[str, ...], source: Source, root: Path) -> str:
    """Return the first of ``names`` that is a column of texts.

    Raises:
        ConfigError: There is none; says which columns there are.
    """
    columns = rows[0].columns if rows else {}
    for name in names:
        if isinstance(columns.get(name), str):
            return name
    numbers = [name for name in names if name in columns]
    problem = f"the column '{numbers[0]}' holds no names" if numbers else f"it has no column {' or '.join(names)}"
    raise source.odd(root, f"{problem}; its columns are {', '.join(columns) or 'none'}")


def text_or_number(row: Row, column: str, source: Source, root: Path) -> str | int:
    """Return what a row has in ``column``.

    Raises:
        ConfigError: There is no such column, or it holds something else.
    """
    value = row.columns.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int):
        listed = ", ".join(row.columns) or "none"
        raise source.odd(root, f"it has no column '{column}' of names or numbers; its columns are {listed}")
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _snapshot(hub: str, *, download: bool) -> Path | None:
    """Return the hub's copy, from its local cache or, where that is allowed, from the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub, repo_type="dataset", local_files_only=not download))
    except LocalEntryNotFoundError as error:
        if not download:
            return None
        raise DataError(f"'{hub}' could not be fetched from the hub: {error}") from error
    except (HfHubHTTPError, OSError) as error:
        raise DataError(f"'{hub}' could not be fetched from the hub: {error}") from error
