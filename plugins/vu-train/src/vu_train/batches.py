"""Batches of labelled images: shuffled and augmented by where they are used, on the device of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import torch

from vu_train.labelled import LabelledImages
from vu_train.randomness import generator_of

Augment = Literal["none", "crop-flip"]

_LARGEST_SHIFT = 1 / 8


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """Some images of a set.

    Attributes:
        images: Floating-point (n, 3, H, W), RGB in [0, 1], on the network's device in its type.
        labels: int64 (n,), on the network's device.
        positions: int64 (n,), on the CPU: where they are in the set.
        ids: Names of the pictures.
    """

    images: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    ids: tuple[str, ...]


class Batches:
    """All images of a set once, in batches; the last one may be smaller.

    Args:
        images: The set.
        size: Images a batch.
        network: Decides the device and the type of the images.
        place: What order and augmentation are seeded by, texts and numbers: run's seed, use, epoch. Without one the
            images come in their order, as they are.
        augment: ``"crop-flip"`` pads each image with black by an eighth of its side, cuts its size out of it at a
            random place, and mirrors every other image, by chance.

    Example:
        >>> images = LabelledImages(
        ...     images=torch.zeros(3, 3, 8, 8, dtype=torch.uint8), labels=torch.arange(3), ids=("a", "b", "c")
        ... )
        >>> [batch.ids for batch in Batches(images, 2, torch.nn.Linear(1, 1))]
        [('a', 'b'), ('c',)]
    """

    def __init__(
        self,
        images: LabelledImages,
        size: int,
        network: torch.nn.Module,
        place: tuple[object, ...] = (),
        *,
        augment: Augment = "none",
    ) -> None:
        self._set, self._size, self._place, self._augment = images, size, place, augment
        first = next(network.parameters())
        self._device, self._dtype = first.device, first.dtype

    def __len__(self) -> int:
        """Return how many batches there are."""
        return -(-len(self._set) // self._size)

    def __iter__(self) -> Iterator[ImageBatch]:
        """Yield the batches; the same ones each time."""
        if not self._place:
            yield from map(self._batch, torch.split(torch.arange(len(self._set)), self._size))
            return
        order = torch.randperm(len(self._set), generator=generator_of(*self._place, "order"))
        generator = generator_of(*self._place, self._augment)
        for positions in torch.split(order, self._size) if len(order) else ():
            yield self._batch(positions, generator)

    def _batch(self, positions: torch.Tensor, generator: torch.Generator | None = None) -> ImageBatch:
        chosen = self._set.at(positions)
        images = chosen.images.to(self._device)
        if self._augment == "crop-flip" and generator is not None:
            images = crop_flip(images, generator)
        return ImageBatch(
            images=as_input(images, self._dtype),
            labels=chosen.labels.to(self._device),
            positions=positions,
            ids=chosen.ids,
        )


def as_input(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return ``images``, uint8 or floating-point in [0, 1], as a network reads them: in [0, 1], of type ``dtype``."""
    return images.to(dtype) if images.is_floating_point() else images.to(dtype) / 255


def endless(
    images: LabelledImages,
    size: int,
    network: torch.nn.Module,
    place: tuple[object, ...],
    *,
    augment: Augment = "none",
) -> Iterator[ImageBatch]:
    """Yield batches for ever, as `Batches` of the same arguments: each round over the images in an order of its own."""
    for cycle in count():
        yield from Batches(images, size, network, (*place, cycle), augment=augment)


def crop_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return ``images`` (n, 3, H, W), each shifted by up to an eighth of its side and mirrored by chance.

    What is shifted in from outside is 0, black. ``generator`` is on the CPU.
    """
    n, _, height, width = images.shape
    pad_y, pad_x = round(height * _LARGEST_SHIFT), round(width * _LARGEST_SHIFT)
    padded = torch.nn.functional.pad(images, (pad_x, pad_x, pad_y, pad_y))
    rows = torch.randint(2 * pad_y + 1, (n, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * pad_x + 1, (n, 1), generator=generator) + torch.arange(width)
    mirrored = torch.rand(n, generator=generator) < 0.5
    columns[mirrored] = columns[mirrored].flip(1)
    rows, columns = rows.to(images.device), columns.to(images.device)
    which = torch.arange(n, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
