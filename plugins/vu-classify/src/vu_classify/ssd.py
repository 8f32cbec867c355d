"""Selective synaptic dampening: weights that matter to what is forgotten far more than to the rest are made smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from vu_train.batches import ImageBatch
from vu_train.classifying import Loss, mean_cross_entropy
from vu_train.labelled import LabelledImages

from vu_classify.config import AssdConfig, SsdConfig
from vu_classify.gradients import Map, gradient_sum, gradient_sum_by_image
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext

Importance = Mapping[str, torch.Tensor]


class Ssd:
    """θ_i ← θ_i · min(1, λ I_i(D) / I_i(D_f)) where I_i(D_f) > α I_i(D).

    I_i(S) is the mean over batches of (∂ CE_batch / ∂θ_i)², with D_f ∪ D_r for D: a batch's gradient is that of its
    mean loss, so importance depends on the batch size. With ``per_sample`` it is Fisher's diagonal, which does not.
    """

    loss: Loss = staticmethod(mean_cross_entropy)
    of: Map = staticmethod(torch.square)

    def unlearn(
        self, model: Any, request: Request, data: Data, config: SsdConfig | AssdConfig, ctx: RunContext
    ) -> Edit:
        """Return the edit that dampens; each image is seen once or twice, and nothing is trained."""
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        compared = work.retain if config.compared == "retain" else work.retain.and_also(work.forget)
        on_forget, on_compared = self.importance(work, work.forget, "forget"), self.importance(work, compared, "all")
        selection = self.selection(work, on_forget, on_compared)
        selected, zeroed = 0, 0
        with torch.no_grad():
            for name, weight in work.network.named_parameters():
                factor = dampening(on_forget[name], on_compared[name], selection, config.dampening)
                weight.mul_(factor)
                chosen = on_forget[name] > selection * on_compared[name]
                selected, zeroed = selected + int(chosen.sum()), zeroed + int((chosen & (factor == 0)).sum())
        return work.edit(selection=selection, selected_parameters=selected, zeroed_parameters=zeroed)

    def selection(self, work: Work, on_forget: Importance, on_compared: Importance) -> float:
        """Return α."""
        return float(work.config.selection)

    def importance(self, work: Work, images: LabelledImages, use: str) -> Importance:
        """Return I(S), by parameter, of the set ``images``; ``use`` names it."""
        batches = work.plain_batches(images, "importance", use)
        measure = gradient_sum_by_image if work.config.per_sample else gradient_sum
        count = len(images) if work.config.per_sample else len(batches)
        sums = measure(work.network, batches, self.loss, work.ctx, of=self.of)
        return {name: total / count for name, total in sums.items()}


def mean_squared_logits(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
    """Return the mean over images of ‖f(x)‖²."""
    logits: torch.Tensor = network(batch.images)
    return logits.square().sum(1).mean()


class Lfssd(Ssd):
    """SSD without labels: I_i(S) is the mean over batches of |∂ mean ‖f(x)‖² / ∂θ_i|."""

    loss: Loss = staticmethod(mean_squared_logits)
    of: Map = staticmethod(torch.abs)


class Assd(Ssd):
    """SSD whose α is the ρ-th percentile of all ratios I_i(D_f) / I_i(D), ρ = 100 − ln(1 + 100 n_f / n)."""

    def selection(self, work: Work, on_forget: Importance, on_compared: Importance) -> float:
        """Return α; ratios that are not finite do not count."""
        n_forget, n_retain = len(work.forget), len(work.retain)
        ratios = torch.cat([(on_forget[name] / on_compared[name]).flatten() for name in on_forget])
        return automatic_selection(ratios, n_forget, n_forget + n_retain)


def dampening(on_forget: torch.Tensor, on_compared: torch.Tensor, selection: float, factor: float) -> torch.Tensor:
    """Return what each weight is multiplied by: 1 unless it is selected; 0 where nothing but D_f needs it.

    Example:
        >>> dampening(torch.tensor([4.0, 1.0, 0.5]), torch.ones(3), 2.0, 1.0)
        tensor([0.2500, 1.0000, 1.0000])
    """
    smaller = (factor * on_compared / on_forget).clamp(max=1)
    return torch.where(on_forget > selection * on_compared, smaller, torch.ones_like(smaller))


def automatic_selection(ratios: torch.Tensor, n_forget: int, n: int) -> float:
    """Return α, the percentile of the finite ``ratios`` that the share of images to forget decides."""
    finite = ratios[ratios.isfinite()].double().cpu().numpy()
    return float(np.percentile(finite, percentile(n_forget, n))) if finite.size else math.inf


def percentile(n_forget: int, n: int) -> float:
    """Return ρ = 100 − ln(1 + 100 n_f / n).

    Example:
        >>> round(percentile(1, 10), 6)
        97.602105
    """
    return 100 - math.log(1 + 100 * n_forget / n)
