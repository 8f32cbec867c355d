"""The Inception network of FID: the one trained in 2015, with the quirks of its TensorFlow graph.

Its averages leave out padding, its last block takes maxima instead, and it has 1008 outputs, none of which is computed
here. Names of modules are those of the published file of torch-fidelity, which holds its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from vu_metrics_image import resizing
from vu_metrics_image.checkpoints import fill, read_weights

FILE = "weights-inception-2015-12-05-6726825d.pth"
SOURCE = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SIDE, WIDTH = 299, 2048

_AT_ONCE = 32  # pictures; the widest layer of one takes 5.6 MB

Kernel = int | tuple[int, int]


class Step(NamedTuple):
    """A convolution of a branch: module's name, output channels, kernel, stride. Padding keeps the size at stride 1."""

    name: str
    width: int
    kernel: Kernel = 1
    stride: int = 1


Branch = Sequence[Step | str | list[Step]]
"""Steps one after the other; a text pools, and steps in a list run side by side."""


class Convolution(nn.Module):
    """A convolution without bias, batch normalisation, and ReLU."""

    def __init__(self, inside: int, outside: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations."""
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches over one input, their outputs side by side.

    Args:
        inside: Input channels.
        branches: What each branch does.
    """

    def __init__(self, inside: int, *branches: Branch) -> None:
        super().__init__()
        self._branches = branches
        self.width = sum(self._build(inside, branch) for branch in branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all branches as channels."""
        return torch.cat([self._follow(x, branch) for branch in self._branches], dim=1)

    def _build(self, width: int, branch: Branch) -> int:
        for part in branch:
            if isinstance(part, str):
                continue
            steps = part if isinstance(part, list) else [part]
            for name, outside, kernel, stride in steps:
                padding = _half(kernel) if stride == 1 else 0
                self.add_module(name, Convolution(width, outside, kernel, stride, padding))
            width = sum(step.width for step in steps)
        return width

    def _follow(self, x: torch.Tensor, branch: Branch) -> torch.Tensor:
        for part in branch:
            if isinstance(part, str):
                x = _POOLS[part](x)
            elif isinstance(part, list):
                x = torch.cat([self.get_submodule(step.name)(x) for step in part], dim=1)
            else:
                x = self.get_submodule(part.name)(x)
        return x


def _half(kernel: Kernel) -> Kernel:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


def _average(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _largest(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, 1, 1)


def _shrink(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, 2)


_POOLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "average": _average,
    "largest": _largest,
    "shrink": _shrink,
}


def _block_a(inside: int, pooled: int) -> Block:
    return Block(
        inside,
        [Step("branch1x1", 64)],
        [Step("branch5x5_1", 48), Step("branch5x5_2", 64, 5)],
        [Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, 3), Step("branch3x3dbl_3", 96, 3)],
        ["average", Step("branch_pool", pooled)],
    )


def _block_b(inside: int) -> Block:
    return Block(
        inside,
        [Step("branch3x3", 384, 3, 2)],
        [Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, 3), Step("branch3x3dbl_3", 96, 3, 2)],
        ["shrink"],
    )


def _block_c(inside: int, width: int) -> Block:
    wide, tall = (1, 7), (7, 1)
    return Block(
        inside,
        [Step("branch1x1", 192)],
        [Step("branch7x7_1", width), Step("branch7x7_2", width, wide), Step("branch7x7_3", 192, tall)],
        [
            Step("branch7x7dbl_1", width),
            Step("branch7x7dbl_2", width, tall),
            Step("branch7x7dbl_3", width, wide),
            Step("branch7x7dbl_4", width, tall),
            Step("branch7x7dbl_5", 192, wide),
        ],
        ["average", Step("branch_pool", 192)],
    )


def _block_d(inside: int) -> Block:
    return Block(
        inside,
        [Step("branch3x3_1", 192), Step("branch3x3_2", 320, 3, 2)],
        [
            Step("branch7x7x3_1", 192),
            Step("branch7x7x3_2", 192, (1, 7)),
            Step("branch7x7x3_3", 192, (7, 1)),
            Step("branch7x7x3_4", 192, 3, 2),
        ],
        ["shrink"],
    )


def _block_e(inside: int, pool: str) -> Block:
    wide, tall = (1, 3), (3, 1)
    return Block(
        inside,
        [Step("branch1x1", 320)],
        [Step("branch3x3_1", 384), [Step("branch3x3_2a", 384, wide), Step("branch3x3_2b", 384, tall)]],
        [
            Step("branch3x3dbl_1", 448),
            Step("branch3x3dbl_2", 384, 3),
            [Step("branch3x3dbl_3a", 384, wide), Step("branch3x3dbl_3b", 384, tall)],
        ],
        [pool, Step("branch_pool", 192)],
    )


class Inception(nn.Module):
    """From pictures float32 (N, 3, 299, 299) in [-1, 1) to the 2048 numbers before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = _block_a(192, 32)
        self.Mixed_5c = _block_a(256, 64)
        self.Mixed_5d = _block_a(288, 64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b = _block_c(768, 128)
        self.Mixed_6c = _block_c(768, 160)
        self.Mixed_6d = _block_c(768, 160)
        self.Mixed_6e = _block_c(768, 192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b = _block_e(1280, "average")
        self.Mixed_7c = _block_e(2048, "largest")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, 2048)."""
        x = _shrink(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _shrink(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean(dim=(2, 3))


class InceptionFeatures:
    """The 2048 numbers that published FIDs compare, of pictures resized as one published script does.

    Args:
        script: Whose resizing: a key of `RESIZING`.
        device: Where it computes.
        file: Weights, instead of the published file.

    Raises:
        DataError: The weights are not on this machine.
        PluginError: They are another network's.
    """

    def __init__(self, script: str, *, device: str = "cpu", file: Path | None = None) -> None:
        self.name = f"inception-v3-{script}"
        self._resize = RESIZING[script]
        tensors, self.version = read_weights(FILE, SOURCE, file)
        network = Inception()
        fill(network, tensors, str(file or FILE))
        self._network = network.eval().requires_grad_(False).to(device)
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return features float32 (N, 2048) of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        return torch.cat([self._features(part).cpu() for part in torch.split(images, _AT_ONCE)])

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        resized = self._resize(images.to(self._device).float(), SIDE)
        found: torch.Tensor = self._network((resized - 128) / 128)
        return found


RESIZING: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "torch-fidelity": resizing.tensorflow1,
    "torchmetrics": resizing.antialiased,
    "clean-fid": resizing.clean,
}


def torch_fidelity(*, device: str = "cpu") -> InceptionFeatures:
    """Return the features of torch-fidelity, and of torchmetrics without antialiasing."""
    return InceptionFeatures("torch-fidelity", device=device)


def torchmetrics(*, device: str = "cpu") -> InceptionFeatures:
    """Return the features of torchmetrics as it is by default, with antialiasing."""
    return InceptionFeatures("torchmetrics", device=device)


def clean_fid(*, device: str = "cpu") -> InceptionFeatures:
    """Return the features of clean-fid in its mode ``clean``."""
    return InceptionFeatures("clean-fid", device=device)
