"""Latents of pictures: the VAE's posterior, computed once for each picture and sampled anew at each use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vu_core import RequestError
from vu_core.context import RunContext
from vu_core.types import FORGET
from vu_train.pictures import Example
from vu_train.processes import Processes
from vu_train.randomness import generator_of
from vu_train.settings import DataSettings
from vu_train.store import TensorStore
from vu_train.streams import Order


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some pictures with everything that is random about their use, on the model's device.

    Attributes:
        examples: The pictures and their captions.
        latents: float32 (n, C, h, w): samples of the VAE's posterior, scaled as the denoiser reads them.
        noise: float32 (n, C, h, w), standard normal.
        timesteps: int64 (n,), uniform over the model's noise levels.
    """

    examples: tuple[Example, ...]
    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the pictures."""
        return tuple(example.id for example in self.examples)

    @property
    def captions(self) -> tuple[str, ...]:
        """Captions of the pictures."""
        return tuple(example.caption for example in self.examples)


class LatentStream:
    """An endless stream of batches; everything about a picture's use depends on seed, name and position alone.

    Args:
        name: Tells its randomness from that of other streams.
        examples: N pictures.
        mean: float32 (V, N, C, h, w): V views of each picture, one of which is chosen at each use.
        std: Same shape.
        batch_size: Pictures a step.
        seed: The run's.
        timesteps: Number of noise levels.
        device: Where batches go.
    """

    def __init__(
        self,
        name: str,
        examples: Sequence[Example],
        mean: torch.Tensor,
        std: torch.Tensor,
        *,
        batch_size: int,
        seed: int,
        timesteps: int,
        device: str,
    ) -> None:
        self.examples = tuple(examples)
        self._batch_size = batch_size
        self._mean, self._std = mean, std
        self._place = (seed, name)
        self._order = Order(len(self.examples), *self._place)
        self._timesteps = timesteps
        self._device = device

    @property
    def batch_size(self) -> int:
        """Pictures a step, over all its parts and processes."""
        return self._batch_size

    def __len__(self) -> int:
        """Return how many pictures there are: so many positions are an epoch."""
        return len(self.examples)

    def take(self, positions: Sequence[int]) -> Batch:
        """Return the batch at ``positions`` of the stream."""
        indices = [self._order[position] for position in positions]
        latents, noise, timesteps = zip(*map(self._draw, positions, indices), strict=True)
        return Batch(
            examples=tuple(self.examples[index] for index in indices),
            latents=torch.stack(latents).to(self._device),
            noise=torch.stack(noise).to(self._device),
            timesteps=torch.stack(timesteps).to(self._device),
        )

    def key(self) -> str:
        """Return a sha256 (hex) of all that decides its batches."""
        digest = hashlib.sha256(f"{self._place} {self._timesteps}".encode())
        for example in self.examples:
            digest.update(f"{example.id}\0{example.caption}\0{example.overwrite}\0".encode())
        for tensor in (self._mean, self._std):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def _draw(self, position: int, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return latent, noise and timestep of one use of a picture."""
        generator = generator_of(*self._place, "use", position)
        view = int(torch.randint(0, len(self._mean), (), generator=generator))
        timestep = torch.randint(0, self._timesteps, (), generator=generator)
        mean, std = self._mean[view, index], self._std[view, index]
        latent = mean + std * torch.randn(mean.shape, generator=generator)
        return latent, torch.randn(mean.shape, generator=generator), timestep


def latent_streams(
    model: Any, pictures: Mapping[str, Sequence[Example]], settings: DataSettings, ctx: RunContext
) -> dict[str, LatentStream]:
    """Return a stream of each set that has pictures, by name; posteriors come from the run's folder or the VAE.

    Args:
        model: Offers `Diffuses`.
        pictures: By name, from `load_pictures`.
        settings: Batch sizes, and whether pictures are mirrored.
        ctx: Seed, folder, progress.

    Raises:
        RequestError: There are no pictures at all.
        ModelError: Latents are not finite.
    """
    if not any(pictures.values()):
        raise RequestError("there is no picture to train on")
    streams = {}
    for name, examples in pictures.items():
        if not examples:
            continue
        with Processes(ctx.device).first_goes_first():
            mean, std = encode_pictures(model, examples, ctx, flip=settings.flip)
        sizes = {FORGET: settings.batch_size}
        streams[name] = LatentStream(
            name,
            examples,
            mean,
            std,
            batch_size=sizes.get(name, settings.retain_batch_size or settings.batch_size),
            seed=ctx.seed,
            timesteps=model.training_timesteps,
            device=ctx.device,
        )
    return streams


def encode_pictures(
    model: Any, examples: Sequence[Example], ctx: RunContext, *, flip: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the posteriors of N pictures: float32 (V, N, C, h, w).

    Each picture is encoded by itself, so that it never depends on the others, and is found again by its pixels.

    Args:
        model: Offers `Diffuses`.
        examples: The pictures.
        ctx: For folder and progress.
        flip: Whether mirrored pictures are a second view; V is 1 without.
    """
    key, store = dict(model.posterior_key()), TensorStore(ctx)

    def encoded(image: torch.Tensor) -> dict[str, torch.Tensor]:
        mean, std = model.posterior(image[None])
        return {"mean": mean[0], "std": std[0]}

    found = []
    for example in ctx.progress(examples, label="encode pictures"):
        image = example.read()
        for view in (image, image.flip(-1)) if flip else (image,):
            view = view.contiguous()
            sha = hashlib.sha256(str(tuple(view.shape)).encode() + view.numpy().tobytes()).hexdigest()
            found.append(store.get("posterior", {**key, "image": sha}, lambda view=view: encoded(view)))  # type: ignore[misc]
    shape = (len(examples), 2 if flip else 1, *found[0]["mean"].shape)
    mean, std = (
        torch.stack([one[name] for one in found]).reshape(shape).transpose(0, 1).contiguous()
        for name in ("mean", "std")
    )
    return mean, std
