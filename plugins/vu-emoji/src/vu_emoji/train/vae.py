"""Training of the autoencoder, and the normalisation of its latents."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from vu_emoji.train.files import Checkpoint
from vu_emoji.train.loop import Progress, resumable
from vu_emoji.train.optimizers import build_optimizer
from vu_emoji.train.pool import Pool
from vu_emoji.train.settings import DecoderSettings, VaeSettings

log = logging.getLogger(__name__)


def build_vae(settings: VaeSettings, image_size: int) -> Any:
    """Returns an untrained AutoencoderKL."""
    from diffusers import AutoencoderKL

    depth = len(settings.channels)
    torch.manual_seed(settings.seed)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=settings.channels,
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        norm_num_groups=8,
        sample_size=image_size,
        scaling_factor=1.0,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def vae_optimizer(model: nn.Module, settings: VaeSettings | DecoderSettings) -> torch.optim.Optimizer:
    """Returns Muon for the inner convolutions and AdamW for the outermost."""
    return build_optimizer(
        model,
        "muon",
        settings.learning_rate,
        outer=("conv_in", "conv_out", "quant_conv"),
        outer_rate=settings.outer_learning_rate,
    )


def edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the differences between neighbouring pixels, across and down."""
    return images.diff(dim=3), images.diff(dim=2)


def reconstruction_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Returns L1 + MSE + L1 of the edges, which keeps outlines sharp."""
    loss = F.l1_loss(made, wanted) + F.mse_loss(made, wanted)
    for a, b in zip(edges(made), edges(wanted), strict=True):
        loss = loss + 0.5 * F.l1_loss(a, b)
    return loss


def train_vae(
    pool: Pool, settings: VaeSettings, image_size: int, checkpoint_path: Path, folder: Path, *, device: str = "cpu"
) -> Path:
    """Trains the autoencoder on ``device`` and returns the folder that it was saved to.

    Its latents come out with mean 0 and variance 1 in each channel, so ``scaling_factor`` is 1.
    """
    model = build_vae(settings, image_size).to(device)
    optimizer = vae_optimizer(model, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    checkpoint = Checkpoint(checkpoint_path, {"model": model}, optimizer)
    progress = Progress("vae", every=100)
    model.train().to(memory_format=torch.channels_last)
    for step in resumable("vae", checkpoint, generator, settings.steps, settings.learning_rate):
        images = pool.batch(torch.randint(len(pool), (settings.batch,), generator=generator))
        images = images.to(device).contiguous(memory_format=torch.channels_last)
        posterior = model.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        made = model.decode(posterior.mean + posterior.std * noise).sample
        kl = posterior.kl().mean()
        loss = reconstruction_loss(made, images) + settings.kl_weight * kl
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        l1 = F.l1_loss(made.detach(), images).item()
        progress.add(step, settings.batch, l1=l1, kl=kl.item())
    model.cpu().eval()
    normalise_latents(model, pool)
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def encode(model: Any, pool: Pool, rows: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """Returns float32 (N, 4, h, w): the means of the images' latents."""
    parts = [model.encode(pool.batch(part)).latent_dist.mean for part in torch.split(rows, batch)]
    return torch.cat(parts)


@torch.no_grad()
def normalise_latents(model: Any, pool: Pool, count: int = 4096) -> None:
    """Changes the autoencoder so that its latents have mean 0 and variance 1 in each channel.

    The affine map goes into the 1 x 1 convolutions on both sides of the latents, because
    StableDiffusionPipeline knows one scaling factor for all channels and no shift.
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(pool), generator=generator)[:count]
    latents = encode(model, pool, rows)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    before, after = model.quant_conv, model.post_quant_conv
    log.info("latents before: means %s, deviations %s", mean.tolist(), std.tolist())
    # decode(W z + b) with z = std * y + mean is decode((W std) y + (W mean + b)).
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= std.view(1, -1, 1, 1)
    before.weight[:channels] /= std.view(-1, 1, 1, 1)
    before.bias[:channels] = (before.bias[:channels] - mean) / std
    # The second half of the channels are log variances.
    before.bias[channels:] -= 2 * std.log()
