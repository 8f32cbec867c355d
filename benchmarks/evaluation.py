"""How much faster `vu` draws a protocol's pictures than a plain loop, and how much of its time is the model's.

    python benchmarks/evaluation.py [--pictures 16] [--steps 20] [--repeats 3] [--sd14] [--json FILE]

Both draw in float32, with the same scheduler, steps, guidance and size, alternately in one process:
(a) plain diffusers: one prompt at a time, ``pipe(prompt)``;
(b) vu: the same prompts through ``model.sample`` at the model's own micro-batch.
The share outside the model is what is left of (b) without the U-Net, the VAE's decoder and the text encoder.

The embedded model by default; ``--sd14``: random weights in Stable Diffusion 1.4's shapes, at 64 x 64 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

OBJECTS = ("cat", "dog", "car", "apple", "house", "rocket", "tulip", "pizza")
SIDE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sd14", action="store_true", help="random weights in the shapes of Stable Diffusion 1.4")
    parser.add_argument("--json", type=Path, help="file that receives all numbers")
    options = parser.parse_args()
    pipe = sd14_pipeline() if options.sd14 else embedded_pipeline()
    results = measure(pipe, options.pictures, options.steps, options.repeats)
    results["model"] = "SD 1.4's shapes, 64 x 64" if options.sd14 else "emoji"
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(pipe: Any, pictures: int, steps: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of both, a list each, and the share of vu's time that is outside the model."""
    from vu_diffusers.model import adopt

    model = adopt(pipe)
    prompts = [f"a {OBJECTS[i % len(OBJECTS)]}" for i in range(pictures)]
    settings = replace(model.default_settings(), steps=steps, guidance_scale=3.0, height=SIDE, width=SIDE)
    pipe.set_progress_bar_config(disable=True)

    def plain() -> None:
        for seed, prompt in enumerate(prompts):
            generator = torch.Generator().manual_seed(seed)
            pipe(
                prompt,
                num_inference_steps=steps,
                guidance_scale=settings.guidance_scale,
                height=SIDE,
                width=SIDE,
                generator=generator,
            )

    def ours() -> None:
        for _ in model.sample(prompts, range(pictures), settings):
            pass

    seconds: dict[str, list[float]] = {"plain": [], "vu": []}
    outside = []
    for _ in range(repeats):
        seconds["plain"].append(timed(plain))
        with time_inside(pipe) as inside:
            seconds["vu"].append(timed(ours))
        outside.append(1 - sum(inside) / seconds["vu"][-1])
    return {
        "machine": {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "torch": torch.__version__},
        "pictures": pictures,
        "steps": steps,
        "micro_batch": settings.micro_batch,
        "seconds": seconds,
        "outside": outside,
    }


@contextmanager
def time_inside(pipe: Any) -> Iterator[list[float]]:
    """Collect the seconds of every call of the U-Net, the VAE's decoder and the text encoder."""
    spent: list[float] = []
    starts: list[float] = []
    hooks = []
    for part in (pipe.unet, pipe.vae.decoder, pipe.text_encoder):
        hooks.append(part.register_forward_pre_hook(lambda *_: starts.append(time.perf_counter())))
        hooks.append(part.register_forward_hook(lambda *_: spent.append(time.perf_counter() - starts.pop())))
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()


def timed(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def embedded_pipeline() -> Any:
    from diffusers import StableDiffusionPipeline

    from vu_core.models import resource_path

    return StableDiffusionPipeline.from_pretrained(resource_path("vu_emoji:assets/pipeline"), safety_checker=None)


def sd14_pipeline() -> Any:
    """Return a pipeline with random weights in Stable Diffusion 1.4's shapes; its tokenizer knows a few words."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from vu_core.testing.pipelines import build_pipeline

    small = build_pipeline()
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    blocks = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(cross_attention_dim=768, sample_size=64).eval(),
        vae=AutoencoderKL(3, 3, *blocks, block_out_channels=(128, 256, 512, 512), layers_per_block=2).eval(),
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=small.tokenizer,
        scheduler=small.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def show(results: dict[str, Any]) -> None:
    machine, seconds = results["machine"], results["seconds"]
    plain, ours = (statistics.median(seconds[name]) / results["pictures"] for name in ("plain", "vu"))
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["vu"], strict=True)]
    print(f"torch {machine['torch']}, {machine['threads']} threads on {machine['cores']} cores")
    print("| model | pictures | steps | micro-batch | plain, a picture | vu, a picture | ratio | outside the model |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {results['model']} | {results['pictures']} | {results['steps']} | {results['micro_batch']} | {plain:.2f} s "
        f"| {ours:.2f} s | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
        f"| {100 * statistics.median(results['outside']):.1f} % |"
    )


if __name__ == "__main__":
    main()
