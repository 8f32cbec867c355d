"""Labeled Faces in the Wild: photographs of people, by name."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import ClassVar

from vu_core import Concept, ConfigError
from vu_core.interfaces import Picture
from vu_core.picturedata import Found
from vu_core.pictures import Row
from vu_datasets.base import FileDataset
from vu_datasets.config import LfwOptions
from vu_datasets.files import Source, text_column

PERSON = "person"
_NAMES = ("label_name", "identity", "name", "person", "label")


class Lfw(FileDataset):
    """The people of Labeled Faces in the Wild who have enough pictures.

    Args:
        config: Where the files are, how they are split, how many pictures make a person a concept.
        download: Whether they may be fetched from the hub.
    """

    source = Source(
        name="lfw",
        layout="lfw/Name_Surname/Name_Surname_0001.jpg, or a Hugging Face data set with an image column and the "
        "people's names in one of the columns label_name, identity, name, person, label",
        url="http://vis-www.cs.umass.edu/lfw",
    )
    templates: ClassVar = {
        "person": ("{}", "a picture of {}", "a photo of {}", "a photo of {} in a crowd", "{} at a press conference")
    }

    def __init__(self, config: LfwOptions, download: bool = False) -> None:
        super().__init__(config, download)
        self._least = config.min_pictures

    def named(self) -> list[Concept]:
        """Return the people with enough pictures, those with most first."""
        counts = Counter(name for name, _ in self._people)
        known = [name for name in counts if counts[name] >= self._least]
        if not known:
            raise ConfigError(
                f"nobody has {self._least} pictures; most has {max(counts, key=lambda name: counts[name])}: "
                f"{max(counts.values())}",
                hint="Lower it: --data min_pictures=1.",
            )
        return [Concept(name=name, kind=PERSON) for name in sorted(known, key=lambda name: (-counts[name], name))]

    def found(self) -> list[Found]:
        """Return all pictures; those of people who are no concepts show nobody in particular."""
        known = {concept.name for concept in self._named}
        return [
            Found(
                picture=Picture(
                    id=row.id,
                    caption=f"a photo of {name}",
                    attributes={PERSON: name} if name in known else {},
                    load=row.load,
                ),
                split=row.split,
            )
            for name, row in self._people
        ]

    @cached_property
    def _people(self) -> list[tuple[str, Row]]:
        """Every picture under the name of the person it shows."""
        root = self.source.find(self.config.root, download=self.download)
        root = root / "lfw" if (root / "lfw").is_dir() else root
        rows = self.source.rows(root)
        column = text_column(rows, _NAMES, self.source, root)
        return [(str(row.columns[column]).replace("_", " "), row) for row in rows]
