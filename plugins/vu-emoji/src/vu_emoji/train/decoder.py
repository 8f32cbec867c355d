"""Further training of the decoder alone, while the denoiser already learns on fixed latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from vu_emoji.train.files import Checkpoint
from vu_emoji.train.latents import LatentPool
from vu_emoji.train.loop import Progress, resumable
from vu_emoji.train.pool import Pool
from vu_emoji.train.settings import DecoderSettings
from vu_emoji.train.vae import reconstruction_loss, vae_optimizer


def refine_decoder(
    pool: Pool,
    cache: LatentPool,
    settings: DecoderSettings,
    vae_folder: Path,
    checkpoint_path: Path,
    folder: Path,
    *,
    device: str = "cpu",
) -> Path:
    """Trains the decoder on ``device``, on cached latents, and returns the folder of the better autoencoder.

    The encoder stays as it was, so latents keep their meaning. A little noise on the latents
    stands for the denoiser's own errors.
    """
    from diffusers import AutoencoderKL

    model = AutoencoderKL.from_pretrained(vae_folder, use_safetensors=True).to(device)
    part: Any = nn.ModuleDict({"decoder": model.decoder, "post_quant_conv": model.post_quant_conv})
    part.train().to(memory_format=torch.channels_last)
    optimizer = vae_optimizer(part, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    checkpoint = Checkpoint(checkpoint_path, {"model": part}, optimizer)
    progress = Progress("decoder")
    steps = resumable("decoder", checkpoint, generator, settings.steps, settings.learning_rate)
    for step in steps:
        rows = torch.randint(len(pool), (settings.batch,), generator=generator)
        latents = cache.latents[rows].float()
        latents += settings.noise * torch.randn(latents.shape, generator=generator)
        made = model.decode(latents.to(device).contiguous(memory_format=torch.channels_last)).sample
        images = pool.batch(rows).to(device)
        loss = reconstruction_loss(made, images)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        progress.add(step, settings.batch, l1=F.l1_loss(made.detach(), images).item())
    model.eval().save_pretrained(folder)
    return folder
