"""Training and calibration of the judges."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from vu_emoji.catalogue import Catalogue
from vu_emoji.judges import OTHER, EmojiClassifier, Kind
from vu_emoji.probes import degrade, nonsense
from vu_emoji.train.files import Checkpoint, save_tensors, write_json
from vu_emoji.train.judge_pool import JudgePool
from vu_emoji.train.loop import Progress, resumable
from vu_emoji.train.optimizers import build_optimizer
from vu_emoji.train.settings import JudgeSettings

log = logging.getLogger(__name__)


def judge_classes(catalogue: Catalogue, kind: Kind) -> tuple[str, ...]:
    """Returns a judge's outcomes, the last of which is "other"."""
    names = catalogue.object_names if kind == "object" else catalogue.style_names
    return (*names, OTHER)


def draw_batch(pool: JudgePool, kind: Kind, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns degraded images in [0, 1] and their classes; one in four shows nothing.

    Half of those are nonsense and half the pipeline's unfinished pictures.
    """
    empty = size // 8
    drawn = torch.randint(len(pool.drawings), (size - empty,), generator=generator)
    begun = torch.randint(len(pool.unfinished), (empty,), generator=generator)
    images = torch.cat([pool.drawings.images[drawn], pool.unfinished.images[begun]]).float().div_(255)
    classes = torch.cat([pool.drawings.labels(kind)[drawn], pool.unfinished.labels(kind)[begun]])
    images[:empty], _ = nonsense(images[:empty], generator)
    classes[:empty] = classes[-1]
    return degrade(images, generator), classes


def train_judge(
    catalogue: Catalogue,
    name: str,
    pool: JudgePool,
    fitting: JudgePool,
    settings: JudgeSettings,
    checkpoint_path: Path,
    folder: Path,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Trains one judge, fits its temperature, writes its weights and notes, and returns the notes.

    Args:
        catalogue: the judge's classes.
        name: of its files.
        pool: what it is trained on.
        fitting: what its temperature is fitted on.
        settings: of the network and its training.
        checkpoint_path: where a broken run resumes from.
        folder: where weights and notes go.
        device: where it is trained; its temperature is fitted on the CPU.
    """
    classes = judge_classes(catalogue, settings.kind)
    torch.manual_seed(settings.seed)
    judge = EmojiClassifier(classes, settings.network, settings.width, glances=settings.glances).to(device)
    optimizer = build_optimizer(judge, "muon", settings.learning_rate, settings.weight_decay, outer=("stem", "head"))
    generator = torch.Generator().manual_seed(settings.seed)
    checkpoint = Checkpoint(checkpoint_path, {"model": judge}, optimizer)
    progress = Progress(f"judge {name}", every=50)
    judge.train()
    for step in resumable(name, checkpoint, generator, settings.steps, settings.learning_rate):
        images, labels = (part.to(device) for part in draw_batch(pool, settings.kind, settings.batch, generator))
        logits = judge(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(judge.parameters(), 2.0)
        optimizer.step()
        right = (logits.argmax(1) == labels).float().mean().item()
        progress.add(step, settings.batch, loss=loss.item(), accuracy=right)
    judge.cpu().eval()
    temperature = fit_temperature(catalogue, judge, settings.kind, fitting, settings.fit_batches)
    notes = {
        "schema": 1,
        "kind": settings.kind,
        "classes": list(classes),
        "network": settings.network,
        "width": settings.width,
        "glances": settings.glances,
        "temperature": round(temperature, 4),
        "training": {"steps": settings.steps, "batch": settings.batch, "seed": settings.seed, "pool": settings.pool},
    }
    weights = {k: v.half() if v.is_floating_point() else v for k, v in judge.state_dict().items()}
    save_tensors(folder / f"{name}.safetensors", weights)
    write_json(folder / f"{name}.json", notes)
    log.info("judge %s: temperature %.3f", name, notes["temperature"])
    return notes


@torch.no_grad()
def fit_temperature(catalogue: Catalogue, judge: EmojiClassifier, kind: Kind, pool: JudgePool, batches: int) -> float:
    """Returns the temperature with the least log loss on batches made as in training.

    The judge of styles is asked of no drawings but the catalogue's: it does not know another object's style.

    Args:
        catalogue: the cells.
        judge: the trained judge; its temperature is left at 1.
        kind: what it judges.
        pool: pictures that it was not trained on.
        batches: of 128, to fit on.
    """
    generator = torch.Generator().manual_seed(99)
    judge.temperature = 1.0
    if kind == "style":
        known = pool.drawings.objects < len(catalogue.objects)
        pool = JudgePool(pool.drawings.where(known), pool.unfinished)
    logits, labels = [], []
    for _ in range(batches):
        images, classes = draw_batch(pool, kind, 128, generator)
        logits.append(judge(images))
        labels.append(classes)
    grid = torch.linspace(0.2, 2.0, 73)
    losses = [F.cross_entropy(torch.cat(logits) / t, torch.cat(labels)).item() for t in grid]
    return float(grid[losses.index(min(losses))])
