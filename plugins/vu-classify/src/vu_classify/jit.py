"""JIT: what is forgotten by making answers vary little around its images, without any label."""

from __future__ import annotations

from typing import Any

import torch
from vu_train.batches import ImageBatch
from vu_train.classifying import Pass
from vu_train.randomness import generator_of
from vu_train.settings import EpochSettings

from vu_classify.config import JitConfig
from vu_classify.gradients import Map
from vu_classify.work import Work
from vu_core import Data, Edit, Request
from vu_core.context import RunContext


class Jit:
    """θ ← θ − η ∇ℓ with ℓ = Σ_i (1/N) Σ_j ‖f(x_i) − f(x_ij)‖ / ‖x_i − x_ij‖: one step a batch, one pass over D_f.

    x_ij = x_i + ξ_ij, ξ ~ N(0, σ² I), clamped to the range of the batch.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: JitConfig, ctx: RunContext) -> Edit:
        """Return the edit of the pass; only what is forgotten is read, and no label of it."""
        work = Work(model, request, data, config, ctx, reads=["forget"])
        generator = generator_of(ctx.seed, "perturbations")

        def loss(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
            if config.mode == "eval":
                network.eval()
            return roughness(network, batch.images, config, generator)

        if config.accumulate:
            _accumulate(work.network)
        batches = work.plain_batches(work.forget, "forget")
        work.train(lambda epoch: [Pass(name="roughness", batches=batches, loss=loss)], _settings(config))
        return work.edit()


def roughness(
    network: torch.nn.Module, images: torch.Tensor, config: JitConfig, generator: torch.Generator
) -> torch.Tensor:
    """Return ℓ: how much the answers to ``images`` (n, 3, H, W) change with them, summed over the images.

    A perturbation that the clamping undoes wholly counts as 0.
    """
    answers = network(images)
    total: torch.Tensor = answers.new_zeros(())
    for _ in range(config.samples):
        noise = config.noise * torch.randn(images.shape, generator=generator).to(images)
        perturbed = (images + noise).clamp(images.min(), images.max())
        with torch.set_grad_enabled(not config.detach_perturbed):
            others = network(perturbed)
        change = torch.linalg.vector_norm(answers - others, dim=1)
        length = torch.linalg.vector_norm((images - perturbed).flatten(1), dim=1)
        total = total + (change[length > 0] / length[length > 0]).sum() / config.samples
    return total


def _accumulate(network: torch.nn.Module) -> None:
    """Let each step's gradient be the sum of all so far."""
    for parameter in network.parameters():
        total = torch.zeros_like(parameter)
        parameter.register_hook(_added_to(total))  # type: ignore[no-untyped-call]


def _added_to(total: torch.Tensor) -> Map:
    return lambda gradient: total.add_(gradient).clone()


def _settings(config: JitConfig) -> EpochSettings:
    return EpochSettings(
        epochs=1,
        learning_rate=config.learning_rate,
        momentum=0.0,
        weight_decay=0.0,
        batch_size=config.batch_size,
    )
