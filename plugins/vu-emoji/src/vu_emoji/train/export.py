"""Writes the trained parts in the formats that libraries load."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from vu_emoji.sampling import GUIDANCE_SCALE, STEPS
from vu_emoji.train.files import load_tensors, replace_folder, write_json
from vu_emoji.train.latents import LatentPool
from vu_emoji.train.settings import UnetSettings, Workspace
from vu_emoji.train.unet import SCHEDULE, build_unet

log = logging.getLogger(__name__)


def export_pipeline(work: Workspace, cache: LatentPool, settings: UnetSettings, target: Path) -> dict[str, Any]:
    """Writes a StableDiffusionPipeline folder in half precision and returns what it is made of.

    The denoiser is the average of the finished run when there is one, else of the running one;
    the decoder is the refined one when there is one.

    Args:
        work: the training run's folders.
        cache: latents and text states, for the shapes.
        settings: the denoiser's.
        target: the folder to replace.

    Raises:
        FileNotFoundError: the denoiser has no checkpoint yet.
    """
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel, CLIPTokenizer

    final = work.checkpoint("unet-final")
    source = final if final.exists() else work.checkpoint("unet")
    tensors, notes = load_tensors(source)
    unet = build_unet(settings, cache)
    unet.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("ema/")})
    refined = work.folder("vae-refined")
    vae_folder = refined if (refined / "config.json").exists() else work.folder("vae")
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(vae_folder, use_safetensors=True),
        text_encoder=CLIPTextModel.from_pretrained(work.folder("text"), dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(work.folder("text")),
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    pipe.to(torch.float16).save_pretrained(temporary, safe_serialization=True)
    # transformers loads the stored type and diffusers float32: with these values in float32, a plain
    # from_pretrained gives a pipeline of one type.
    pipe.text_encoder.float().save_pretrained(temporary / "text_encoder")
    write_json(temporary / "vu_sampling.json", {"steps": STEPS, "guidance_scale": GUIDANCE_SCALE})
    # The denoiser learned from means; around them the autoencoder's posterior is up to four times as wide as they are.
    write_json(temporary / "vu_training.json", {"posterior": "mean"})
    made = {
        "schema": 1,
        "unet": {"checkpoint": source.stem, **notes},
        "vae": vae_folder.name,
        "image_size": unet.config.sample_size * pipe.vae_scale_factor,
    }
    write_json(temporary / "training.json", made)
    forget_origins(temporary)
    readable(temporary)
    replace_folder(temporary, target)
    log.info("exported %s to %s", json.dumps(made), target)
    return made


def forget_origins(folder: Path) -> None:
    """Takes the folders that parts were loaded from out of their configurations."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        if config.pop("_name_or_path", None) is not None:
            write_json(path, config)


def readable(folder: Path) -> None:
    """Lets everyone read the files of a folder; safetensors writes for the owner alone."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)


def export_clip(source: Path, target: Path) -> None:
    """Writes the judge CLIP in half precision with its tokenizer and image settings."""
    from transformers import CLIPModel, CLIPTokenizer

    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    model = CLIPModel.from_pretrained(source, dtype=torch.float16)
    model.save_pretrained(temporary)
    CLIPTokenizer.from_pretrained(source).save_pretrained(temporary)
    size = model.config.vision_config.image_size
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
    }
    write_json(temporary / "preprocessor_config.json", settings)
    readable(temporary)
    replace_folder(temporary, target)
    log.info("exported the judge CLIP to %s", target)
