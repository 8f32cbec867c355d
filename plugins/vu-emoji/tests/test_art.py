"""The drawings, and how they are placed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from vu_emoji.art import Placement, PlacementRange, compose, compose_cell, load_drawing
from vu_emoji.catalogue import load_catalogue


def test_every_drawing_is_shipped_and_not_blank() -> None:
    catalogue = load_catalogue()
    for name, style in catalogue.cells():
        drawing = load_drawing(name, style)
        assert drawing.size == (catalogue.art_size, catalogue.art_size)
        assert np.asarray(drawing)[..., 3].mean() > 20


def test_background_is_where_the_drawing_is_not() -> None:
    image = compose_cell("cat", "noto", (10, 200, 30))
    assert image.getpixel((0, 0)) == (10, 200, 30)
    assert image.mode == "RGB"


def corner() -> Image.Image:
    """A drawing that is opaque red in its upper left quarter alone."""
    drawing = Image.new("RGBA", (64, 64))
    drawing.paste((255, 0, 0, 255), (0, 0, 32, 32))
    return drawing


@pytest.mark.parametrize(
    ("placement", "place"),
    [
        (Placement(scale=1.0), (16, 16)),
        (Placement(scale=1.0, mirror=True), (48, 16)),
        (Placement(scale=1.0, rotation=90), (16, 48)),
        (Placement(scale=0.5), (24, 24)),
        (Placement(scale=0.5, shift=(0.25, 0.0)), (40, 24)),
    ],
)
def test_placements(placement: Placement, place: tuple[int, int]) -> None:
    image = np.asarray(compose(corner(), (255, 255, 255), placement))
    assert tuple(image[place[1], place[0]]) == (255, 0, 0)
    assert tuple(image[place[1], 63 - place[0]]) == (255, 255, 255)


def test_placements_repeat_with_the_seed() -> None:
    drawn = [PlacementRange().sample(np.random.default_rng(5)) for _ in range(2)]
    assert drawn[0] == drawn[1]
