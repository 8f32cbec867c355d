"""The judges: which object, which style, or neither. They share nothing with the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from vu_emoji.catalogue import assets

OTHER = "other"

Kind = Literal["object", "style"]

# The shipped judges and what each tells; the second ones differ in shape, seeds and training pictures.
JUDGES: dict[str, Kind] = {"object": "object", "style": "style", "object-b": "object", "style-b": "style"}


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.shortcut = (
            nn.Conv2d(inside, outside, 1, stride, bias=False) if stride != 1 or inside != outside else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the block's output."""
        y = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(y)) + self.shortcut(x))


class ResidualNetwork(nn.Module):
    """Four residual blocks (He et al. 2016) from 32 x 32 down to 4 x 4 places.

    Args:
        width: channels of the first level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = 4 * width
        self.stem = nn.Conv2d(3, width, 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Residual(width, width, 1),
            Residual(width, 2 * width, 2),
            Residual(2 * width, 4 * width, 2),
            Residual(4 * width, 4 * width, 2),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, 4 * width, 4, 4) of images (N, 3, 64, 64) in [-1, 1]."""
        maps: torch.Tensor = self.blocks(F.relu(self.norm(self.stem(x))))
        return maps


class Depthwise(nn.Module):
    """A 5 x 5 convolution of each channel alone, then a two-layer network at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 5, 1, 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.rise = nn.Linear(channels, 4 * channels)
        self.fall = nn.Linear(4 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the block's output."""
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        change: torch.Tensor = self.fall(F.gelu(self.rise(y)))
        return x + change.permute(0, 3, 1, 2)


class DepthwiseNetwork(nn.Module):
    """A small ConvNeXt (Liu et al. 2022): 4 x 4 patches, then blocks on 16 x 16, 8 x 8 and 4 x 4 places.

    Args:
        width: channels of the first level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = 4 * width
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(
            Depthwise(width),
            nn.Conv2d(width, 2 * width, 2, 2),
            Depthwise(2 * width),
            Depthwise(2 * width),
            nn.Conv2d(2 * width, 4 * width, 2, 2),
            Depthwise(4 * width),
            Depthwise(4 * width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, 4 * width, 4, 4) of images (N, 3, 64, 64) in [-1, 1]."""
        maps: torch.Tensor = self.blocks(self.stem(x))
        return maps


NETWORKS: dict[str, Callable[[int], ResidualNetwork | DepthwiseNetwork]] = {
    "residual": ResidualNetwork,
    "depthwise": DepthwiseNetwork,
}


class EmojiClassifier(nn.Module):
    """Which of some classes a 64 x 64 image belongs to.

    Args:
        classes: names of the outcomes, ``other`` among them.
        network: one of ``NETWORKS``.
        width: channels of the network's first level.
        temperature: divides the logits, so that probabilities are calibrated.
        glances: whether, once trained, it averages its logits over :func:`glances` of an image.
    """

    def __init__(
        self,
        classes: Sequence[str],
        network: str = "residual",
        width: int = 24,
        temperature: float = 1.0,
        glances: bool = False,
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.temperature = temperature
        self.glances = glances
        self.body = NETWORKS[network](width)
        # The last map is kept 2 x 2 coarse: where a part lies tells emoji apart.
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(4 * self.body.channels, len(self.classes))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, 16 * width): what the last layer sees.

        Args:
            images: float32 (N, 3, 64, 64), RGB in [0, 1].
        """
        maps: torch.Tensor = self.pool(self.body(images * 2 - 1))
        return maps.flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, classes): calibrated logits.

        Args:
            images: float32 (N, 3, 64, 64), RGB in [0, 1].
        """
        seen = glances(images) if self.glances and not self.training else [images]
        logits = [self.head(F.dropout(self.features(one), 0.2, self.training)) for one in seen]
        return torch.stack(logits).mean(0) / self.temperature


def glances(images: torch.Tensor) -> list[torch.Tensor]:
    """Returns images (N, 3, H, W) as they are, two pixels to the right, two pixels down, and all mirrored."""
    wide = F.pad(images, (2, 0, 2, 0), mode="replicate")
    moved = [images, wide[:, :, 2:, :-2], wide[:, :, :-2, 2:]]
    return [*moved, *(one.flip(3) for one in moved)]


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one image."""

    name: str
    probability: float


def judge_folder() -> Path:
    """Returns the folder of the shipped judges."""
    return assets() / "judges"


def load_judge(name: str, folder: Path | None = None) -> EmojiClassifier:
    """Returns a shipped judge, ready to be asked.

    Args:
        name: one of ``JUDGES``.
        folder: where the judges are; the shipped ones when None.

    Raises:
        FileNotFoundError: there is no judge of that name.

    Example:
        >>> from vu_emoji.judges import load_judge
        >>> load_judge("object").classes[-1]
        'other'
    """
    folder = folder or judge_folder()
    notes = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    judge = EmojiClassifier(notes["classes"], notes["network"], notes["width"], notes["temperature"], notes["glances"])
    weights = load_file(folder / f"{name}.safetensors")
    judge.load_state_dict({key: value.float() for key, value in weights.items()})
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def judge_images(judge: EmojiClassifier, images: torch.Tensor, batch: int = 128) -> list[Verdict]:
    """Returns a verdict for each image.

    Args:
        judge: an object or a style judge.
        images: float32 (N, 3, 64, 64), RGB in [0, 1].
        batch: images judged at once.
    """
    verdicts = []
    for part in torch.split(images, batch):
        best = judge(part).softmax(1).max(1)
        for probability, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            verdicts.append(Verdict(judge.classes[place], probability))
    return verdicts
