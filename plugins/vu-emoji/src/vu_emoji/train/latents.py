"""The cache of latents and text states: the denoiser's loop runs no other network."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from vu_emoji.catalogue import Catalogue
from vu_emoji.train.files import load_tensors, save_tensors
from vu_emoji.train.pool import Captioner, Pool
from vu_emoji.train.text import tokenize
from vu_emoji.train.vae import encode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentPool:
    """The pool as the denoiser sees it.

    Attributes:
        latents: float16 (N, 4, h, w), mean 0 and variance 1 in each channel.
        objects: int64 (N,), places in ``catalogue.object_names``.
        styles: int64 (N,), places in ``catalogue.style_names``.
        backgrounds: int64 (N,), places in ``catalogue.background_names``.
        states: float16 (captions, positions, width), in the order of ``Captioner.list_all``.
    """

    latents: torch.Tensor
    objects: torch.Tensor
    styles: torch.Tensor
    backgrounds: torch.Tensor
    states: torch.Tensor


@torch.no_grad()
def encode_captions(text_folder: Path, texts: list[str]) -> torch.Tensor:
    """Returns float32 (N, positions, width): the text encoder's last hidden states."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(text_folder)
    encoder = CLIPTextModel.from_pretrained(text_folder, dtype=torch.float32).eval()
    ids = tokenize(tokenizer, texts)
    return torch.cat([encoder(part).last_hidden_state for part in torch.split(ids, 256)])


@torch.no_grad()
def load_latents(catalogue: Catalogue, pool: Pool, vae_folder: Path, text_folder: Path, path: Path) -> LatentPool:
    """Returns the cache, computed and stored when there is none yet."""
    if path.exists():
        tensors, _ = load_tensors(path)
        return LatentPool(**tensors)
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder, use_safetensors=True)
    vae.eval().to(memory_format=torch.channels_last)
    latents = encode(vae, pool, torch.arange(len(pool)), batch=128)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    log.info("latents: means %s, deviations %s", mean.tolist(), std.tolist())
    captions = Captioner(catalogue).list_all()
    states = encode_captions(text_folder, [caption.text for caption in captions])
    cache = LatentPool(latents.half(), pool.objects, pool.styles, pool.backgrounds, states.half())
    save_tensors(path, {name: getattr(cache, name) for name in LatentPool.__annotations__})
    return cache
