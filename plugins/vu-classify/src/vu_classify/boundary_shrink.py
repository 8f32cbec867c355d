"""Boundary shrink: what is forgotten takes the label of the class that is nearest across the boundary."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass

from vu_classify.config import BoundaryShrinkConfig
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class BoundaryShrink:
    """θ ← θ − η ∇CE(f_θ(x), ỹ) on D_f, with ỹ = argmax f_θo(x + ε sign ∇_x CE(f_θo(x), y))."""

    def unlearn(self, model: Any, request: Request, data: Data, config: BoundaryShrinkConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training; only what is forgotten is read.

        The edit's info counts the images whose label stays: the training holds on to these.
        """
        work = Work(model, request, data, config, ctx, reads=["forget"])

        def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            return cross_entropy(network(batch.images), nearest_labels(work.original, batch, config.step))

        work.train(lambda epoch: [Pass(name="forget", batches=work.batches(work.forget, "forget", epoch), loss=loss)])
        batches = work.plain_batches(work.forget) if config.epochs else ()
        kept = sum(int((nearest_labels(work.original, one, config.step) == one.labels).sum()) for one in batches)
        return work.edit(labels_that_stay=kept)


def nearest_labels(network: torch.nn.Module, batch: ImageBatch, step: float) -> torch.Tensor:
    """Return ỹ, int64 (n,): what ``network`` sees in the images after a step up its loss, in whole pixel values."""
    network_type = next(network.parameters()).dtype
    images = batch.images.detach().to(network_type).requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(cross_entropy(network(images), batch.labels), images)
    with torch.no_grad():
        moved = (images + step * gradient.sign()).clamp(0, 1)
        labels: torch.Tensor = network((moved * 255).round() / 255).argmax(1)
    return labels
