"""ResNets for small pictures: a first convolution of 3 x 3 with stride 1, and no pooling after it.

He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385. Parameters are named as in torchvision.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn.functional import pad, relu


class _Block(nn.Module):
    """Two convolutions of 3 x 3 and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, convolve: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = (
                nn.Sequential(convolution, nn.BatchNorm2d(outputs))
                if convolve
                else _Subsample(stride, outputs - inputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + self.downsample(x))


class _Subsample(nn.Module):
    """Every ``stride``-th pixel, and ``more`` channels of zeros: the paper's shortcut A, without parameters."""

    def __init__(self, stride: int, more: int) -> None:
        super().__init__()
        self._stride, self._more = stride, more

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pad(x[:, :, :: self._stride, :: self._stride], (0, 0, 0, 0, 0, self._more))


class ResNet(nn.Module):
    """A ResNet of basic blocks.

    Args:
        classes: How many.
        width: Channels of the first stage; each further stage has twice as many and half the pixels.
        blocks: Of each stage.
        convolve: Whether shortcuts between stages are convolutions, else the paper's shortcut A.
    """

    def __init__(self, classes: int, width: int, blocks: tuple[int, ...], *, convolve: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        block, inputs, stages = partial(_Block, convolve=convolve), width, []
        for number, count in enumerate(blocks):
            outputs = width * 2**number
            first = block(inputs, outputs, 2 if number else 1)
            stages.append(nn.Sequential(first, *(block(outputs, outputs, 1) for _ in range(count - 1))))
            self.add_module(f"layer{number + 1}", stages[-1])
            inputs = outputs
        self._stages = tuple(f"layer{number + 1}" for number in range(len(blocks)))
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) for normalised pictures (N, 3, H, W)."""
        x = relu(self.bn1(self.conv1(x)))
        for name in self._stages:
            x = self.get_submodule(name)(x)
        logits: torch.Tensor = self.fc(x.mean((2, 3)))
        return logits


def resnet18(classes: int, picture_size: tuple[int, int], width: int = 64) -> ResNet:
    """Return a ResNet-18: four stages of two blocks.

    Args:
        classes: How many.
        picture_size: Any, in pixels.
        width: Channels of the first stage; the published network has 64.

    Example:
        >>> sum(p.numel() for p in resnet18(10, (32, 32)).parameters())
        11173962
    """
    return ResNet(classes, width, (2, 2, 2, 2), convolve=True)


def resnet20(classes: int, picture_size: tuple[int, int], width: int = 16) -> ResNet:
    """Return a ResNet-20: three stages of three blocks, shortcuts without parameters, as published for CIFAR-10.

    Args:
        classes: How many.
        picture_size: Any, in pixels.
        width: Channels of the first stage; the published network has 16.

    Example:
        >>> sum(p.numel() for p in resnet20(10, (32, 32)).parameters())
        269722
    """
    return ResNet(classes, width, (3, 3, 3), convolve=False)
