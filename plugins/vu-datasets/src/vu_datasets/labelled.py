"""What the classification benchmarks share: pictures of one size, each of one class of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vu_core import Concept
from vu_core.interfaces import Picture
from vu_core.picturedata import ANY, Found, array_pictures
from vu_core.pictures import Row
from vu_datasets.base import FileDataset
from vu_datasets.files import text_or_number

CLASS = "class"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The pictures of one split, as the published files hold them.

    Attributes:
        split: ``"train"`` or ``"test"``.
        images: numpy uint8 (N, H, W) grey, or (N, 3, H, W) RGB.
        labels: By kind, the N numbers of the classes.
    """

    split: str
    images: Any
    labels: Mapping[str, Sequence[int]]


class LabelledDataset(FileDataset):
    """A dataset whose pictures are each of one class, from its published files or from a table of the hub.

    Attributes:
        classes: By kind, the names of the classes in the order of their numbers.
        columns: By kind, the column of a table that holds the class.
    """

    classes: ClassVar[Mapping[str, tuple[str, ...]]]
    columns: ClassVar[Mapping[str, str]]
    templates: ClassVar = {ANY: ("{}", "a picture of a {}", "a photo of a {}", "a close-up photo of a {}")}

    def parts(self, root: Path) -> list[Part]:
        """Return the splits in the published files under ``root``; none where there are no such files.

        Raises:
            ConfigError: They are damaged, incomplete, or in a form that is not read.
        """
        raise NotImplementedError

    def named(self) -> list[Concept]:
        """Return the classes of each kind, in the order of their numbers."""
        return [Concept(name=name, kind=kind) for kind, names in self.classes.items() for name in names]

    def found(self) -> list[Found]:
        """Return all pictures, in the files' order.

        Raises:
            ConfigError: The files are not as they should be.
            DataError: They are not there.
        """
        root = self.source.find(self.config.root, download=self.download)
        parts = self.parts(root)
        if parts:
            return [found for part in parts for found in self._of_part(part, root)]
        rows = self.source.rows(root)
        # What a source calls otherwise, such as SVHN's extra pictures, is no part of the benchmark.
        return [self._of_row(row, root) for row in rows if row.split] or [self._of_row(row, root) for row in rows]

    def _of_part(self, part: Part, root: Path) -> list[Found]:
        shown: list[dict[str, str]] = [{} for _ in range(len(part.images))]
        for kind, labels in part.labels.items():
            names = self.classes[kind]
            if len(labels) != len(shown):
                raise self.source.odd(root, f"it has {len(shown)} pictures and {len(labels)} labels of '{part.split}'")
            for attributes, label in zip(shown, labels, strict=True):
                if not 0 <= label < len(names):
                    raise self.source.odd(root, f"the label {label} is none of 0 to {len(names) - 1}")
                attributes[kind] = names[label]
        captions = [_caption(attributes) for attributes in shown]
        return array_pictures(part.images, shown, captions=captions, prefix=part.split, split=part.split)

    def _of_row(self, row: Row, root: Path) -> Found:
        attributes = {}
        for kind, column in self.columns.items():
            value = text_or_number(row, column, self.source, root)
            names = self.classes[kind]
            if isinstance(value, int):
                value = names[value] if 0 <= value < len(names) else str(value)
            name = value.replace("_", " ")
            if name not in names:
                raise self.source.odd(root, f"'{row.id}' is of the {kind} '{value}', which is none of the {len(names)}")
            attributes[kind] = name
        picture = Picture(id=row.id, caption=_caption(attributes), attributes=attributes, load=row.load)
        return Found(picture=picture, split=row.split)


def _caption(attributes: Mapping[str, str]) -> str:
    return f"a photo of a {attributes[CLASS]}"
