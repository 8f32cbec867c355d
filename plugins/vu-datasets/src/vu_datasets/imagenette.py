"""Imagenette: ten easily told classes of ImageNet."""

from __future__ import annotations

from typing import ClassVar

from vu_core import Concept
from vu_core.interfaces import Picture
from vu_core.picturedata import Found
from vu_datasets.base import FileDataset
from vu_datasets.files import Source, text_column

OBJECT = "object"
CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""Names by WordNet id, as the folders are called."""

_SIZES = ("320px", "160px", "full_size")  # Folders of the hub's copy, each with all pictures; the first is read.


class Imagenette(FileDataset):
    """Ten objects; their pictures need the files."""

    source = Source(
        name="imagenette",
        layout="train/n01440764/*.JPEG and val/n01440764/*.JPEG, and so on for the ten WordNet ids, or a Hugging Face "
        "data set with an image column and the classes' names in label",
        url="https://github.com/fastai/imagenette",
        hub="frgfm/imagenette",
    )
    templates: ClassVar = {OBJECT: ("{}", "a picture of a {}", "a photo of a {}", "a close-up photo of a {}")}

    def named(self) -> list[Concept]:
        """Return the ten classes."""
        return [Concept(name=name, kind=OBJECT) for name in CLASSES.values()]

    def found(self) -> list[Found]:
        """Return all pictures; the source's ``val`` is the split for validation.

        Raises:
            ConfigError: A folder or label is none of the ten classes.
        """
        root = self.source.find(self.config.root, download=self.download)
        root = next((root / size for size in _SIZES if (root / size).is_dir()), root)
        rows = self.source.rows(root)
        column = text_column(rows, ("label",), self.source, root)
        found = []
        for row in rows:
            label = str(row.columns[column])
            name = CLASSES.get(label, label)
            if name not in CLASSES.values():
                raise self.source.odd(root, f"'{row.id}' is of the class '{label}', which is none of the ten")
            caption = f"a photo of a {name}"
            picture = Picture(id=row.id, caption=caption, attributes={OBJECT: name}, load=row.load)
            found.append(Found(picture=picture, split=row.split))
        return found
