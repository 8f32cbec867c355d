"""Training, calibration and own error of the judges."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from vu_core.statistics import wilson
from vu_emoji.catalogue import Catalogue
from vu_emoji.judges import OTHER, EmojiClassifier
from vu_emoji.train.files import Checkpoint, save_tensors, write_json
from vu_emoji.train.loop import Progress, resumable
from vu_emoji.train.negatives import JudgePool, degrade, nonsense
from vu_emoji.train.optimizers import build_optimizer
from vu_emoji.train.settings import JudgeSettings

log = logging.getLogger(__name__)

Kind = Literal["object", "style"]


def judge_classes(catalogue: Catalogue, kind: Kind) -> tuple[str, ...]:
    """Returns a judge's outcomes, the last of which is "other"."""
    names = catalogue.object_names if kind == "object" else catalogue.style_names
    return (*names, OTHER)


def draw_batch(
    pool: JudgePool, kind: Kind, size: int, other: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns degraded images in [0, 1] and their classes; one in eight shows nothing."""
    labels = pool.objects if kind == "object" else pool.styles
    rows = torch.randint(len(labels), (size,), generator=generator)
    images, classes = pool.images[rows].float().div_(255), labels[rows]
    empty = size // 8
    images[:empty] = nonsense(images[:empty], generator)
    classes = classes.clone()
    classes[:empty] = other
    return degrade(images, generator), classes


def train_judge(
    catalogue: Catalogue,
    kind: Kind,
    pool: JudgePool,
    validation: JudgePool,
    settings: JudgeSettings,
    checkpoint_path: Path,
    folder: Path,
) -> dict[str, Any]:
    """Trains one judge, writes its weights and notes, and returns the notes."""
    classes = judge_classes(catalogue, kind)
    seed = settings.seed + (kind == "style")
    torch.manual_seed(seed)
    judge = EmojiClassifier(classes, settings.width)
    optimizer = build_optimizer(judge, "muon", settings.learning_rate, settings.weight_decay, outer=("stem", "head"))
    generator = torch.Generator().manual_seed(seed)
    checkpoint = Checkpoint(checkpoint_path, {"model": judge}, optimizer)
    progress = Progress(f"{kind} judge", every=50)
    judge.train()
    steps = resumable(kind, checkpoint, generator, settings.steps, settings.learning_rate)
    for step in steps:
        images, labels = draw_batch(pool, kind, settings.batch, len(classes) - 1, generator)
        logits = judge(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(judge.parameters(), 2.0)
        optimizer.step()
        right = (logits.argmax(1) == labels).float().mean().item()
        progress.add(step, settings.batch, loss=loss.item(), accuracy=right)
    judge.eval()
    judge.temperature, error = calibrate(judge, validation, kind, len(catalogue.objects))
    notes = {
        "schema": 1,
        "kind": kind,
        "classes": list(classes),
        "width": settings.width,
        "temperature": round(judge.temperature, 4),
        "validation": error,
    }
    weights = {k: v.half() if v.is_floating_point() else v for k, v in judge.state_dict().items()}
    save_tensors(folder / f"{kind}.safetensors", weights)
    write_json(folder / f"{kind}.json", notes)
    log.info("%s judge: %s", kind, error)
    return notes


@torch.no_grad()
def calibrate(judge: EmojiClassifier, validation: JudgePool, kind: Kind, outsider: int) -> tuple[float, dict[str, Any]]:
    """Returns the temperature with the least log loss, and the judge's own error.

    The images are new placements of the art, drawings of concepts never seen in training, and
    nonsense, all degraded as in training.

    Args:
        judge: the trained judge.
        validation: new placements, and drawings of concepts outside the catalogue.
        kind: which labels to use.
        outsider: the number that stands for "other" among ``validation.objects``.
    """
    generator = torch.Generator().manual_seed(99)
    clean = validation.images.float().div(255)
    empty = nonsense(clean[: len(clean) // 8], generator)
    labels = validation.objects if kind == "object" else validation.styles
    labels = torch.cat([labels, torch.full((len(empty),), len(judge.classes) - 1)])
    judge.temperature = 1.0
    images = torch.cat([clean, empty])
    logits = torch.cat([judge(degrade(part, generator)) for part in torch.split(images, 128)])
    grid = torch.linspace(0.2, 2.0, 37)
    losses = [F.cross_entropy(logits / t, labels).item() for t in grid]
    temperature = float(grid[losses.index(min(losses))])
    confidence, guess = (logits / temperature).softmax(1).max(1)
    right = guess == labels
    # 0: our art, 1: other concepts, 2: nonsense.
    source = torch.cat([(validation.objects == outsider).long(), torch.full((len(empty),), 2)])
    report: dict[str, Any] = {"expected_calibration_error": round(calibration_error(confidence, right), 4)}
    for number, name in enumerate(("art", "other_concepts", "nonsense")):
        part = right[source == number]
        hits, n = int(part.sum()), len(part)
        interval = wilson(hits, n)
        report[name] = {
            "n": n,
            "accuracy": round(hits / n, 4),
            "interval": [round(interval.low, 4), round(interval.high, 4)],
        }
    return temperature, report


def calibration_error(confidence: torch.Tensor, right: torch.Tensor, bins: int = 10) -> float:
    """Returns the expected calibration error over equal bins of confidence."""
    total = 0.0
    places = (confidence * bins).long().clamp(max=bins - 1)
    for k in range(bins):
        mask = places == k
        if mask.any():
            gap = confidence[mask].mean() - right[mask].float().mean()
            total += float(gap.abs() * mask.sum())
    return total / len(confidence)
