"""Climbing the loss of what is forgotten: alone, and together with descending that of what is retained."""

from __future__ import annotations

import math
from typing import Any

import torch
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass, mean_cross_entropy

from vu_classify.config import GradientAscentConfig, NegGradPlusConfig
from vu_classify.work import Work, accuracy_and_loss
from vu_core import Data, Edit, Request
from vu_core.context import RunContext
from vu_core.modes import evaluating


class GradientAscent:
    """θ ← θ + η ∇CE(D_f); weight decay stays what it is."""

    def unlearn(self, model: Any, request: Request, data: Data, config: GradientAscentConfig, ctx: RunContext) -> Edit:
        """Return the edit of the ascent; only what is forgotten is read. The edit's info says what ended it."""
        work = Work(model, request, data, config, ctx, reads=["forget"])

        def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            return -mean_cross_entropy(network, batch)

        work.train(
            lambda epoch: [Pass(name="forget", batches=work.batches(work.forget, "forget", epoch), loss=loss)],
            stop=lambda epoch: _reason_to_stop(work, config),
        )
        return work.edit()


class NegGradPlus:
    """θ ← θ − η ∇[α (CE(D_r) + ½ anchor ‖θ − θ_o‖²) − (1 − α) CE(D_f)], a batch of each a step.

    An epoch is one pass over D_r; D_f comes round as often as it takes, in a new order each time.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: NegGradPlusConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training."""
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        alpha, limit = config.retain_weight, config.max_forget_loss or math.inf

        def passes(epoch: int) -> list[Pass]:
            forget = work.endless(work.forget, "forget", epoch, size=config.forget_batch_size)

            def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
                kept = mean_cross_entropy(network, batch) + work.anchor()
                forgotten = mean_cross_entropy(network, next(forget)).clamp(max=limit)
                return alpha * kept - (1 - alpha) * forgotten

            return [Pass(name="retain-forget", batches=work.batches(work.retain, "retain", epoch), loss=loss)]

        work.train(passes)
        return work.edit()


def _reason_to_stop(work: Work, config: GradientAscentConfig) -> str:
    if config.target_accuracy is None and config.max_loss is None:
        return ""
    with evaluating([work.network]):
        accuracy, loss = accuracy_and_loss(work.network, work.plain_batches(work.forget))
    if config.target_accuracy is not None and accuracy <= config.target_accuracy:
        return "target_accuracy"
    return "max_loss" if config.max_loss is not None and loss > config.max_loss else ""
