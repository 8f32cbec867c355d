"""Pictures to train and to test the judges on: drawings under hard conditions, and pictures of nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from vu_emoji.art import PlacementRange, compose, load_drawing
from vu_emoji.catalogue import Catalogue
from vu_emoji.judges import Kind

WIDE = PlacementRange(scale=(0.62, 1.0), shift=0.07, rotation=14.0, mirror=0.5)
NONSENSE = ("flat", "grain", "clouds", "blur", "blend", "tiles")

Part = Literal["train", "fit", "test"]


@dataclass(frozen=True)
class Labelled:
    """Pictures with the judges' classes; the last class number of each kind is "other".

    Attributes:
        images: uint8 (N, 3, H, W), RGB.
        objects: int64 (N,).
        styles: int64 (N,).
    """

    images: torch.Tensor
    objects: torch.Tensor
    styles: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    def labels(self, kind: Kind) -> torch.Tensor:
        """Returns the classes of one kind of judge, int64 (N,)."""
        return self.objects if kind == "object" else self.styles

    def where(self, rows: torch.Tensor) -> Labelled:
        """Returns some of the pictures, chosen by numbers int64 (M,) or a mask bool (N,)."""
        return Labelled(self.images[rows], self.objects[rows], self.styles[rows])

    @classmethod
    def joined(cls, parts: Iterable[Labelled]) -> Labelled:
        """Returns the pictures of all parts."""
        columns = zip(*((part.images, part.objects, part.styles) for part in parts), strict=True)
        return cls(*(torch.cat(column) for column in columns))

    @classmethod
    def of_nothing(cls, images: torch.Tensor, catalogue: Catalogue) -> Labelled:
        """Returns float32 images in [0, 1] as pictures that show no object and no style."""
        pixels = (images * 255).round().to(torch.uint8)
        count = len(images)
        return cls(
            pixels,
            torch.full((count,), len(catalogue.objects)),
            torch.full((count,), len(catalogue.styles)),
        )


def random_background(catalogue: Catalogue, rng: np.random.Generator) -> tuple[int, int, int]:
    """Returns white, a named colour near its own value, or any light colour."""
    choice = rng.random()
    if choice < 0.35:
        return 255, 255, 255
    if choice < 0.8:
        base = catalogue.backgrounds[rng.integers(len(catalogue.backgrounds))].rgb
        r, g, b = np.clip(np.array(base) + rng.integers(-12, 13, 3), 0, 255).tolist()
    else:
        r, g, b = rng.integers(120, 256, 3).tolist()
    return r, g, b


def compose_art(catalogue: Catalogue, rng: np.random.Generator, copies: int) -> Labelled:
    """Returns every cell's drawing at new places and on new backgrounds, also of the cells held out.

    Args:
        catalogue: the cells.
        rng: of backgrounds and placements.
        copies: pictures of each cell.
    """
    drawings = (
        (load_drawing(name, style), (i, k))
        for k, style in enumerate(catalogue.style_names)
        for i, name in enumerate(catalogue.object_names)
    )
    return _composed(catalogue, drawings, rng, copies)


def compose_others(catalogue: Catalogue, folder: Path, part: Part, rng: np.random.Generator, copies: int) -> Labelled:
    """Returns drawings of other emoji concepts in the catalogue's styles, placed as the art.

    Args:
        catalogue: the styles.
        folder: what the stage ``render`` of the training run drew; these drawings are not shipped.
        part: no two parts share a concept: of ten, eight train, one fits temperatures, one tests.
        rng: of backgrounds and placements.
        copies: pictures of each drawing.

    Raises:
        FileNotFoundError: the folder has no drawings.
    """
    concepts = sorted(json.loads((folder / "labels.json").read_text(encoding="utf-8")))
    parts = {0: "fit", 5: "test"}
    chosen = [name for i, name in enumerate(concepts) if parts.get(i % 10, "train") == part]
    drawings = (
        (_drawing(folder / style / f"{name}.png"), (len(catalogue.objects), k))
        for k, style in enumerate(catalogue.style_names)
        for name in chosen
        if (folder / style / f"{name}.png").exists()  # not every set draws every concept
    )
    return _composed(catalogue, drawings, rng, copies)


def _drawing(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGBA")


def _composed(
    catalogue: Catalogue,
    drawings: Iterable[tuple[Image.Image, tuple[int, int]]],
    rng: np.random.Generator,
    copies: int,
) -> Labelled:
    images, facts = [], []
    for drawing, classes in drawings:
        for _ in range(copies):
            rgb = random_background(catalogue, rng)
            image = compose(drawing, rgb, WIDE.sample(rng), catalogue.image_size)
            images.append(np.asarray(image).transpose(2, 0, 1))
            facts.append(classes)
    objects, styles = torch.tensor(facts).unbind(1)
    return Labelled(torch.from_numpy(np.stack(images)), objects, styles)


def degrade(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Returns float32 images in [0, 1] with random light, colour, softness and noise.

    Generated images are a little soft and off in colour; a judge must not mind.
    """
    n = len(images)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    gain, shift = uniform(0.85, 1.15, 3, 1, 1), uniform(-0.06, 0.06, 3, 1, 1)
    images = (images - 0.5) * gain + 0.5 + shift
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softer = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    weight = uniform(-0.3, 1.0, 1, 1, 1).clamp(min=0)
    pick = (torch.rand(n, 1, 1, 1, generator=generator) < 0.3).float()
    images = images + weight * (pick * softer + (1 - pick) * soft - images)
    strength = uniform(-0.03, 0.06, 1, 1, 1).clamp(min=0)
    images = images + strength * torch.randn(images.shape, generator=generator)
    return images.clamp(0, 1)


def nonsense(images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns as many images that show nothing, and which of ``NONSENSE`` each is, int64 (N,).

    Args:
        images: float32 (N, 3, 64, 64) in [0, 1], the raw material.
        generator: of everything random.
    """
    n = len(images)
    flat = torch.rand(n, 3, 1, 1, generator=generator).expand_as(images)
    grain = flat + 0.4 * torch.rand(n, 1, 1, 1, generator=generator) * torch.randn(images.shape, generator=generator)
    coarse = torch.rand(n, 3, 8, 8, generator=generator)
    clouds = F.interpolate(coarse, scale_factor=8, mode="bilinear")
    blur = F.interpolate(F.avg_pool2d(images, 16), scale_factor=16, mode="bilinear")
    blend = 0.5 * images + 0.5 * images[torch.randperm(n, generator=generator)].flip(3)
    grid = images.unfold(2, 16, 16).unfold(3, 16, 16).reshape(n, 3, 16, 16, 16)
    order = torch.randperm(16, generator=generator)
    tiles = grid[:, :, order].reshape(n, 3, 4, 4, 16, 16).permute(0, 1, 2, 4, 3, 5)
    kinds = torch.stack([flat, grain, clouds, blur, blend, tiles.reshape_as(images)])
    choice = torch.randint(len(kinds), (n,), generator=generator)
    return kinds[choice, torch.arange(n)].clamp(0, 1), choice
