"""Endless, shuffled streams of pictures, from which a step takes its batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import torch

from vu_train.randomness import generator_of


class HasIds(Protocol):
    """A batch: anything that can say which pictures it holds."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of its pictures, for messages."""


class Stream(Protocol):
    """Where the batches of one name come from."""

    @property
    def batch_size(self) -> int:
        """Pictures a step, over all its parts and processes."""

    def __len__(self) -> int:
        """Return how many pictures there are; so many positions are an epoch."""

    def take(self, positions: Sequence[int]) -> HasIds:
        """Return the batch at ``positions`` of the endless stream; the same whenever and however it is asked for."""

    def key(self) -> str:
        """Return a sha256 (hex) of all that decides its batches."""


class Order:
    """An endless order of n things: each epoch is a new permutation.

    Args:
        size: n, at least 1.
        place: What the permutations are seeded by.

    Example:
        >>> order = Order(3, 0, "forget")
        >>> sorted(order[position] for position in range(3, 6))
        [0, 1, 2]
    """

    def __init__(self, size: int, *place: object) -> None:
        self._size = size
        self._place = place
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def __getitem__(self, position: int) -> int:
        """Return which of the n things is at ``position``."""
        epoch, index = divmod(position, self._size)
        return self._permutation(epoch)[index]

    def _permute(self, epoch: int) -> list[int]:
        generator = generator_of(*self._place, "order", epoch)
        found: list[int] = torch.randperm(self._size, generator=generator).tolist()
        return found
