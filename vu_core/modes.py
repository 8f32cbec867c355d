"""Modules in eval mode for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def evaluating(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Put modules into eval mode and give every submodule its own mode back at the end."""
    training = [part for module in modules for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def while_evaluating(modules: Iterable[torch.nn.Module], items: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield ``items`` with modules in eval mode."""
    with evaluating(modules):
        yield from items
