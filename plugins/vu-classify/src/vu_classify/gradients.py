"""Gradients over a set of images, summed as they are, squared, or by their absolute values: importance and saliency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.func import functional_call, grad, vmap
from vu_train.batches import Batches, ImageBatch
from vu_train.classifying import Loss

from vu_core import ComputeError
from vu_core.context import RunContext

Map = Callable[[torch.Tensor], torch.Tensor]

# So many numbers of single images' gradients are held at a time.
_AT_ONCE = 2**27


def gradient_sum(
    network: torch.nn.Module, batches: Batches, loss: Loss, ctx: RunContext, *, of: Map = torch.clone
) -> dict[str, torch.Tensor]:
    """Return, by parameter, the sum over batches of ``of`` the gradient of a batch's loss.

    Args:
        network: In the mode that its gradients are wanted in; its parameters require gradients.
        batches: Of the set.
        loss: Of a batch.
        ctx: Shows how far it is.
        of: What is summed: the gradient itself, ``torch.square`` or ``torch.abs`` of it.

    Raises:
        ComputeError: A gradient is NaN or infinite.
    """
    parameters = dict(network.named_parameters())
    sums = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    with torch.enable_grad():
        for batch in ctx.progress(batches, label="measure gradients"):
            found = torch.autograd.grad(
                loss(network, batch), list(parameters.values()), allow_unused=True, materialize_grads=True
            )
            for total, gradient in zip(sums.values(), found, strict=True):
                total += of(gradient)
    return _finite(sums)


def gradient_sum_by_image(
    network: torch.nn.Module, batches: Batches, loss: Loss, ctx: RunContext, *, of: Map
) -> dict[str, torch.Tensor]:
    """Return, by parameter, the sum over images of ``of`` the gradient of an image's own loss; vectorised.

    The arguments are those of `gradient_sum`; in the network no image's answer depends on the others, as in eval mode.

    Raises:
        ComputeError: A gradient is NaN or infinite.
    """
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    buffers = dict(network.named_buffers())
    chunk = max(1, _AT_ONCE // sum(parameter.numel() for parameter in parameters.values()))

    def loss_of(values: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        def call(images: torch.Tensor) -> Any:
            return functional_call(network, (values, buffers), (images,))

        one = ImageBatch(images=image[None], labels=label[None], positions=label[None], ids=())
        return loss(call, one)  # type: ignore[arg-type]

    each = vmap(grad(loss_of), in_dims=(None, 0, 0))
    sums = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for batch in ctx.progress(batches, label="measure gradients"):
        for images, labels in zip(*(torch.split(one, chunk) for one in (batch.images, batch.labels)), strict=True):
            found = each(parameters, images, labels)
            for name, total in sums.items():
                total += of(found[name]).sum(0)
    return _finite(sums)


def largest(values: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Return boolean masks of the ⌊P·share⌋ largest of all P values, ranked together; of equals the first are taken.

    Example:
        >>> largest({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([2.0, 3.0])}, 0.5)
        {'a': tensor([False,  True]), 'b': tensor([False,  True])}
    """
    flat = torch.cat([tensor.flatten() for tensor in values.values()])
    # Without the small excess, 0.29 of 100 would be 28: the product is 28.999999999999996.
    chosen = flat.argsort(descending=True, stable=True)[: int(len(flat) * share + 1e-9)]
    mask = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    mask[chosen] = True
    parts = torch.split(mask, [tensor.numel() for tensor in values.values()])
    return {name: part.view_as(values[name]) for name, part in zip(values, parts, strict=True)}


def scale_gradients(network: torch.nn.Module, factors: dict[str, torch.Tensor]) -> None:
    """Multiply, from now on, the gradients of the parameters named in ``factors`` by them, element by element."""
    for name, factor in factors.items():
        network.get_parameter(name).register_hook(_times(factor))  # type: ignore[no-untyped-call]


def _times(factor: torch.Tensor) -> Map:
    return lambda gradient: gradient * factor


def _finite(sums: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for name, values in sums.items():
        if not bool(values.isfinite().all()):
            raise ComputeError(
                f"the gradients of '{name}' are not finite", hint="The model's loss overflows; look at its weights."
            )
    return sums
