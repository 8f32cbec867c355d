"""Loading the shipped pipeline and sampling from it, the way the evaluation does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vu_emoji.catalogue import assets

STEPS = 20
GUIDANCE_SCALE = 3.0


def pipeline_folder() -> Path:
    """Returns the folder of the shipped pipeline."""
    return assets() / "pipeline"


def load_pipeline(folder: Path | None = None, dtype: torch.dtype = torch.float32) -> Any:
    """Returns the pipeline, ready to sample.

    Args:
        folder: a StableDiffusionPipeline folder; the shipped one when None.
        dtype: the folder holds half precision, which few CPUs compute well.
    """
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        folder or pipeline_folder(), dtype=dtype, use_safetensors=True, safety_checker=None
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def sample(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int = STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    batch: int = 32,
) -> torch.Tensor:
    """Returns float32 (N, 3, 64, 64) images, RGB in [0, 1], one for each prompt and seed.

    Args:
        pipe: from :func:`load_pipeline`.
        prompts: one for each image.
        seeds: one for each image; an image's noise comes from its seed alone.
        steps: of the sampler.
        guidance_scale: weight of the prompt against the empty one.
        batch: images made at once.
    """
    parts = []
    for start in range(0, len(prompts), batch):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch]]
        reply = pipe(
            prompt=list(prompts[start : start + batch]),
            generator=generators,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            output_type="pt",
        )
        parts.append(reply.images.float().cpu())
    return torch.cat(parts)
