"""Fine-tuning on what is retained, plain and with an l1 penalty."""

from __future__ import annotations

from typing import Any

import torch
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass, mean_cross_entropy

from vu_classify.config import FineTuneConfig, L1SparseConfig
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class FineTune:
    """θ ← θ − η ∇[CE(D_r) + ½ anchor ‖θ − θ_o‖²]."""

    def unlearn(self, model: Any, request: Request, data: Data, config: FineTuneConfig, ctx: RunContext) -> Edit:
        """Return the edit of training on; only what is retained is read."""
        work = Work(model, request, data, config, ctx, reads=["retain"])

        def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            return mean_cross_entropy(network, batch) + work.anchor()

        work.train(lambda epoch: [Pass(name="retain", batches=work.batches(work.retain, "retain", epoch), loss=loss)])
        return work.edit()


class L1Sparse:
    """θ ← θ − η ∇[CE(D_r) + γ_e ‖θ‖₁] over all parameters; γ_e falls linearly with the epoch e."""

    def unlearn(self, model: Any, request: Request, data: Data, config: L1SparseConfig, ctx: RunContext) -> Edit:
        """Return the edit of training on with the penalty; only what is retained is read."""
        work = Work(model, request, data, config, ctx, reads=["retain"])

        def penalised(weight: float, network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            norm = torch.stack([parameter.abs().sum() for parameter in network.parameters()]).sum()
            return mean_cross_entropy(network, batch) + weight * norm

        def passes(epoch: int) -> list[Pass]:
            weight = sparsity(config, epoch)
            batches = work.batches(work.retain, "retain", epoch)
            return [Pass(name="retain", batches=batches, loss=lambda *both: penalised(weight, *both))]

        work.train(passes)
        return work.edit()


def sparsity(config: L1SparseConfig, epoch: int) -> float:
    """Return γ_e, the weight of the l1 norm in an epoch, from 0.

    Example:
        >>> [round(sparsity(L1SparseConfig(sparsity=4.0, epochs=3, dense_epochs=1), e), 2) for e in range(3)]
        [4.0, 2.0, 0.0]
    """
    penalised = config.epochs - config.dense_epochs
    if epoch >= penalised:
        return 0.0
    return config.sparsity * (1 - epoch / penalised if config.course == "decay" else 1.0)
