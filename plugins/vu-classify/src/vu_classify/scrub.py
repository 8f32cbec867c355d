"""SCRUB: away from the teacher on what is forgotten, near to it on what is retained; and SCRUB+R, which rewinds."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass
from vu_train.store import TensorStore

from vu_classify.config import ScrubConfig
from vu_classify.distillation import divergence
from vu_classify.work import Images, Work, accuracy_and_loss
from vu_core import Data, Edit, Request
from vu_core.context import RunContext
from vu_core.modes import evaluating


class Scrub:
    """θ ← θ + η ∇d on D_f in the first epochs; θ ← θ − η ∇[γ CE + α d] on D_r in all.

    d = T² KL(p_T(teacher) ‖ p_T(student)); the teacher is the original, in eval mode. In an epoch,
    the pass over D_f comes first.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: ScrubConfig, ctx: RunContext) -> Edit:
        """Return the edit of the training, or of the epoch that it is rewound to."""
        always: tuple[Images, ...] = ("forget", "retain")
        reads: tuple[Images, ...] = (*always, "validation") if config.rewind else always
        work = Work(model, request, data, config, ctx, reads=reads)

        def max_loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            return -distance(work.answers(batch), network(batch.images), config.temperature)

        def min_loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            return retain_loss(work.answers(batch), network(batch.images), batch.labels, config)

        def passes(epoch: int) -> list[Pass]:
            forget = work.batches(work.forget, "forget", epoch, size=config.forget_batch_size)
            retain = work.batches(work.retain, "retain", epoch)
            away = [Pass(name="forget", batches=forget, loss=max_loss)] if epoch < config.max_epochs else []
            return [*away, Pass(name="retain", batches=retain, loss=min_loss)]

        if not config.rewind:
            work.train(passes)
            return work.edit()
        history = _History(work)
        work.train(passes, stop=history.keep)
        return work.edit(rewound_to=history.rewind())


def distance(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return d = T² KL(p_T(teacher) ‖ p_T(student)) of logits (N, C)."""
    return temperature**2 * divergence(teacher, student, temperature)


def retain_loss(
    teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor, config: ScrubConfig
) -> torch.Tensor:
    """Return γ CE + α d of logits (N, C) and labels int64 (N,)."""
    task = cross_entropy(student, labels)
    return config.task_weight * task + config.teacher_weight * distance(teacher, student, config.temperature)


def rewind_to(errors: list[float], reference: float) -> int:
    """Return the epoch whose forget error is nearest to ``reference``, the first of equals; 0 is the original.

    Example:
        >>> rewind_to([0, 10, 40, 80], 35)
        2
    """
    return min(range(len(errors)), key=lambda epoch: abs(errors[epoch] - reference))


class _History:
    """The network after each epoch, in the run's folder."""

    def __init__(self, work: Work) -> None:
        self._work, self._store, self._epochs = work, TensorStore(work.ctx), 0

    def keep(self, epoch: int) -> str:
        """Keep the network as it is after ``epoch`` epochs; return no reason to stop."""
        self._epochs = epoch
        self._state(epoch)
        return ""

    def rewind(self) -> int:
        """Give the network the weights of the epoch that is the right one, and return which it is."""
        work = self._work
        reference = self._error(self._epochs, work.labelled_validation)
        errors = [self._error(epoch, work.forget) for epoch in range(self._epochs + 1)]
        chosen = rewind_to(errors, reference)
        work.network.load_state_dict(self._state(chosen))
        for epoch, error in enumerate(errors):
            work.ctx.log(epoch, {"forget_error": error, "reference_error": reference})
        return chosen

    def _state(self, epoch: int) -> dict[str, torch.Tensor]:
        key = {**self._work.key, "epoch": epoch, "seed": self._work.ctx.seed}
        return self._store.get("epoch", key, lambda: self._work.network.state_dict())

    def _error(self, epoch: int, images: Any) -> float:
        work = self._work
        work.network.load_state_dict(self._state(epoch))
        with evaluating([work.network]):
            accuracy, _ = accuracy_and_loss(work.network, work.plain_batches(images))
        return 1 - accuracy
