"""Drawing pictures with diffusers' own pipelines, so that a picture never depends on its company.

The pipeline's call does the work. Around it: noise from one CPU generator a picture in float32, and
batches of one fixed size. Convolutions on a CPU differ in the last bits between batch sizes, so a
smaller last batch is filled up with copies of its last prompt, whose pictures are dropped.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch

from vu_core import ComputeError, ConfigError, SamplerSettings
from vu_core.errors import did_you_mean
from vu_core.numerics import torch_defaults
from vu_core.quiet import quiet

PIXEL_STEP = 8
"""Heights and widths are multiples of it, as the pipelines of the U-Net families demand."""

_MAX_SEED = 2**64
# The first draws its steps' noise from the global random state, whatever generator it is given; the second
# is for networks preconditioned as in EDM, though diffusers lists it as compatible with Euler.
_REFUSED = ("DPMSolverSDEScheduler", "EDMEulerScheduler")


def check_settings(settings: SamplerSettings) -> None:
    """Refuse settings that no pipeline could follow.

    Raises:
        ConfigError: One is out of range.
    """
    rules = {
        "steps": (settings.steps >= 1, "an integer of at least 1"),
        "guidance_scale": (0 <= settings.guidance_scale < math.inf, "a finite number of at least 0; 1 or less is off"),
        "micro_batch": (settings.micro_batch >= 1, "an integer of at least 1"),
        "noise": (settings.noise in ("per-image", "sequential"), "'per-image' or 'sequential'"),
    }
    for side in ("height", "width"):
        pixels = getattr(settings, side)
        fits = pixels is None or (pixels > 0 and pixels % PIXEL_STEP == 0)
        rules[side] = (fits, f"a positive multiple of {PIXEL_STEP}, in pixels")
    for name, (fits, accepted) in rules.items():
        if not fits:
            raise ConfigError(f"{name} cannot be {getattr(settings, name)!r}", hint=f"It takes: {accepted}.")


def check_prompts(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    """Refuse prompts and seeds that do not fit together.

    Raises:
        ConfigError: Their numbers differ, or a seed is out of range.
    """
    if len(prompts) != len(seeds):
        raise ConfigError(f"{len(seeds)} seeds were given for {len(prompts)} prompts", hint="Give one seed a prompt.")
    wrong = [seed for seed in seeds if not 0 <= seed < _MAX_SEED]
    if wrong:
        raise ConfigError(f"seed {wrong[0]} is out of range", hint="Seeds are integers from 0 to 2**64 - 1.")


def make_scheduler(name: str | None, config: Mapping[str, Any], fixes: Mapping[str, Any]) -> Any:
    """Return a scheduler with a stored configuration, of the stored class or another.

    Args:
        name: A diffusers class that can follow the same configuration; None for the stored class.
        config: The content of ``scheduler_config.json``.
        fixes: Entries that replace those of ``config``.

    Raises:
        ConfigError: diffusers has no such scheduler, or it cannot take this configuration, or it needs
            a package that is not installed.
    """
    import diffusers

    stored = str(config.get("_class_name"))
    cls = getattr(diffusers, stored, None)
    if cls is None or not hasattr(cls, "_get_compatibles"):
        raise ConfigError(f"this diffusers has no scheduler '{stored}', which the model stores")
    known = sorted({other.__name__ for other in cls._get_compatibles()} - set(_REFUSED) | {stored})
    chosen = name or stored
    if chosen not in known:
        raise ConfigError(
            f"scheduler '{chosen}' cannot be used with this model",
            hint=f"{did_you_mean(chosen, known)} Usable: {', '.join(known)}.".strip(),
        )
    try:
        with quiet("diffusers"):
            return getattr(diffusers, chosen).from_config({**config, **fixes})
    except ImportError as error:
        raise ConfigError(f"scheduler '{chosen}' needs another package: {' '.join(str(error).split())}") from error


def draw(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: SamplerSettings,
    latent_shape: tuple[int, int, int],
) -> Iterator[torch.Tensor]:
    """Yield one picture a prompt, in order: uint8 (3, H, W) RGB on the CPU.

    Args:
        pipe: A pipeline of a U-Net family.
        prompts: N texts.
        seeds: N seeds; with ``noise="sequential"`` the first seeds one generator for all.
        settings: With height and width given.
        latent_shape: Channels, height and width of one picture's latent.

    Raises:
        ComputeError: A picture is not finite, as with NaN weights.
    """
    shared = torch.Generator("cpu").manual_seed(seeds[0]) if settings.noise == "sequential" else None
    pairs = iter(zip(prompts, seeds, strict=True))
    while batch := list(islice(pairs, settings.micro_batch)):
        padded = batch + [batch[-1]] * (settings.micro_batch - len(batch))
        generators = [shared or torch.Generator("cpu").manual_seed(seed) for _, seed in padded]
        pictures = _draw_batch(pipe, [prompt for prompt, _ in padded], generators, settings, latent_shape)
        yield from pictures[: len(batch)]


@torch_defaults()
def _draw_batch(
    pipe: Any,
    prompts: list[str],
    generators: list[torch.Generator],
    settings: SamplerSettings,
    latent_shape: tuple[int, int, int],
) -> torch.Tensor:
    shape = (1, *latent_shape)
    noise = torch.cat([torch.randn(shape, generator=g, device="cpu", dtype=torch.float32) for g in generators])
    # None, not "": SDXL then takes zeros, as its own call does when no negative prompt is given.
    negative = [settings.negative_prompt] * len(prompts) if settings.negative_prompt else None
    with warnings.catch_warnings():
        # In float16 SDXL's pipeline calls what it deprecates.
        warnings.filterwarnings("ignore", "`upcast_vae` is deprecated", FutureWarning)
        images: torch.Tensor = pipe(
            prompt=prompts,
            negative_prompt=negative,
            height=settings.height,
            width=settings.width,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            latents=noise.to(pipe.unet.dtype),
            generator=generators,
            output_type="pt",
        ).images
    if not images.isfinite().all():
        raise ComputeError(
            "the model drew pictures that are not finite",
            hint="Its weights hold NaN or infinite values, or overflow in this dtype: try --dtype float32.",
        )
    return (images.cpu().float() * 255).round().to(torch.uint8)
