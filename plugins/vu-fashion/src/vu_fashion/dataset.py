"""A tenth and more of Fashion-MNIST: 10,000 pictures to learn from and 2,000 to test with, evenly of ten classes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import ClassVar

from vu_core import Concept
from vu_core.picturedata import Found, PictureDataset, array_pictures
from vu_core.pictures import read_sheet

CLASS = "class"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIZE = (28, 28)
EACH = {"train": 1000, "test": 200}
"""How many pictures of each class are in each part of the source: the first ones there."""

_ASSETS = Path(__file__).parent / "assets"


class Fashion(PictureDataset):
    """Pictures of clothes; each is of one class. A tenth of those to learn from is drawn for validation.

    Example:
        >>> from vu_fashion.config import FashionOptions
        >>> fashion = Fashion(FashionOptions())
        >>> sum(len(fashion.pictures(split)) for split in ("train", "validation")), len(fashion.pictures("test"))
        (10000, 2000)
    """

    name = "fashion"
    templates: ClassVar = {CLASS: ("{}", "a photo of a {}", "a {} on black", "a grey picture of a {}")}

    def named(self) -> list[Concept]:
        """Return the ten classes."""
        return [Concept(name=name, kind=CLASS) for name in CLASSES]

    def found(self) -> list[Found]:
        """Return all pictures, in the source's order."""
        found: list[Found] = []
        for part, labels in _labels().items():
            images = read_sheet(_ASSETS / f"{part}.png", SIZE, len(labels))
            attributes = [{CLASS: CLASSES[label]} for label in labels]
            captions = [f"a photo of a {CLASSES[label]}" for label in labels]
            found += array_pictures(images, attributes, captions=captions, prefix=part, split=part)
        return found


@cache
def _labels() -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads((_ASSETS / "labels.json").read_text(encoding="utf-8"))
    return found
