"""1,797 handwritten digits of 8 x 8 pixels: 1,200 to learn from and 597 to test with."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import ClassVar

from vu_core import Concept
from vu_core.picturedata import Found, PictureDataset, array_pictures
from vu_core.pictures import read_sheet
from vu_core.splits import draw

CLASS = "class"
CLASSES = tuple("0123456789")
SIZE = (8, 8)
LEARNED = 1200

_ASSETS = Path(__file__).parent / "assets"
_SPLIT_SEED = 0


class Digits(PictureDataset):
    """The digits of scikit-learn; each picture is of one class, its digit.

    Which 597 are for testing is fixed: those whose ids come last in a drawn order. A tenth of the other 1,200 is drawn
    for validation.

    Example:
        >>> from vu_digits.config import DigitsOptions
        >>> digits = Digits(DigitsOptions())
        >>> [len(digits.pictures(split)) for split in ("train", "validation", "test", "membership")]
        [1084, 116, 597, 0]
    """

    name = "digits"
    templates: ClassVar = {CLASS: ("{}", "the digit {}", "a handwritten {}", "a scan of the digit {}")}

    def named(self) -> list[Concept]:
        """Return the ten digits."""
        return [Concept(name=name, kind=CLASS) for name in CLASSES]

    def found(self) -> list[Found]:
        """Return all pictures, in scikit-learn's order."""
        labels = _labels()
        attributes = [{CLASS: CLASSES[label]} for label in labels]
        captions = [f"a handwritten {CLASSES[label]}" for label in labels]
        images = read_sheet(_ASSETS / "digits.png", SIZE, len(labels))
        pictures = array_pictures(images, attributes, captions=captions, prefix="digit")
        order = sorted(range(len(pictures)), key=lambda place: draw(_SPLIT_SEED, "test", pictures[place].picture.id))
        learned = set(order[:LEARNED])
        return [
            Found(picture=one.picture, split="train" if place in learned else "test")
            for place, one in enumerate(pictures)
        ]


@cache
def _labels() -> list[int]:
    found: list[int] = json.loads((_ASSETS / "labels.json").read_text(encoding="utf-8"))
    return found
