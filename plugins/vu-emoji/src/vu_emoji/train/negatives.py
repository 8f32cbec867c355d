"""Images for the judges: the art under hard conditions, and what is none of the catalogue."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from vu_emoji.art import PlacementRange, compose, load_drawing
from vu_emoji.catalogue import Catalogue
from vu_emoji.train.files import load_tensors, save_tensors

log = logging.getLogger(__name__)

WIDE = PlacementRange(scale=(0.62, 1.0), shift=0.07, rotation=14.0, mirror=0.5)


@dataclass(frozen=True)
class JudgePool:
    """Composed images with the judges' classes; the last class number is "other".

    Attributes:
        images: uint8 (N, 3, H, W), RGB.
        objects: int64 (N,).
        styles: int64 (N,).
    """

    images: torch.Tensor
    objects: torch.Tensor
    styles: torch.Tensor


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


def compose_judge_pool(
    catalogue: Catalogue,
    negatives: Path,
    path: Path,
    *,
    seed: int,
    copies: int,
    negative_copies: int,
    validation: bool,
) -> JudgePool:
    """Returns images of all cells and of other concepts, composed and stored when missing.

    Args:
        catalogue: the cells; the ones held out from the pipeline are among them.
        negatives: the folder that ``render_negatives`` filled.
        path: where the pool is stored.
        seed: of backgrounds and placements.
        copies: images of each cell.
        negative_copies: images of each other drawing.
        validation: which of the two disjoint parts of the other concepts to use.
    """
    if path.exists():
        return JudgePool(**load_tensors(path)[0])
    rng = np.random.default_rng(seed)
    size = catalogue.image_size
    images, facts = [], []

    def add(drawing: Image.Image, object_class: int, style_class: int, count: int) -> None:
        for _ in range(count):
            rgb = random_background(catalogue, rng)
            image = compose(drawing, rgb, WIDE.sample(rng), size)
            images.append(np.asarray(image).transpose(2, 0, 1))
            facts.append((object_class, style_class))

    concepts = sorted(json.loads((negatives / "labels.json").read_text(encoding="utf-8")))
    concepts = [name for i, name in enumerate(concepts) if (i % 5 == 0) == validation]
    for style_class, style in enumerate(catalogue.style_names):
        for object_class, name in enumerate(catalogue.object_names):
            add(load_drawing(name, style), object_class, style_class, copies)
        for concept in concepts:
            file = negatives / style / f"{concept}.png"
            if file.exists():
                with Image.open(file) as image:
                    drawing = image.convert("RGBA")
                add(drawing, len(catalogue.objects), style_class, negative_copies)
    objects, styles = torch.tensor(facts).unbind(1)
    pool = JudgePool(torch.from_numpy(np.stack(images)), objects, styles)
    save_tensors(path, {name: getattr(pool, name) for name in JudgePool.__annotations__})
    log.info("composed %d images for the judges (%s)", len(images), path.name)
    return pool


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


def nonsense(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Returns as many images that show nothing: flat, noise, blurs, blends, shuffled patches.

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
    return kinds[choice, torch.arange(n)].clamp(0, 1)
