"""The judges' training pictures, made once and stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vu_emoji.catalogue import Catalogue
from vu_emoji.probes import Labelled, compose_art, compose_others
from vu_emoji.sampling import load_pipeline
from vu_emoji.train.files import load_tensors, save_tensors
from vu_emoji.train.settings import JudgePoolSettings
from vu_emoji.unfinished import blurred, half_denoised, seeds_of

log = logging.getLogger(__name__)

# The wordings of captions on which judges are trained; they are tested on the other.
WORDINGS = (0, 1, 2)


@dataclass(frozen=True)
class JudgePool:
    """Drawings, of the catalogue and others, and the pipeline's pictures of nothing."""

    drawings: Labelled
    unfinished: Labelled


def load_judge_pool(catalogue: Catalogue, negatives: Path, settings: JudgePoolSettings, folder: Path) -> JudgePool:
    """Returns the pool of these settings, made and stored when missing.

    Args:
        catalogue: the cells; the ones held out from the pipeline are among them.
        negatives: the folder that ``render_negatives`` filled.
        settings: seed and sizes.
        folder: where the pool is stored.
    """

    def make_drawings() -> Labelled:
        rng = np.random.default_rng(settings.seed)
        art = compose_art(catalogue, rng, settings.copies)
        others = compose_others(catalogue, negatives, settings.part, rng, settings.other_copies)
        return Labelled.joined([art, others])

    def make_unfinished() -> Labelled:
        pipe = load_pipeline()
        cells = catalogue.cells() * settings.unfinished_copies
        prompts = [catalogue.caption(*cell, template=WORDINGS[i % len(WORDINGS)]) for i, cell in enumerate(cells)]
        begun = half_denoised(pipe, prompts, seeds_of(settings.seed, len(cells))).flatten(0, 1)
        copies = len(begun) // len(catalogue.cells())
        spoilt, _ = blurred(pipe, catalogue, np.random.default_rng(settings.seed), copies)
        return Labelled.of_nothing(torch.cat([begun, spoilt]), catalogue)

    name = f"judge-{settings.part}-{settings.seed}"
    return JudgePool(
        _stored(folder / f"{name}-drawings.safetensors", make_drawings),
        _stored(folder / f"{name}-unfinished.safetensors", make_unfinished),
    )


def _stored(path: Path, make: Callable[[], Labelled]) -> Labelled:
    if not path.exists():
        made = make()
        save_tensors(path, vars(made))
        log.info("made %d pictures for the judges (%s)", len(made), path.name)
    return Labelled(**load_tensors(path)[0])
