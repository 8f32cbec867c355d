"""The shipped drawings, and how a drawing becomes an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from vu_emoji.catalogue import assets


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how a drawing stands on its canvas.

    Attributes:
        scale: side of the drawing as a share of the canvas's side.
        shift: offset of the drawing's centre from the canvas's, (right, down), in shares of the side.
        rotation: degrees, counter-clockwise.
        mirror: whether left and right are swapped.
    """

    scale: float = 0.86
    shift: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    mirror: bool = False


@dataclass(frozen=True, kw_only=True)
class PlacementRange:
    """Ranges from which placements are drawn evenly; the defaults are those of the pipeline's data."""

    scale: tuple[float, float] = (0.80, 0.92)
    shift: float = 0.03
    rotation: float = 6.0
    mirror: float = 0.0

    def sample(self, rng: np.random.Generator) -> Placement:
        """Returns a random placement."""
        return Placement(
            scale=float(rng.uniform(*self.scale)),
            shift=(
                float(rng.uniform(-self.shift, self.shift)),
                float(rng.uniform(-self.shift, self.shift)),
            ),
            rotation=float(rng.uniform(-self.rotation, self.rotation)),
            mirror=bool(rng.random() < self.mirror),
        )


def drawing_path(object: str, style: str) -> Path:
    """Returns the file of a cell's drawing."""
    return assets() / "art" / style / f"{object}.png"


@cache
def load_drawing(object: str, style: str) -> Image.Image:
    """Returns a cell's drawing, RGBA.

    Raises:
        FileNotFoundError: there is no drawing of that object in that style.
    """
    with Image.open(drawing_path(object, style)) as image:
        return image.convert("RGBA")


def compose(
    drawing: Image.Image,
    rgb: tuple[int, int, int],
    placement: Placement | None = None,
    size: int = 64,
) -> Image.Image:
    """Returns the drawing on a plain background as an RGB image.

    Args:
        drawing: RGBA, square.
        rgb: the background's colour, each in 0..255.
        placement: where the drawing stands; upright in the middle when None.
        size: side of the result, in pixels.

    Example:
        >>> from vu_emoji.art import compose, load_drawing
        >>> compose(load_drawing("cat", "noto"), (255, 255, 255)).size
        (64, 64)
    """
    place = placement or Placement()
    # Shrink with a proper filter first: the affine transform alone would alias.
    side = max(1, round(place.scale * size))
    source = drawing.resize((side, side), Image.Resampling.LANCZOS)
    ratio = side / (place.scale * size)
    angle = math.radians(place.rotation)
    cos, sin = math.cos(angle) * ratio, math.sin(angle) * ratio
    flip = -1.0 if place.mirror else 1.0
    centre_x = size / 2 + place.shift[0] * size
    centre_y = size / 2 + place.shift[1] * size
    middle = side / 2
    matrix = (
        flip * cos,
        flip * -sin,
        middle - flip * (cos * centre_x - sin * centre_y),
        sin,
        cos,
        middle - (sin * centre_x + cos * centre_y),
    )
    placed = source.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (size, size), (*rgb, 255))
    canvas.alpha_composite(placed)
    return canvas.convert("RGB")


def compose_cell(
    object: str,
    style: str,
    rgb: tuple[int, int, int],
    placement: Placement | None = None,
    size: int = 64,
) -> Image.Image:
    """Returns a cell's drawing on a plain background as an RGB image."""
    return compose(load_drawing(object, style), rgb, placement, size)
