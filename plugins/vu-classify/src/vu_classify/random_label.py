"""Random labels for what is forgotten, the true ones for what is retained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from vu_train.classifying import Pass, mean_cross_entropy
from vu_train.randomness import generator_of

from vu_classify.config import RandomLabelConfig
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class RandomLabel:
    """θ ← θ − η ∇CE on D_f under random labels, then on D_r; or on both mixed."""

    def unlearn(self, model: Any, request: Request, data: Data, config: RandomLabelConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training."""
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        work.train(random_label_passes(work))
        return work.edit()


def random_label_passes(work: Work) -> Callable[[int], Sequence[Pass]]:
    """Return what an epoch of random labels consists of; the options of ``work`` are a `RandomLabelConfig`."""
    config: RandomLabelConfig = work.config

    def passes(epoch: int) -> list[Pass]:
        drawn = "once" if config.redraw == "once" else epoch
        generator = generator_of(work.ctx.seed, "labels", drawn)
        labels = random_labels(work.forget.labels, work.classes, generator, exclude_true=config.exclude_true)
        forget = work.forget.labelled(labels)
        sets = {"forget": forget, "retain": work.retain}
        if config.order == "mixed":
            sets = {"mixed": forget.and_also(work.retain)}
        return [
            Pass(name=name, batches=work.batches(images, name, epoch), loss=mean_cross_entropy)
            for name, images in sets.items()
        ]

    return passes


def random_labels(
    labels: torch.Tensor, classes: int, generator: torch.Generator, *, exclude_true: bool
) -> torch.Tensor:
    """Return ỹ, int64 (N,): uniform over all classes, or over all but ``labels``."""
    if not exclude_true:
        return torch.randint(classes, labels.shape, generator=generator)
    drawn = torch.randint(classes - 1, labels.shape, generator=generator)
    return drawn + (drawn >= labels)
