"""``python -m vu_emoji.train STAGE --work-dir DIR``: everything that made the shipped assets."""

from __future__ import annotations

import argparse
import logging
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from vu_emoji.catalogue import load_catalogue
from vu_emoji.train.settings import (
    FIRST_JUDGES,
    SECOND_JUDGES,
    ClipSettings,
    DecoderSettings,
    JudgePoolSettings,
    JudgeSettings,
    PoolSettings,
    TextSettings,
    UnetSettings,
    VaeSettings,
    Workspace,
)

if TYPE_CHECKING:
    from vu_emoji.train.latents import LatentPool
    from vu_emoji.train.pool import Pool

log = logging.getLogger("vu_emoji.train")

Settings = TypeVar("Settings")


def stage_render(work: Workspace, args: argparse.Namespace) -> None:
    """Draws the art and the judges' negatives."""
    from vu_emoji.train.render import render_art, render_negatives

    render_art(load_catalogue(), work.root)
    render_negatives(load_catalogue(), work.root)


def stage_pool(work: Workspace, args: argparse.Namespace) -> None:
    """Composes the training images."""
    from vu_emoji.train.pool import load_pool

    load_pool(load_catalogue(), PoolSettings(), work.pool)


def stage_text(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the CLIP whose text half conditions the pipeline."""
    from vu_emoji.train.pool import load_pool
    from vu_emoji.train.text import train_clip

    settings = with_steps(TextSettings(), args)
    pool = load_pool(load_catalogue(), PoolSettings(), work.pool)
    train_clip(load_catalogue(), pool, settings, work.checkpoint("text"), work.folder("text"), device=args.device)


def stage_vae(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the autoencoder."""
    from vu_emoji.train.pool import load_pool
    from vu_emoji.train.vae import train_vae

    settings = with_steps(VaeSettings(), args)
    catalogue = load_catalogue()
    pool = load_pool(catalogue, PoolSettings(), work.pool)
    checkpoint = work.checkpoint("vae")
    train_vae(pool, settings, catalogue.image_size, checkpoint, work.folder("vae"), device=args.device)


def pool_and_latents(work: Workspace) -> tuple[Pool, LatentPool]:
    """Returns the composed images and their cached latents."""
    from vu_emoji.train.latents import load_latents
    from vu_emoji.train.pool import load_pool

    catalogue = load_catalogue()
    pool = load_pool(catalogue, PoolSettings(), work.pool)
    cache = load_latents(catalogue, pool, work.folder("vae"), work.folder("text"), work.latents)
    return pool, cache


def stage_latents(work: Workspace, args: argparse.Namespace) -> None:
    """Fills the cache of latents and text states."""
    pool_and_latents(work)


def stage_unet(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the denoiser at a held rate."""
    from vu_emoji.train.unet import train_unet

    _, cache = pool_and_latents(work)
    settings = with_steps(UnetSettings(), args)
    train_unet(load_catalogue(), cache, settings, work.checkpoint("unet"), device=args.device)


def stage_finish(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the denoiser's last stretch from where ``unet`` stands: the rate falls to zero."""
    from vu_emoji.train.unet import train_unet

    _, cache = pool_and_latents(work)
    settings = UnetSettings()
    settings = replace(settings, decay=args.steps or settings.decay)
    paths = work.checkpoint("unet"), work.checkpoint("unet-final")
    train_unet(load_catalogue(), cache, settings, *paths, device=args.device)


def stage_decoder(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the decoder further; may run beside the denoiser."""
    from vu_emoji.train.decoder import refine_decoder

    pool, cache = pool_and_latents(work)
    settings = with_steps(DecoderSettings(), args)
    refine_decoder(
        pool,
        cache,
        settings,
        work.folder("vae"),
        work.checkpoint("decoder"),
        work.folder("vae-refined"),
        device=args.device,
    )


def train_judges(work: Workspace, args: argparse.Namespace, judges: dict[str, JudgeSettings]) -> None:
    """Trains judges one after the other and writes them to the assets."""
    from vu_emoji.judges import judge_folder
    from vu_emoji.train.judge_pool import load_judge_pool
    from vu_emoji.train.judging import train_judge

    catalogue = load_catalogue()
    for name, judge in judges.items():
        training = JudgePoolSettings(seed=judge.pool)
        fitting = JudgePoolSettings(seed=judge.pool + 1, part="fit", copies=10, unfinished_copies=1)
        pool, held = (load_judge_pool(catalogue, work.negatives, part, work.root) for part in (training, fitting))
        settings, checkpoint = with_steps(judge, args), work.checkpoint(f"judge-{name}")
        train_judge(catalogue, name, pool, held, settings, checkpoint, judge_folder(), device=args.device)


def stage_judges(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the classifiers of objects and styles; draws from the exported pipeline what shows nothing."""
    train_judges(work, args, FIRST_JUDGES)


def stage_second_judges(work: Workspace, args: argparse.Namespace) -> None:
    """Trains classifiers of another shape, from other seeds and on other pictures."""
    train_judges(work, args, SECOND_JUDGES)


def stage_clip(work: Workspace, args: argparse.Namespace) -> None:
    """Trains the judge CLIP, from another seed and on other images than the pipeline's text half."""
    from vu_emoji.judges import judge_folder
    from vu_emoji.probes import degrade
    from vu_emoji.train.export import export_clip
    from vu_emoji.train.pool import compose_pool
    from vu_emoji.train.text import train_clip

    catalogue = load_catalogue()
    settings = with_steps(ClipSettings(), args)
    placed = PoolSettings(plain=40, coloured=40, seed=7, placement=settings.placement)
    pool = compose_pool(catalogue, placed, "all")
    folder = train_clip(
        catalogue,
        pool,
        settings,
        work.checkpoint("clip"),
        work.folder("clip"),
        augment=lambda images, generator: degrade(images * 0.5 + 0.5, generator) * 2 - 1,
        device=args.device,
    )
    export_clip(folder, judge_folder() / "clip")


def stage_export(work: Workspace, args: argparse.Namespace) -> None:
    """Writes the pipeline to the assets, from the finished run or else from the running one."""
    from vu_emoji.sampling import pipeline_folder
    from vu_emoji.train.export import export_pipeline

    _, cache = pool_and_latents(work)
    export_pipeline(work, cache, UnetSettings(), args.target or pipeline_folder())


def stage_evaluate(work: Workspace, args: argparse.Namespace) -> None:
    """Samples every cell from the shipped pipeline, judges the images and tries the judges."""
    from vu_emoji.evaluate import Settings, evaluate, write_report

    catalogue = load_catalogue()
    report, images = evaluate(catalogue, Settings(), negatives=work.negatives)
    write_report(report, images, catalogue, work.root / "evaluation")


def with_steps(settings: Settings, args: argparse.Namespace) -> Settings:
    """Returns the settings with the number of steps from the command line, if given."""
    return replace(settings, steps=args.steps) if args.steps else settings  # type: ignore[type-var]


STAGES = {
    "render": stage_render,
    "pool": stage_pool,
    "text": stage_text,
    "vae": stage_vae,
    "latents": stage_latents,
    "unet": stage_unet,
    "finish": stage_finish,
    "decoder": stage_decoder,
    "clip": stage_clip,
    "export": stage_export,
    "judges": stage_judges,
    "second-judges": stage_second_judges,
    "evaluate": stage_evaluate,
}


def main() -> None:
    """Runs the stages that the command line names, in their order."""
    parser = argparse.ArgumentParser(prog="python -m vu_emoji.train", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=[*STAGES, "all"], help="what to do")
    parser.add_argument("--work-dir", type=Path, required=True, help="checkpoints and parts")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "mps"], help="where networks are trained")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--steps", type=int, help="in place of the stage's own number")
    parser.add_argument("--target", type=Path, help="export: another folder than the shipped one")
    args = parser.parse_args()
    if args.steps and (len(args.stages) > 1 or "all" in args.stages):
        parser.error("--steps is one stage's own: name that stage alone")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    torch.set_num_threads(args.threads)
    names = ("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    log.info("python %s, %s, %d threads, %s", platform.python_version(), versions, args.threads, args.device)
    work = Workspace(root=args.work_dir)
    for name in STAGES if "all" in args.stages else args.stages:
        log.info("stage %s", name)
        STAGES[name](work, args)


if __name__ == "__main__":
    main()
