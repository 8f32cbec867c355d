"""Composed training images with the facts that are true of each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vu_emoji.art import compose_cell
from vu_emoji.catalogue import Caption, Catalogue
from vu_emoji.train.files import load_tensors, save_tensors
from vu_emoji.train.settings import PoolSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """Images with the numbers of their object, style and background.

    Attributes:
        images: uint8 (N, 3, H, W), RGB.
        objects: int64 (N,), places in ``catalogue.object_names``.
        styles: int64 (N,), places in ``catalogue.style_names``.
        backgrounds: int64 (N,), places in ``catalogue.background_names``.
    """

    images: torch.Tensor
    objects: torch.Tensor
    styles: torch.Tensor
    backgrounds: torch.Tensor

    def __len__(self) -> int:
        return len(self.objects)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """Returns float32 (B, 3, H, W) images in [-1, 1]."""
        return self.images[rows].float().div_(127.5).sub_(1.0)


def compose_pool(catalogue: Catalogue, settings: PoolSettings, split: str = "train") -> Pool:
    """Returns the pool of a split's cells, each on the default and on random other backgrounds."""
    rng = np.random.default_rng(settings.seed)
    names = catalogue.background_names
    default = names.index(catalogue.default_background)
    others = [i for i in range(len(names)) if i != default]
    images, facts = [], []
    for object_name, style in catalogue.cells(split):  # type: ignore[arg-type]
        for k in range(settings.plain + settings.coloured):
            background = default if k < settings.plain else others[k % len(others)]
            rgb = catalogue.backgrounds[background].rgb
            image = compose_cell(object_name, style, rgb, settings.placement.sample(rng), catalogue.image_size)
            images.append(np.asarray(image).transpose(2, 0, 1))
            facts.append(
                (
                    catalogue.object_names.index(object_name),
                    catalogue.style_names.index(style),
                    background,
                )
            )
    columns = torch.tensor(facts).unbind(1)
    log.info("composed %d images of the %s cells", len(images), split)
    return Pool(torch.from_numpy(np.stack(images)), *columns)


def load_pool(catalogue: Catalogue, settings: PoolSettings, path: Path) -> Pool:
    """Returns the training pool, composed and stored when there is none yet."""
    if not path.exists():
        pool = compose_pool(catalogue, settings)
        save_tensors(path, {name: getattr(pool, name) for name in Pool.__annotations__})
        return pool
    tensors, _ = load_tensors(path)
    return Pool(**tensors)


class Captioner:
    """Draws captions for images: what is stated is true, what is left open is left open.

    A background is named where it differs from the default one, and otherwise rarely: a caption
    without one means the default background.
    """

    kinds = ("both", "object", "style")
    shares = (0.8, 0.13, 0.07)
    first_template = 0.5
    name_default = 0.1

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.captions: list[Caption] = []
        self.numbers: dict[tuple[str | None, str | None, str | None, int], int] = {}

    def number(self, object: str | None, style: str | None, background: str | None, k: int) -> int:
        """Returns the number of a caption, which is made when it is new."""
        key = (object, style, background, k)
        if key not in self.numbers:
            text = self.catalogue.caption(object, style, background, template=k)
            self.numbers[key] = len(self.captions)
            self.captions.append(Caption(text=text, object=object, style=style, background=background))
        return self.numbers[key]

    def list_all(self) -> list[Caption]:
        """Returns every caption that :meth:`draw` can draw, in a fixed order."""
        names = (None, *self.catalogue.background_names)
        for object_name in (None, *self.catalogue.object_names):
            for style in (None, *self.catalogue.style_names):
                kind = self.kind(object_name, style)
                for k in range(len(self.catalogue.templates[kind]) if kind else 1):
                    for background in names if kind else (None,):
                        self.number(object_name, style, background, k)
        return self.captions

    @staticmethod
    def kind(object: str | None, style: str | None) -> str | None:
        """Returns which templates state these facts."""
        if object and style:
            return "both"
        return "object" if object else "style" if style else None

    def draw(self, object: str, style: str, background: str, rng: np.random.Generator) -> int:
        """Returns the number of a random caption that is true of an image."""
        kind = self.kinds[rng.choice(len(self.kinds), p=self.shares)]
        count = len(self.catalogue.templates[kind])
        k = 0 if rng.random() < self.first_template else int(rng.integers(count))
        plain = background == self.catalogue.default_background
        named = rng.random() < self.name_default if plain else True
        return self.number(
            object if kind != "style" else None,
            style if kind != "object" else None,
            background if named else None,
            k,
        )
