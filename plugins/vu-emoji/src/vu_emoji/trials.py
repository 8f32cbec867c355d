"""The judges' own errors, on pictures that no judge was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vu_core.statistics import wilson
from vu_emoji.catalogue import Catalogue
from vu_emoji.dataset import EVALUATED_WORDING
from vu_emoji.judges import EmojiClassifier, Kind
from vu_emoji.probes import NONSENSE, Labelled, compose_art, compose_others, degrade, nonsense
from vu_emoji.train.pool import compose_pool
from vu_emoji.train.settings import ClipSettings, PoolSettings
from vu_emoji.train.text import tokenize
from vu_emoji.unfinished import BLIND_STEPS, blurred, half_denoised, seeds_of

# Neither a judge's pool nor the fit of its temperature has this seed.
SEED = 71


@dataclass(frozen=True)
class Trial:
    """Pictures of one sort, and what a judge should say of each.

    Attributes:
        name: of the sort.
        images: float32 (N, 3, 64, 64) in [0, 1].
        pictures: the right answers; their images are those before degradation.
        sorts: a finer name for each picture, or none.
    """

    name: str
    images: torch.Tensor
    pictures: Labelled
    sorts: tuple[str, ...] = ()


def share(hits: list[bool]) -> dict[str, Any]:
    """Returns a share with its count and Wilson interval."""
    if not hits:
        return {"value": None, "n": 0, "interval": None}
    interval = wilson(sum(hits), len(hits))
    return {
        "value": sum(hits) / len(hits),
        "n": len(hits),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
    }


def calibration_error(confidence: torch.Tensor, right: torch.Tensor, bins: int = 10) -> float:
    """Returns the expected calibration error over equal bins of confidence (Guo et al. 2017).

    Args:
        confidence: float32 (N,), the probability of each verdict.
        right: bool (N,), whether it is right.
        bins: how many.
    """
    total = 0.0
    places = (confidence * bins).long().clamp(max=bins - 1)
    for k in range(bins):
        mask = places == k
        if mask.any():
            gap = confidence[mask].mean() - right[mask].float().mean()
            total += float(gap.abs() * mask.sum())
    return total / len(confidence)


def make_trials(
    catalogue: Catalogue, pipe: Any, negatives: Path | None = None, *, copies: int = 10, seed: int = SEED
) -> list[Trial]:
    """Returns new placements of the art, pictures of nothing and, from a folder, emoji never seen in training.

    Drawings are degraded as in training; the rest is as it comes.

    Args:
        catalogue: the cells.
        pipe: whose unfinished samples and decodings to show.
        negatives: drawings of other concepts; without them that trial is left out.
        copies: pictures of each cell; the other trials grow with it.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    art = compose_art(catalogue, rng, copies)
    clean = art.images.float() / 255
    trials = [Trial("art", degrade(clean, generator), art)]
    trials.append(_nothing("noise", catalogue, *_named(nonsense(clean, generator), NONSENSE)))
    cells = catalogue.cells() * max(1, copies // 5)
    # No judge was trained on samples of this wording.
    prompts = [
        catalogue.caption(*cell, template=catalogue.templates["both"].index(EVALUATED_WORDING)) for cell in cells
    ]
    begun = half_denoised(pipe, prompts, seeds_of(seed, len(cells)))
    sorts = tuple(f"after {k} steps" for k in BLIND_STEPS) * len(cells)
    trials.append(_nothing("half-denoised", catalogue, begun.flatten(0, 1), sorts))
    spoilt = blurred(pipe, catalogue, rng, len(cells) * len(BLIND_STEPS) // len(catalogue.cells()))
    trials.append(_nothing("blurred", catalogue, *_named(spoilt, ("gaussian", "average"))))
    if negatives is not None:
        others = compose_others(catalogue, negatives, "test", rng, copies)
        trials.append(Trial("never-seen emoji", degrade(others.images.float() / 255, generator), others))
    return trials


def _named(drawn: tuple[torch.Tensor, torch.Tensor], names: tuple[str, ...]) -> tuple[torch.Tensor, tuple[str, ...]]:
    images, numbers = drawn
    return images, tuple(names[int(number)] for number in numbers)


def _nothing(name: str, catalogue: Catalogue, images: torch.Tensor, sorts: tuple[str, ...]) -> Trial:
    return Trial(name, images, Labelled.of_nothing(images, catalogue), sorts)


@torch.no_grad()
def try_judge(judge: EmojiClassifier, kind: Kind, trials: list[Trial]) -> dict[str, Any]:
    """Returns how often a judge is right in each trial, and its calibration error.

    Calibration leaves never-seen emoji out for styles: their style is not the judge's to tell.

    Args:
        judge: who is tried.
        kind: what it judges.
        trials: from :func:`make_trials`.
    """
    report: dict[str, Any] = {}
    confidences, rights = [], []
    for trial in trials:
        probabilities = torch.cat([judge(part).softmax(1) for part in torch.split(trial.images, 128)])
        confidence, guess = probabilities.max(1)
        right = guess == trial.pictures.labels(kind)
        report[trial.name] = {
            "right": share(right.tolist()),
            "other": share((guess == len(judge.classes) - 1).tolist()),
            "calibration_error": round(calibration_error(confidence, right), 4),
        }
        for sort in dict.fromkeys(trial.sorts):
            hits = [hit for hit, name in zip(right.tolist(), trial.sorts, strict=True) if name == sort]
            report[trial.name][sort] = share(hits)
        if kind == "object" or trial.name != "never-seen emoji":
            confidences.append(confidence)
            rights.append(right)
    report["calibration_error"] = round(calibration_error(torch.cat(confidences), torch.cat(rights)), 4)
    return report


@torch.no_grad()
def try_clip(catalogue: Catalogue, folder: Path) -> dict[str, Any]:
    """Returns how often the nearest of the bare captions is the right one, by object and by style.

    The pictures are new placements of the art, about as in the pipeline's data, not degraded.

    Args:
        catalogue: whose names are the captions.
        folder: a CLIPModel with its tokenizer.
    """
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    placed = PoolSettings(plain=5, coloured=5, seed=SEED, placement=ClipSettings().placement)
    pool = compose_pool(catalogue, placed, "all")
    captions = {
        "object": ([catalogue.caption(name) for name in catalogue.object_names], pool.objects),
        "style": ([catalogue.caption(None, name) for name in catalogue.style_names], pool.styles),
    }
    report = {}
    for kind, (texts, labels) in captions.items():
        ids = tokenize(tokenizer, texts)
        rows = torch.split(torch.arange(len(pool)), 128)
        scores = torch.cat([model(input_ids=ids, pixel_values=pool.batch(part)).logits_per_image for part in rows])
        report[kind] = share((scores.argmax(1) == labels).tolist())
    return report
