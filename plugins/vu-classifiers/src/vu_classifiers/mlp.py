"""A multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class _Grey(nn.Module):
    """The mean of a picture's colours."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(1)


def mlp(classes: int, picture_size: tuple[int, int], width: int = 64, layers: int = 1, grey: bool = False) -> nn.Module:
    """Return a perceptron with ReLU: pixels, ``layers`` hidden layers of ``width``, logits.

    Args:
        classes: How many.
        picture_size: Height and width, in pixels.
        width: Units of a hidden layer.
        layers: Hidden layers.
        grey: Whether it reads the mean of the colours, a third of the inputs.

    Example:
        >>> sum(p.numel() for p in mlp(10, (8, 8), grey=True).parameters())  # 64-64-10
        4810
    """
    height, across = picture_size
    sizes = [height * across * (1 if grey else 3), *[width] * layers]
    hidden: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        hidden += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*([_Grey()] if grey else []), nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))
