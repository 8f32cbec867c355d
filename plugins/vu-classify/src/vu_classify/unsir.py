"""UNSIR: noise that the model is most wrong about stands for a class; learning it impairs, training on repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from vu_train.classifying import Pass, mean_cross_entropy
from vu_train.labelled import LabelledImages
from vu_train.randomness import generator_of
from vu_train.settings import EpochSettings

from vu_classify.config import UnsirConfig
from vu_classify.work import Work
from vu_core import Data, Edit, Request, RequestError
from vu_core.context import RunContext

# As many as the released loop over a picture's channels takes.
_LEGACY_IMAGES = 3


class Unsir:
    """Impair: θ ← θ − η ∇CE on {(ν, c)} ∪ D_r'; repair: θ ← θ − η ∇CE on D_r', a part of D_r.

    For each forgotten class c, ν makes −CE(f_θo(ν), c) + λ mean_i ‖ν_i‖² small.
    """

    def unlearn(self, model: Any, request: Request, data: Data, config: UnsirConfig, ctx: RunContext) -> Edit:
        """Return the edit of both phases; no image of what is forgotten is read.

        Raises:
            RequestError: Something else than classes of the model is forgotten.
        """
        work = Work(model, request, data, config, ctx, reads=["retain"])
        labels = _forgotten_classes(work)
        part = first_of_each(work.retain, config.retain_each, work.dtype)
        impaired = part
        for label in labels if config.epochs else ():
            noise = learn_noise(work, label)
            named = 0 if config.legacy_noise_count else label
            impaired = impaired.and_also(_repeated(noise, named, config.repeats))
        settings = _settings(config)
        repair = replace(settings, learning_rate=config.repair_learning_rate)
        for name, images, chosen in (("impair", impaired, settings), ("repair", part, repair)):
            work.train(_passes(work, name, images), chosen, name=name)
        return work.edit(impair_images=len(impaired), repair_images=len(part))


def learn_noise(work: Work, label: int) -> torch.Tensor:
    """Return noise (N, 3, H, W), floating-point of any value, that the original is most wrong to call ``label``."""
    config: UnsirConfig = work.config
    count = _LEGACY_IMAGES if config.legacy_noise_count else config.noise_images
    shape = (count, 3, *work.model.picture_size)
    drawn = torch.randn(shape, generator=generator_of(work.ctx.seed, "noise", label))
    noise = drawn.to(next(work.network.parameters())).requires_grad_(True)
    labels = torch.full((count,), label, device=noise.device)
    optimizer = torch.optim.Adam([noise], lr=config.noise_learning_rate)
    with torch.enable_grad():
        for _ in work.ctx.progress(range(config.noise_steps), label="learn noise"):
            # Of the copy, which is still as the original is, and of at least 32 bits.
            loss = noise_loss(work.network(noise), labels, noise, config.noise_penalty)
            (noise.grad,) = torch.autograd.grad(loss, noise)
            optimizer.step()
    return noise.detach().cpu()


def noise_loss(logits: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return −CE + λ mean_i ‖ν_i‖².

    Example:
        >>> noise_loss(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), torch.ones(1, 1, 2, 2), 0.1)
        tensor(0.4000)
    """
    return penalty * noise.square().flatten(1).sum(1).mean() - cross_entropy(logits, labels)


def first_of_each(images: LabelledImages, most: int, dtype: torch.dtype) -> LabelledImages:
    """Return the first ``most`` images of each label, as numbers in [0, 1] of a floating-point ``dtype``."""
    positions = [torch.nonzero(images.labels == label)[:most, 0] for label in sorted({*images.labels.tolist()})]
    chosen = images.at(torch.cat(positions).sort().values)
    return replace(chosen, images=chosen.images.to(dtype) / 255)


def _repeated(noise: torch.Tensor, label: int, repeats: int) -> LabelledImages:
    images = noise.repeat(repeats, 1, 1, 1)
    ids = tuple(f"noise-{label}-{number}" for number in range(len(images)))
    return LabelledImages(images=images, labels=torch.full((len(images),), label), ids=ids)


def _passes(work: Work, name: str, images: LabelledImages) -> Any:
    def passes(epoch: int) -> Sequence[Pass]:
        return [Pass(name=name, batches=work.batches(images, name, epoch), loss=mean_cross_entropy)]

    return passes


def _settings(config: UnsirConfig) -> EpochSettings:
    return EpochSettings(**{field.name: getattr(config, field.name) for field in fields(EpochSettings)})


def _forgotten_classes(work: Work) -> list[int]:
    classes = list(work.model.classes)
    others = [one.name for one in work.request.forget if one.kind != work.model.kind or one.name not in classes]
    if others:
        raise RequestError(
            f"unsir forgets classes of the model, and '{others[0]}' is none", hint=f"It knows: {', '.join(classes)}."
        )
    return [classes.index(one.name) for one in work.request.forget]
