"""What the pipeline shows when it draws nothing: samples stopped early, and decodings of blurred latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from vu_emoji.catalogue import Catalogue
from vu_emoji.probes import compose_art
from vu_emoji.sampling import GUIDANCE_SCALE, STEPS

# Decoded after 3 of the 20 steps, a sample is a tangle of colours; after 4, some objects can be told.
BLIND_STEPS = (1, 2, 3)
# In cells of the 16 x 16 latents. Below, outlines of some objects survive.
BLURS = (2.5, 4.0)
# Latents of so many different objects averaged.
CROWDS = (6, 8)


@torch.no_grad()
def half_denoised(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    after: Sequence[int] = BLIND_STEPS,
    *,
    steps: int = STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    batch: int = 32,
) -> torch.Tensor:
    """Returns samples as they look after some of the steps: float32 (N, len(after), 3, 64, 64) in [0, 1].

    Args:
        pipe: from :func:`vu_emoji.sampling.load_pipeline`.
        prompts: one for each sample.
        seeds: one for each sample.
        after: numbers of steps, ascending; after the last one the sampler stops.
        steps: of the whole sampler.
        guidance_scale: weight of the prompt against the empty one; not 1.
        batch: samples made at once.
    """
    parts = []
    for start in range(0, len(prompts), batch):
        some, numbers = list(prompts[start : start + batch]), seeds[start : start + batch]
        states = torch.cat(pipe.encode_prompt(some, pipe.device, 1, True)[1::-1])
        generators = [torch.Generator().manual_seed(seed) for seed in numbers]
        shape = (pipe.unet.config.in_channels, pipe.unet.config.sample_size, pipe.unet.config.sample_size)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        pipe.scheduler.set_timesteps(steps)
        latents = noise * pipe.scheduler.init_noise_sigma
        shown = []
        for count, time in enumerate(pipe.scheduler.timesteps[: after[-1]], start=1):
            doubled = pipe.scheduler.scale_model_input(torch.cat([latents, latents]), time)
            empty, told = pipe.unet(doubled, time, encoder_hidden_states=states).sample.chunk(2)
            latents = pipe.scheduler.step(empty + guidance_scale * (told - empty), time, latents).prev_sample
            if count in after:
                shown.append(decode(pipe, latents))
        parts.append(torch.stack(shown, 1))
    return torch.cat(parts)


def seeds_of(seed: int, count: int) -> list[int]:
    """Returns ``count`` seeds of noise; two of these lists share none."""
    return [seed * 100_000 + i for i in range(count)]


@torch.no_grad()
def blurred(
    pipe: Any, catalogue: Catalogue, rng: np.random.Generator, copies: int, batch: int = 60
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns decodings of spoilt latents of the art, float32 (180 * copies, 3, 64, 64) in [0, 1].

    In turn latents are blurred (a Gaussian of ``BLURS`` cells) and averaged (of ``CROWDS`` different objects);
    the second tensor, bool (180 * copies,), tells which are averages.

    Args:
        pipe: whose autoencoder to use.
        catalogue: the cells.
        rng: of everything random.
        copies: pictures for each cell.
        batch: images encoded at once.
    """
    art = compose_art(catalogue, rng, copies)
    images = art.images.float() / 255 * 2 - 1
    latents = torch.cat([pipe.vae.encode(part).latent_dist.mean for part in torch.split(images, batch)])
    spoilt = []
    averaged = torch.arange(len(art)) % 2 == 1
    for row in range(len(art)):
        if averaged[row]:
            chosen = rng.permutation(len(catalogue.objects))[: rng.integers(CROWDS[0], CROWDS[1] + 1)]
            crowd = [int(rng.choice(np.flatnonzero(art.objects.numpy() == name))) for name in chosen]
            spoilt.append(latents[crowd].mean(0))
        else:
            spoilt.append(gaussian(latents[row], float(rng.uniform(*BLURS))))
    scale = pipe.vae.config.scaling_factor
    return torch.cat([decode(pipe, part * scale) for part in torch.split(torch.stack(spoilt), batch)]), averaged


def gaussian(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Returns (C, H, W) maps blurred by a Gaussian of ``sigma`` cells; the border's values go on outside."""
    reach = round(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=maps.dtype)
    weights = torch.exp(-offsets.square() / (2 * sigma**2))
    weights /= weights.sum()
    wide = F.pad(maps[:, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))[:, 0]


@torch.no_grad()
def decode(pipe: Any, latents: torch.Tensor) -> torch.Tensor:
    """Returns float32 (N, 3, 64, 64) images in [0, 1] of scaled latents."""
    decoded: torch.Tensor = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return (decoded / 2 + 0.5).clamp(0, 1)
