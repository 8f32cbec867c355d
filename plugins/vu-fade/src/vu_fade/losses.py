"""FADE's two losses: the model without its adapter teaches the model with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F
from vu_train.adapters import Adapters
from vu_train.latents import Batch, LatentStream
from vu_train.streams import Stream
from vu_train.texts import TextStates

from vu_core.types import FORGET, RETAIN


class SelfDistillation:
    """What FADE trains: the adapter, so that forgotten captions act like their overwriting captions.

    With u = add_noise(z, n, t), the same on both sides of a loss, and the teacher the model at adapter strength 0:

    - ``forget``: MSE(student(u, t, T(s)), teacher(u, t, T(s*))), over pictures x with caption s and overwriting s*;
    - ``retain``: MSE(student(u, t, T(r)), teacher(u, t, T(r))), over pictures y with caption r.

    The noise itself is never a target: pictures only say where outputs are compared. While the adapter changes nothing,
    the retain loss and its gradient are exactly zero. Each step is one call of the student and one of the teacher, on
    the pictures of both batches together.

    Args:
        model: Offers `Denoises` and `Diffuses`.
        adapters: Attached to its denoiser.
        streams: ``"forget"`` and ``"retain"``.
        texts: States of all captions and overwriting captions.
        overwriting: s* by example id.
    """

    def __init__(
        self,
        model: Any,
        adapters: Adapters,
        streams: Mapping[str, LatentStream],
        texts: TextStates,
        overwriting: Mapping[str, str],
    ) -> None:
        self.parameters: Mapping[str, torch.nn.Parameter] = dict(adapters.layers.named_parameters())
        self.streams: Mapping[str, Stream] = streams
        self._model, self._adapters, self._texts, self._overwriting = model, adapters, texts, overwriting

    def losses(self, batches: Mapping[str, Batch]) -> dict[str, torch.Tensor]:
        """Return the scalars ``forget`` and ``retain``, float32; gradients flow into the adapters alone."""
        forget, retain = batches[FORGET], batches[RETAIN]
        noisy = torch.cat([noised(self._model, batch) for batch in (forget, retain)])
        timesteps = torch.cat([forget.timesteps, retain.timesteps])
        with torch.no_grad(), self._adapters.at(0.0):
            overwriting = [self._overwriting[example] for example in forget.ids]
            teacher = self._denoise(noisy, timesteps, [*overwriting, *retain.captions])
        student = self._denoise(noisy, timesteps, [*forget.captions, *retain.captions])
        count = len(forget.ids)
        return {
            FORGET: F.mse_loss(student[:count], teacher[:count]),
            RETAIN: F.mse_loss(student[count:], teacher[count:]),
        }

    def _denoise(self, noisy: torch.Tensor, timesteps: torch.Tensor, captions: Sequence[str]) -> torch.Tensor:
        prediction: torch.Tensor = self._model.denoise(noisy, timesteps, self._texts.of(captions))
        return prediction.float()


def denoising_losses(
    model: Any, stream: LatentStream, texts: TextStates, batches: Iterable[range]
) -> Iterator[torch.Tensor]:
    """Yield MSE(model(u, t, T(s)), target) of one batch after the other, float32: what saliency differentiates.

    Args:
        model: Offers `Denoises` and `Diffuses`.
        stream: Of the forget set.
        texts: States of its captions.
        batches: Positions in the stream.
    """
    for positions in batches:
        batch = stream.take(positions)
        prediction = model.denoise(noised(model, batch), batch.timesteps, texts.of(batch.captions))
        target = model.target(batch.latents, batch.noise, batch.timesteps)
        yield F.mse_loss(prediction.float(), target.float())


def noised(model: Any, batch: Batch) -> torch.Tensor:
    """Return the batch's latents with its own noise at its own timesteps: (n, C, h, w)."""
    noisy: torch.Tensor = model.add_noise(batch.latents, batch.noise, batch.timesteps)
    return noisy
