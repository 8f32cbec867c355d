"""Bad Teacher: an untrained teacher for what is forgotten, the original for what is retained."""

from __future__ import annotations

from typing import Any

import torch
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass
from vu_train.labelled import LabelledImages
from vu_train.randomness import generator_of

from vu_classify.config import BadTeacherConfig
from vu_classify.distillation import mixed_divergence
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class BadTeacher:
    """θ ← θ − η ∇KL(u p_bad + (1 − u) p_good ‖ p_θ), all at temperature T; u is 1 on D_f and 0 on D_r.

    The bad teacher is ``model.fresh`` of the run's seed, in eval mode, which the edit's info names for ZRF.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: BadTeacherConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training on D_f and a part of D_r, mixed; no label is read."""
        work = Work(model, request, data, config, ctx, reads=["forget", "retain"])
        bad = model.fresh(ctx.seed).to(work.dtype).eval()
        images = work.forget.and_also(_part(work.retain, config.retain_share, ctx.seed))
        count = work.classes if config.reduction == "element-mean" else 1

        def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            forgotten = (batch.positions < len(work.forget)).to(batch.images.device)
            with torch.no_grad():
                bad_answers = bad(batch.images)
            return (
                mixed_divergence(forgotten, bad_answers, work.answers(batch), network(batch.images), config.temperature)
                / count
            )

        work.train(lambda epoch: [Pass(name="distil", batches=work.batches(images, "mixed", epoch), loss=loss)])
        return work.edit(bad_teacher_seed=ctx.seed)


def _part(images: LabelledImages, share: float, seed: int) -> LabelledImages:
    count = max(1, round(share * len(images)))
    return images.at(torch.randperm(len(images), generator=generator_of(seed, "part"))[:count].sort().values)
