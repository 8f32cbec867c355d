"""UnlearnCanvas: twenty objects, each photographed and painted in many styles."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from vu_core import Concept
from vu_core.interfaces import Picture
from vu_core.picturedata import Found
from vu_core.pictures import IMAGES, Row, read_image
from vu_datasets.base import FileDataset
from vu_datasets.files import Source, text_column

STYLE, OBJECT = "style", "object"
PHOTOGRAPHS = "Seed Images"
STYLES = (
    *("Abstractionism", "Artist Sketch", "Blossom Season", "Bricks", "Byzantine", "Cartoon", "Cold Warm"),
    *("Color Fantasy", "Comic Etch", "Crayon", "Cubism", "Dadaism", "Dapple", "Defoliation", "Early Autumn"),
    *("Expressionism", "Fauvism", "French", "Glowing Sunset", "Gorgeous Love", "Greenfield", "Impressionism"),
    *("Ink Art", "Joy", "Liquid Dreams", "Magic Cube", "Meta Physics", "Meteor Shower", "Monet", "Mosaic"),
    *("Neon Lines", "On Fire", "Pastel", "Pencil Drawing", "Picasso", "Pop Art", "Red Blue Ink", "Rust"),
    *(PHOTOGRAPHS, "Sketch", "Sponge Dabbed", "Structuralism", "Superstring", "Surrealism", "Ukiyoe", "Van Gogh"),
    *("Vibrant Flow", "Warm Love", "Warm Smear", "Watercolor", "Winter"),
)
"""The benchmark's 50 styles and the photographs, in the order of its style classifier."""
OBJECTS = (
    *("Architectures", "Bears", "Birds", "Butterfly", "Cats", "Dogs", "Fishes", "Flame", "Flowers", "Frogs"),
    *("Horses", "Human", "Jellyfish", "Rabbits", "Sandwiches", "Sea", "Statues", "Towers", "Trees", "Waterfalls"),
)
"""The objects, in the order of its object classifier."""


class UnlearnCanvas(FileDataset):
    """The 50 styles of the benchmark, its photographs, and 20 objects; pictures need the files.

    The files hold ten further styles, which the benchmark's model did not learn: they are no concepts.
    """

    source = Source(
        name="unlearncanvas",
        layout="Van_Gogh/Cats/1.jpg, and so on for each style (photographs in Seed_Images) and object, or a Hugging "
        "Face data set with an image column and names in the columns style and object",
        url="https://github.com/OPTML-Group/UnlearnCanvas",
        hub="OPTML-Group/UnlearnCanvas",
    )
    templates: ClassVar = {
        STYLE: ("{} style", "a picture in {} style", "a painting in {} style"),
        OBJECT: ("{}", "a picture of {}", "a painting of {}"),
    }

    def named(self) -> list[Concept]:
        """Return the styles, then the objects."""
        return [Concept(name=name, kind=kind) for kind, names in ((STYLE, STYLES), (OBJECT, OBJECTS)) for name in names]

    def found(self) -> list[Found]:
        """Return all pictures.

        Raises:
            ConfigError: A folder or label is none of the twenty objects.
        """
        root = self.source.find(self.config.root, download=self.download)
        return [self._of(row, root) for row in _painted(root) or self._tabled(root)]

    def _of(self, row: Row, root: Path) -> Found:
        style, object_ = (str(row.columns[kind]).replace("_", " ") for kind in (STYLE, OBJECT))
        style = PHOTOGRAPHS if style == "Seed Image" else style
        if object_ not in OBJECTS:
            raise self.source.odd(root, f"'{row.id}' shows '{object_}', which is none of the {len(OBJECTS)} objects")
        picture = Picture(
            id=row.id,
            caption=f"a photo of {object_}" if style == PHOTOGRAPHS else f"a painting of {object_} in {style} style",
            attributes={OBJECT: object_, **({STYLE: style} if style in STYLES else {})},
            load=row.load,
        )
        return Found(picture=picture, split=row.split)

    def _tabled(self, root: Path) -> list[Row]:
        rows = self.source.rows(root)
        for kind in (STYLE, OBJECT):
            text_column(rows, (kind,), self.source, root)
        return rows


def _painted(root: Path) -> list[Row]:
    """Return the pictures of ``style/object/number.jpg``; none when the files are laid out otherwise."""
    files = sorted(file for file in root.glob("*/*/*") if file.suffix.lower() in IMAGES)
    return [
        Row(
            id=file.relative_to(root).as_posix(),
            columns={STYLE: file.parent.parent.name, OBJECT: file.parent.name},
            load=partial(read_image, file),
        )
        for file in files
    ]
