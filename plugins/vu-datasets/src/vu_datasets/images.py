"""Any pictures: folders, lists and Hugging Face data sets."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from vu_core import Concept, ConfigError
from vu_core.interfaces import Picture
from vu_core.picturedata import ANY, Found, unique
from vu_core.pictures import Row
from vu_datasets.base import FileDataset
from vu_datasets.config import ImagesOptions
from vu_datasets.files import Source


class Images(FileDataset):
    """Pictures of a folder, a list or a Hugging Face data set; its columns say what they show.

    With no column that says so, captions alone do, and any text is a concept.

    Args:
        config: Where they are, which columns count, how they are split.
        download: Whether they may be fetched from the hub.
    """

    source = Source(
        name="images",
        layout="a folder of folders of images, a folder with metadata.jsonl or .csv, a folder with train, val or test, "
        "a .json, .jsonl or .csv list, or what Hugging Face datasets wrote",
        url="the README of vu-datasets",
    )
    templates: ClassVar = {
        ANY: ("{}", "a picture of {}", "a photo of {}", "a close-up of {}"),
        "style": ("{} style", "a picture in {} style", "a painting in {} style"),
    }

    def __init__(self, config: ImagesOptions, download: bool = False) -> None:
        super().__init__(config, download)
        self._options = config
        self._rows: list[Row] = []

    def named(self) -> list[Concept]:
        """Return every value of the columns that say what pictures show, sorted."""
        named = {pair for row in self._read() for pair in self._shown(row).items()}
        order = sorted(named, key=lambda pair: (self._kinds.index(pair[0]), pair[1]))
        return unique([Concept(name=name, kind=kind) for kind, name in order])

    def found(self) -> list[Found]:
        """Return a picture for each row."""
        return [
            Found(
                picture=Picture(
                    id=row.id,
                    caption=str(row.columns.get(self._options.caption) or ""),
                    attributes=self._shown(row),
                    load=row.load,
                ),
                split=row.split,
                time=self._time(row),
            )
            for row in self._read()
        ]

    def _read(self) -> list[Row]:
        if not self._rows:
            self._rows = self.source.rows(self.source.find(self.config.root, download=self.download))
        return self._rows

    @cached_property
    def _kinds(self) -> list[str]:
        """Return the columns that say what pictures show.

        Raises:
            ConfigError: One was asked for that is not there, or there is neither such a column nor a caption.
        """
        columns = {name for row in self._read() for name in row.columns}
        asked = self._options.concepts
        kinds = [name for name in ("label",) if name in columns] if asked is None else list(asked)
        needed = [*kinds, *([] if kinds else [self._options.caption])]
        for name in needed:
            if name not in columns:
                raise self._lacks(name, columns)
        return kinds

    def _shown(self, row: Row) -> dict[str, str]:
        """Return the names of the concepts that a row names, by kind; underscores are blanks."""
        values = {kind: row.columns.get(kind) for kind in self._kinds}
        return {kind: str(value).replace("_", " ") for kind, value in values.items() if value not in (None, "")}

    def _lacks(self, column: str, columns: set[str]) -> ConfigError:
        listed = ", ".join(sorted(columns)) or "none"
        return ConfigError(
            f"the pictures have no column '{column}'; their columns are {listed}",
            hint="Say which hold concepts and captions: --data concepts=label --data caption=text.",
        )

    def _time(self, row: Row) -> str | float | None:
        value: Any = row.columns.get(self._options.time) if self._options.time else None
        if value is None or value == "":
            return None
        return moment(value)


def moment(value: Any) -> float:
    """Return a time as a number that orders: numbers as they are, dates as seconds.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError as error:
        raise ConfigError(
            f"'{value}' is no time", hint="Give numbers or ISO dates, as in 2013-11-14 11:18:45."
        ) from error
