"""The judges: which object, which style, or neither. They share nothing with the pipeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from vu_emoji.catalogue import assets

OTHER = "other"


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


class EmojiClassifier(nn.Module):
    """A small residual network on 64 x 64 images.

    Args:
        classes: names of the outcomes, ``other`` among them.
        width: channels of the first level.
        temperature: divides the logits, so that probabilities are calibrated.
    """

    def __init__(self, classes: Sequence[str], width: int = 24, temperature: float = 1.0) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.width = width
        self.temperature = temperature
        self.stem = nn.Conv2d(3, width, 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Residual(width, width, 1),
            Residual(width, 2 * width, 2),
            Residual(2 * width, 4 * width, 2),
            Residual(4 * width, 4 * width, 2),
        )
        # The last map is kept 2 x 2 coarse: where a part lies tells emoji apart.
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(16 * width, len(self.classes))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, 16 * width): what the last layer sees.

        Args:
            images: float32 (N, 3, 64, 64), RGB in [0, 1].
        """
        x = F.relu(self.norm(self.stem(images * 2 - 1)))
        maps: torch.Tensor = self.pool(self.blocks(x))
        return maps.flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 (N, classes): calibrated logits.

        Args:
            images: float32 (N, 3, 64, 64), RGB in [0, 1].
        """
        logits: torch.Tensor = self.head(F.dropout(self.features(images), 0.2, self.training))
        return logits / self.temperature


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
        name: ``object`` or ``style``.
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
    judge = EmojiClassifier(notes["classes"], notes["width"], notes["temperature"])
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
