"""Between pictures and networks: normalised pixels in, logits out, and what the last layer reads.

Both are done by hooks of the network, so that its parameters keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from vu_core import ModelError


class _Normalise:
    """Normalises pictures before a network reads them."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean = torch.tensor(mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(std, dtype=torch.float32)[:, None, None]

    def __call__(self, network: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        (images,) = arguments
        return ((images - self._mean.to(images)) / self._std.to(images),)


def _take_logits(network: nn.Module, arguments: Any, output: Any) -> torch.Tensor:
    """Return the logits of an output that holds more than these, as those of transformers do."""
    logits: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return logits


def read_pixels(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Return ``network``, which from now on reads pictures float (N, 3, H, W) in [0, 1] and returns logits (N, C).

    Args:
        network: Changed in place; its parameters keep their names.
        mean: Of each colour.
        std: Of each colour.
    """
    network.register_forward_pre_hook(_Normalise(mean, std))
    network.register_forward_hook(_take_logits)
    return network


def last_layer(network: nn.Module, classes: int) -> nn.Linear:
    """Return the layer that gives the logits: the last linear one with as many outputs as there are classes.

    Raises:
        ModelError: There is none.
    """
    found = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not found:
        raise ModelError(
            f"the network has no linear layer with {classes} outputs, one for each class",
            hint="What such a layer reads are a picture's features; end the network with one.",
        )
    return found[-1]


@contextmanager
def features_of(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Give a list to which what ``layer`` reads is appended, each time that it is called in the block."""
    read: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, arguments: read.append(arguments[0]))
    try:
        yield read
    finally:
        handle.remove()
