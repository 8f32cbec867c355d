"""How much the forget loss depends on each weight: FADE's saliency, streamed so that gradients never pile up.

S_k is the sum over batches of |d MSE(denoiser(u, t, T(s)), target) / d theta_k|, on the frozen model, before there is
an adapter. A hook takes each weight's gradient as soon as it is complete and frees it, so at no time is there a second
copy of the model's gradients: `matrix_saliency` keeps one number a matrix, `weight_saliency` one float32 a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from vu_core import ComputeError

Losses = Iterator[torch.Tensor]
"""Yields the scalar loss of one batch after the other, each computed when it is asked for."""


def matrix_saliency(weights: Mapping[str, torch.nn.Parameter], losses: Losses) -> dict[str, float]:
    """Return the mean of S over each matrix of ``weights``, by name.

    Raises:
        ComputeError: A gradient is NaN or infinite.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2, 2))
        >>> matrix_saliency({"w": weight}, iter([(3 * weight).sum(), (5 * weight[0]).sum()]))
        {'w': 5.5}
    """
    sums = {name: torch.zeros((), device=weight.device) for name, weight in weights.items()}

    def add(name: str, gradient: torch.Tensor) -> None:
        sums[name] += torch.linalg.vector_norm(gradient, ord=1, dtype=torch.float32) / gradient.numel()

    _stream(weights, losses, add)
    return {name: value.item() for name, value in _finite(sums).items()}


def weight_saliency(weights: Mapping[str, torch.nn.Parameter], losses: Losses) -> dict[str, torch.Tensor]:
    """Return S, float32 of each weight's shape, by name.

    Raises:
        ComputeError: A gradient is NaN or infinite.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> weight_saliency({"w": weight}, iter([-3 * weight[0], weight.sum()]))
        {'w': tensor([4., 1.])}
    """
    sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    _stream(weights, losses, lambda name, gradient: sums[name].add_(gradient.abs_()))
    return _finite(sums)


def _stream(
    weights: Mapping[str, torch.nn.Parameter], losses: Losses, add: Callable[[str, torch.Tensor], object]
) -> None:
    with _handing_over(weights, add):
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]


@contextmanager
def _handing_over(
    weights: Mapping[str, torch.nn.Parameter], add: Callable[[str, torch.Tensor], object]
) -> Iterator[None]:
    """Give each weight's gradient to ``add`` once it is complete, and free it; restore flags and gradients after."""
    before = {name: (weight.requires_grad, weight.grad) for name, weight in weights.items()}
    hooks = []
    try:
        for name, weight in weights.items():
            weight.grad = None
            weight.requires_grad_(True)
            hooks.append(weight.register_post_accumulate_grad_hook(_taker(name, add)))  # type: ignore[no-untyped-call]
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, weight in weights.items():
            wanted, weight.grad = before[name]
            weight.requires_grad_(wanted)


def _taker(name: str, add: Callable[[str, torch.Tensor], object]) -> Callable[[torch.Tensor], None]:
    def take(weight: torch.Tensor) -> None:
        gradient, weight.grad = weight.grad, None
        if gradient is not None:
            add(name, gradient)

    return take


def _finite(sums: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for name, values in sums.items():
        if not bool(values.isfinite().all()):
            raise ComputeError(
                f"the saliency of '{name}' is not finite",
                hint="The model's loss on the forget set overflows in this dtype; try --dtype float32.",
            )
    return sums
