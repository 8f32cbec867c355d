"""CT and MSG: change the convolutions' weights, then train on what is retained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from vu_train.classifying import Pass, mean_cross_entropy
from vu_train.randomness import generator_of

from vu_classify.config import CtConfig, MsgConfig
from vu_classify.gradients import gradient_sum, scale_gradients
from vu_classify.work import Work
from vu_core import Data, Edit, ModelError, Request
from vu_core.context import RunContext


class Ct:
    """W[o, i, a, b] ← W[o, i, b, a] for all convolutions; then θ ← θ − η ∇CE(D_r)."""

    def unlearn(self, model: Any, request: Request, data: Data, config: CtConfig, ctx: RunContext) -> Edit:
        """Return the edit of both; only what is retained is read.

        Raises:
            ModelError: The model has no convolution, or one that is not square.
        """
        work = Work(model, request, data, config, ctx, reads=["retain"])
        for name, layer in convolutions(work.network, model.name).items():
            if layer.kernel_size[0] != layer.kernel_size[1]:
                raise ModelError(f"the kernels of '{name}' are not square: they cannot be transposed in their place")
            with torch.no_grad():
                layer.weight.copy_(layer.weight.transpose(2, 3).clone())
        _train_on_retained(work)
        return work.edit()


class Msg:
    """In each convolution, the weights of the smallest |g| are drawn anew; then θ ← θ − η ∇CE(D_r).

    g = Σ ∇CE(n_f images drawn of D_r) − Σ ∇CE(D_f), over batches. The other weights of convolutions learn more slowly.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: MsgConfig, ctx: RunContext) -> Edit:
        """Return the edit of both.

        Raises:
            ModelError: The model has no convolution.
        """
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        layers = convolutions(work.network, model.name)
        gradients = _gradients(work)
        reset = {f"{name}.weight": smallest(gradients[f"{name}.weight"], config.share) for name in layers}
        redraw(work.network, reset, generator_of(ctx.seed, "redraw"))
        rates = {name: torch.where(mask, 1.0, config.kept_rate).to(work.dtype) for name, mask in reset.items()}
        scale_gradients(work.network, rates)
        _train_on_retained(work)
        return work.edit(redrawn_parameters=sum(int(mask.sum()) for mask in reset.values()))


def convolutions(network: nn.Module, model: str) -> dict[str, nn.Conv2d]:
    """Return the two-dimensional convolutions of ``network`` by their paths.

    Raises:
        ModelError: There is none.
    """
    found = {name: part for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}
    if not found:
        raise ModelError(f"'{model}' has no convolution, and this method changes convolutions")
    return found


def smallest(gradient: torch.Tensor, share: float) -> torch.Tensor:
    """Return a boolean mask of the round(share · numel) smallest absolute values; of equals the first are taken."""
    count = round(share * gradient.numel())
    mask = torch.zeros(gradient.numel(), dtype=torch.bool, device=gradient.device)
    mask[gradient.abs().flatten().argsort(stable=True)[:count]] = True
    return mask.view_as(gradient)


def redraw(network: nn.Module, masks: Mapping[str, torch.Tensor], generator: torch.Generator) -> None:
    """Draw the marked weights of convolutions anew: N(0, 2 / fan_out), as He et al. initialise before a ReLU."""
    with torch.no_grad():
        for name, mask in masks.items():
            weight = network.get_parameter(name)
            fan_out = weight.shape[0] * weight[0, 0].numel()
            drawn = torch.randn(weight.shape, generator=generator) * math.sqrt(2 / fan_out)
            weight.copy_(torch.where(mask, drawn.to(weight), weight))


def _gradients(work: Work) -> dict[str, torch.Tensor]:
    """Return g, by parameter, in eval mode."""
    order = torch.randperm(len(work.retain), generator=generator_of(work.ctx.seed, "draw"))
    drawn = work.retain.at(order[: len(work.forget)])
    kept, forgotten = (
        gradient_sum(work.network, work.batches(images, "gradient", use), mean_cross_entropy, work.ctx)
        for use, images in (("retain", drawn), ("forget", work.forget))
    )
    return {name: kept[name] - forgotten[name] for name in kept}


def _train_on_retained(work: Work) -> None:
    def passes(epoch: int) -> list[Pass]:
        return [Pass(name="retain", batches=work.batches(work.retain, "retain", epoch), loss=mean_cross_entropy)]

    work.train(passes)
