"""VGG-16 with batch normalisation, in the form that is used for small pictures: one linear layer at the end."""

from __future__ import annotations

import torch
from torch import nn

_STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
_SMALLEST = 1 << len(_STAGES)


class VGG(nn.Module):
    """Convolutions of 3 x 3 in five stages, halved after each.

    Args:
        classes: How many.
        width: Channels of the first stage.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage in _STAGES:
            for factor in stage:
                outputs = factor * width
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) for normalised pictures (N, 3, H, W)."""
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


def vgg16_bn(classes: int, picture_size: tuple[int, int], width: int = 64) -> VGG:
    """Return a VGG-16 with batch normalisation; Simonyan and Zisserman, arXiv:1409.1556, configuration D.

    Args:
        classes: How many.
        picture_size: At least 32 x 32 pixels, which its five stages halve to one.
        width: Channels of the first stage; the published network has 64.

    Raises:
        ValueError: The pictures are smaller.

    Example:
        >>> sum(p.numel() for p in vgg16_bn(10, (32, 32)).parameters())
        14728266
    """
    if min(picture_size) < _SMALLEST:
        raise ValueError(f"pictures of {' x '.join(map(str, picture_size))} pixels are too small, it takes {_SMALLEST}")
    return VGG(classes, width)
