"""FADE in its three variants: pictures and captions to a trained adapter, the adapter to an edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from vu_train.adapters import Adapters, frozen, layers_ending_in, matrix_layers
from vu_train.latents import LatentStream, latent_streams
from vu_train.loop import train
from vu_train.pictures import load_pictures
from vu_train.store import TensorStore
from vu_train.texts import TextStates, encode_texts

from vu_core import ConfigError, Data, Edit, Request, RunContext
from vu_core.edits import tensor_sha256
from vu_core.types import FORGET, RETAIN
from vu_fade.config import AdapterSettings, SaliencySettings
from vu_fade.losses import SelfDistillation, denoising_losses
from vu_fade.overwriting import overwriting_captions
from vu_fade.saliency import Losses, matrix_saliency, weight_saliency
from vu_fade.selection import most_salient, weight_masks


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What training starts from.

    Attributes:
        model: What forgets; its encoders are unloaded.
        component: Name of its denoiser.
        streams: Latents of the forget and the retain set.
        texts: States of all captions.
        overwriting: Overwriting caption by example id.
    """

    model: Any
    component: str
    streams: Mapping[str, LatentStream]
    texts: TextStates
    overwriting: Mapping[str, str]

    @property
    def denoiser(self) -> torch.nn.Module:
        """The component that predicts noise."""
        denoiser: torch.nn.Module = self.model.component(self.component)
        return denoiser


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Where the adapter goes.

    Attributes:
        paths: Layers of the denoiser.
        masks: By path, the weights that may change; empty when all may.
        info: JSON values for the record.
    """

    paths: Sequence[str]
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


class Fade:
    """FADE with an adapter of the layers that the options name (arXiv:2602.07058); see `vu_fade.losses`."""

    def unlearn(self, model: Any, request: Request, data: Data, config: Any, ctx: RunContext) -> Edit:
        """Return the edit that makes ``model`` answer forgotten captions as it answers their overwriting captions.

        Raises:
            RequestError: There are no pictures, or the overwriting caption of one cannot be told.
            ConfigError: ``layers`` match nothing, or none of their weights is salient enough.
            ComputeError: A loss or a gradient is not finite.
        """
        prepared = _prepare(model, request, data, config, ctx)
        choice = self.choose(prepared, config, ctx)
        adapters = Adapters(
            prepared.denoiser,
            choice.paths,
            rank=config.rank,
            alpha=config.alpha,
            dropout=config.dropout,
            masks=choice.masks,
            generator=ctx.generator("adapters"),
        )
        task = SelfDistillation(model, adapters, prepared.streams, prepared.texts, prepared.overwriting)
        weights = {FORGET: config.forget_weight, RETAIN: config.retain_weight}
        with adapters.attached():
            training = train(task, config, ctx, weights=weights, key=_training_key(prepared, choice, config))
        info = {
            **_info(prepared),
            "adapted_layers": len(choice.paths),
            **choice.info,
            "steps_done": training.steps,
            "stopped": training.stopped,
        }
        return adapters.as_edit(model, prepared.component, base=model.encoders(), info=info)

    def choose(self, prepared: Prepared, config: Any, ctx: RunContext) -> Choice:
        """Return where the adapter goes."""
        return Choice(paths=layers_ending_in(prepared.denoiser, config.layers))


class FadePerModule(Fade):
    """FADE with an adapter of the most salient layers: mean of S over a layer's weight, the highest first."""

    def choose(self, prepared: Prepared, config: Any, ctx: RunContext) -> Choice:
        """Return the ``fraction`` of all linear and convolution layers with the highest mean saliency."""
        names = [f"{path}.weight" for path in matrix_layers(prepared.denoiser)]

        def compute() -> dict[str, torch.Tensor]:
            scores = _measured(matrix_saliency, prepared, config, ctx)
            return {"scores": torch.tensor([scores[name] for name in names])}

        key = _saliency_key("matrices", prepared, config)
        scores = TensorStore(ctx).get("saliency", key, compute)["scores"].tolist()
        chosen = most_salient(dict(zip(names, scores, strict=True)), config.fraction)
        return Choice(
            paths=[name.removesuffix(".weight") for name in chosen],
            info={"ranked_layers": len(names), "layers": [name.removesuffix(".weight") for name in chosen]},
        )


class FadePerWeight(Fade):
    """FADE with an adapter of ``layers`` masked to the most salient weights, ranked among those of all layers."""

    def choose(self, prepared: Prepared, config: Any, ctx: RunContext) -> Choice:
        """Return the layers with any weight among the most salient ``fraction`` of all, and which weights these are.

        Raises:
            ConfigError: No weight of ``layers`` is among them.
        """
        paths = layers_ending_in(prepared.denoiser, config.layers)

        def compute() -> dict[str, torch.Tensor]:
            masks, threshold = weight_masks(_measured(weight_saliency, prepared, config, ctx), config.fraction)
            kept = {path: masks[f"{path}.weight"] for path in paths}
            return {"threshold": torch.tensor(threshold), **{path: mask.cpu() for path, mask in kept.items()}}

        key = {**_saliency_key("weights", prepared, config), "fraction": config.fraction, "layers": paths}
        found = dict(TensorStore(ctx).get("saliency", key, compute))
        threshold = found.pop("threshold").item()
        masks = {path: found[path] for path in paths if found[path].any()}
        if not masks:
            raise ConfigError(
                f"none of the weights of {', '.join(config.layers)} is among the most salient {config.fraction:.2%}",
                hint="Raise fraction, or name other layers.",
            )
        changed = sum(int(mask.sum()) for mask in masks.values())
        total = sum(mask.numel() for mask in masks.values())
        return Choice(
            paths=list(masks),
            masks=masks,
            info={"threshold": threshold, "masked_weights": changed, "weights_of_adapted_layers": total},
        )


def _prepare(model: Any, request: Request, data: Data, config: AdapterSettings, ctx: RunContext) -> Prepared:
    pictures = load_pictures(model, request, data, config, ctx)
    overwriting = overwriting_captions(pictures[FORGET], request, data)
    captions = [example.caption for examples in pictures.values() for example in examples]
    texts = encode_texts(model, [*captions, *overwriting.values()], ctx)
    streams = latent_streams(model, pictures, config, ctx)
    component = model.sites()[0].component
    model.unload_encoders()
    return Prepared(model=model, component=component, streams=streams, texts=texts, overwriting=overwriting)


def _measured(
    measure: Callable[[Mapping[str, torch.nn.Parameter], Losses], dict[str, Any]],
    prepared: Prepared,
    config: SaliencySettings,
    ctx: RunContext,
) -> dict[str, Any]:
    """Return what ``measure`` makes of all weights' gradients over the forget set, each picture several times."""
    stream, size = prepared.streams[FORGET], config.batch_size
    epochs = range(0, config.saliency_timesteps * len(stream), len(stream))
    batches = [
        range(epoch + start, epoch + min(start + size, len(stream)))
        for epoch in epochs
        for start in range(0, len(stream), size)
    ]
    names = [f"{path}.weight" for path in matrix_layers(prepared.denoiser)]
    losses = denoising_losses(prepared.model, stream, prepared.texts, ctx.progress(batches, label="measure saliency"))
    with frozen(prepared.denoiser):
        return measure({name: prepared.denoiser.get_parameter(name) for name in names}, losses)


def _saliency_key(of: str, prepared: Prepared, config: SaliencySettings) -> dict[str, Any]:
    """Return, as JSON values, all that decides the saliency."""
    model = prepared.model
    return {
        "of": of,
        "model": model.fingerprint(),
        "dtype": model.dtype,
        "device": model.device,
        "stream": prepared.streams[FORGET].key(),
        "batch_size": config.batch_size,
        "timesteps": config.saliency_timesteps,
    }


def _training_key(prepared: Prepared, choice: Choice, config: AdapterSettings) -> dict[str, Any]:
    """Return, as JSON values, what decides the result besides the settings and streams of training."""
    return {
        "model": prepared.model.fingerprint(),
        "adapter": [config.alpha / config.rank, config.dropout],
        "layers": list(choice.paths),
        "masks": {path: tensor_sha256(mask) for path, mask in choice.masks.items()},
        "overwriting": dict(prepared.overwriting),
    }


def _info(prepared: Prepared) -> dict[str, Any]:
    stream = prepared.streams[FORGET]
    captions = {example.caption: prepared.overwriting[example.id] for example in stream.examples}
    return {
        "overwriting": [list(pair) for pair in sorted(captions.items())],
        "pictures": {name: len(stream) for name, stream in prepared.streams.items()},
    }
