"""SalUn: random labels, learned by those weights alone that matter most to what is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from vu_train.classifying import mean_cross_entropy

from vu_classify.config import SalunConfig
from vu_classify.gradients import gradient_sum, largest, scale_gradients
from vu_classify.random_label import random_label_passes
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class Salun:
    """m = the ⌊P·s⌋ largest |Σ_batches ∇CE(D_f)|; then random labels with m ⊙ ∇ in place of ∇."""

    def unlearn(self, model: Any, request: Request, data: Data, config: SalunConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training; BatchNorm's running statistics are not masked."""
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        after_step = None
        if config.epochs:
            batches = work.batches(work.forget, "saliency")
            gradients = gradient_sum(work.network, batches, mean_cross_entropy, ctx)
            masks = largest({name: gradient.abs() for name, gradient in gradients.items()}, config.share)
            after_step = restrict(work.network, masks, freeze=config.frozen == "weights")
        work.train(random_label_passes(work), after_step=after_step)
        return work.edit()


def restrict(network: torch.nn.Module, masks: dict[str, torch.Tensor], *, freeze: bool) -> Callable[[], None] | None:
    """Let training change only what ``masks`` mark, and return what to call after each step, if anything.

    Gradients are masked. Momentum and weight decay would still move the other weights; with ``freeze``, what is
    called puts their values back.
    """
    scale_gradients(network, {name: mask.to(network.get_parameter(name).dtype) for name, mask in masks.items()})
    if not freeze:
        return None
    original = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    def put_back() -> None:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(torch.where(masks[name], parameter, original[name]))

    return put_back
