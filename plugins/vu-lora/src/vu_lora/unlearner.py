"""Task negation: an adapter learns the forgotten pictures, and the edit subtracts what it learned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch.nn import functional as F
from vu_train.adapters import Adapters, layers_ending_in
from vu_train.gradients import Weights
from vu_train.latents import Batch, LatentStream, latent_streams
from vu_train.loop import train
from vu_train.pictures import load_pictures
from vu_train.streams import Stream
from vu_train.texts import TextStates, encode_texts

from vu_core import Data, Edit, Request, RunContext
from vu_core.types import FORGET, RETAIN
from vu_lora.bargaining import nash_weights
from vu_lora.config import LoraNegationConfig, MunbaConfig, NegationSettings


class Denoising:
    """What is trained: the adapter, on the denoising loss of each stream.

    The loss of a stream is MSE(student(u, t, T(s)), target) with u = add_noise(z, n, t) and the target of the same z, n
    and t: each picture has noise and a noise level of its own. All streams are one call of the student.

    Args:
        model: Offers `Denoises` and `Diffuses`.
        adapters: Attached to its denoiser.
        streams: By name, one loss each.
        texts: States of all captions.
    """

    def __init__(self, model: Any, adapters: Adapters, streams: Mapping[str, LatentStream], texts: TextStates) -> None:
        self.parameters: Mapping[str, torch.nn.Parameter] = dict(adapters.layers.named_parameters())
        self.streams: Mapping[str, Stream] = streams
        self._model, self._texts = model, texts

    def losses(self, batches: Mapping[str, Batch]) -> dict[str, torch.Tensor]:
        """Return one float32 scalar a stream; gradients flow into the adapters alone."""
        parts = [(batch.latents, batch.noise, batch.timesteps) for batch in batches.values()]
        latents, noise, timesteps = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        captions = [caption for batch in batches.values() for caption in batch.captions]
        noisy = self._model.add_noise(latents, noise, timesteps)
        student = self._model.denoise(noisy, timesteps, self._texts.of(captions)).float()
        target = self._model.target(latents, noise, timesteps).float()
        sizes = [len(batch.ids) for batch in batches.values()]
        pairs = zip(student.split(sizes), target.split(sizes), strict=True)
        return {name: F.mse_loss(*pair) for name, pair in zip(batches, pairs, strict=True)}


class LoraNegation:
    """Task negation (arXiv:2306.14870) with fixed weights of the forget and the retain loss."""

    def unlearn(self, model: Any, request: Request, data: Data, config: LoraNegationConfig, ctx: RunContext) -> Edit:
        """Return the negative of what an adapter learned of the forget set, and of the retain set if it has a weight.

        Raises:
            RequestError: There are no pictures.
            ConfigError: ``layers`` match nothing.
            ComputeError: A loss or a gradient is not finite.
        """
        weights = {FORGET: config.forget_weight, RETAIN: config.retain_weight}
        used = {name: weight for name, weight in weights.items() if weight}
        return _negated(model, request, data, config, ctx, used, used)


class Munba:
    """Task negation whose two gradients strike a Nash bargain at each step (arXiv:2411.15537)."""

    def unlearn(self, model: Any, request: Request, data: Data, config: MunbaConfig, ctx: RunContext) -> Edit:
        """Return the negative of what an adapter learned of both sets; see `vu_lora.bargaining`.

        Raises:
            RequestError: There are no pictures.
            ConfigError: ``layers`` match nothing.
            ComputeError: A loss or a gradient is not finite.
        """
        return _negated(model, request, data, config, ctx, (FORGET, RETAIN), nash_weights)


def _negated(
    model: Any,
    request: Request,
    data: Data,
    config: NegationSettings,
    ctx: RunContext,
    learned: Collection[str],
    weights: Weights,
) -> Edit:
    """Return ``-strength`` times what an adapter learns of the sets in ``learned``, their gradients weighted."""
    pictures = load_pictures(model, request, data, config, ctx, sets=learned)
    texts = encode_texts(model, [example.caption for examples in pictures.values() for example in examples], ctx)
    streams = latent_streams(model, pictures, config, ctx)
    component = model.sites()[0].component
    model.unload_encoders()
    denoiser = model.component(component)
    adapters = Adapters(
        denoiser,
        layers_ending_in(denoiser, config.layers),
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
        generator=ctx.generator("adapters"),
    )
    key = {"model": model.fingerprint(), "adapter": [config.alpha / config.rank, config.dropout]}
    with adapters.attached():
        training = train(Denoising(model, adapters, streams, texts), config, ctx, weights=weights, key=key)
    info = {
        "pictures": {part: len(stream) for part, stream in streams.items()},
        "steps_done": training.steps,
        "stopped": training.stopped,
    }
    return adapters.as_edit(model, component, strength=-config.strength, base=model.encoders(), info=info)
