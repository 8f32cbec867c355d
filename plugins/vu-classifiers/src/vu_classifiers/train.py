"""Training a classifier on a dataset's pictures, into a folder that `vu_classifiers.model.load` reads."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, fields
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from vu_train.batches import Batches
from vu_train.classifying import train_on
from vu_train.labelled import LabelledImages, read_labelled
from vu_train.settings import ClassifierSettings
from vu_train.store import FOLDER

from vu_classifiers.architectures import build
from vu_classifiers.config import TrainOptions
from vu_classifiers.description import COMPONENT, Description
from vu_core import ConfigError
from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.files import atomic_path
from vu_core.statistics import wilson

_SPLITS = ("train", "validation", "test")
_AT_ONCE = 256


def train(dataset: Any, config: TrainOptions, ctx: RunContext) -> dict[str, Any]:
    """Train a classifier on the split ``"train"`` of ``dataset`` and write its folder, ``ctx.out_dir``.

    The same dataset, options and seed give the same weights, bit for bit on CPU, also when the training was killed
    and called again. The seed decides the first weights and the order of the pictures.

    Args:
        dataset: Offers `HasPictures`; its concepts of one kind are the classes.
        config: Which network, and how it is trained.
        ctx: Seed, device, folder, log, progress.

    Returns:
        ``recipe``: the settings and the seed; ``measured``: the accuracy on each split, in eval mode.

    Raises:
        ConfigError: The dataset has no such kind of concepts, or fewer than two of it.
        ModelError: The network cannot be built.
        RequestError: A picture has no class or another size than the first.
        RunError: The folder holds checkpoints of another training, or cannot be written.
        ComputeError: A loss is not finite.
    """
    kind, classes = _classes(dataset, config.kind)
    pictures = dataset.pictures("train")
    if not pictures:
        raise ConfigError("the dataset has no pictures to learn from", hint="Leave some in the split 'train'.")
    size = tuple(pictures[0].read().shape[1:])
    parts = {
        split: read_labelled(dataset.pictures(split), kind, classes, size, ctx, what=f"of {split}") for split in _SPLITS
    }
    description = _describe(config, kind, classes, size, parts["train"].images)
    network = build(description, ctx.seed, trusted=True).to(ctx.device)
    train_on(network, parts["train"], config, ctx, key=_key(description, parts["train"]))
    description.write(ctx.out_dir)
    with atomic_path(ctx.out_dir / COMPONENT / "model.safetensors") as temporary:
        save_file({name: one.cpu().contiguous() for name, one in network.state_dict().items()}, temporary)
    shutil.rmtree(ctx.out_dir / FOLDER, ignore_errors=True)
    recipe = {field.name: getattr(config, field.name) for field in fields(ClassifierSettings)}
    measured = {f"accuracy on {split}": _accuracy(network, images) for split, images in parts.items() if len(images)}
    return {"recipe": {**recipe, "seed": ctx.seed}, "measured": measured}


def _classes(dataset: Any, kind: str) -> tuple[str, tuple[str, ...]]:
    """Return the kind of the classes and their names."""
    concepts = dataset.concepts()
    kinds = list(dict.fromkeys(concept.kind for concept in concepts))
    chosen = kind or (kinds[0] if kinds else "")
    names = tuple(concept.name for concept in concepts if concept.kind == chosen)
    if len(names) < 2:
        listed = ", ".join(kinds) or "none"
        what = f"'{chosen}' names {len(names)} concepts" if names or kind else "it names no concepts"
        raise ConfigError(
            f"the dataset cannot be classified: {what}, and two are needed", hint=f"Its kinds: {listed}; -o kind=..."
        )
    return chosen, names


def _describe(
    config: TrainOptions, kind: str, classes: tuple[str, ...], size: tuple[int, ...], images: torch.Tensor
) -> Description:
    """Return what is trained; normalised by the mean and deviation of ``images`` where the user gives none."""
    counts = torch.stack([torch.bincount(images[:, colour].flatten().long(), minlength=256) for colour in range(3)])
    shares = counts.double() / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ values
    deviation = (shares @ values.square() - mean.square()).clamp(min=0).sqrt()
    if config.std is None and not bool(deviation.all()):
        raise ConfigError(
            "the pictures have a colour that never changes", hint="Give one to normalise by: -o std=1,1,1"
        )
    fields_ = {
        "architecture": config.architecture,
        "arguments": config.built_with(),
        "kind": kind,
        "classes": classes,
        "picture_size": size,
        "mean": config.mean or tuple(round(value, 4) for value in mean.tolist()),
        "std": config.std or tuple(round(value, 4) for value in deviation.tolist()),
    }
    return validate(Description, fields_)


def _key(description: Description, images: LabelledImages) -> dict[str, Any]:
    """Return what decides the training besides settings and seed, as JSON values."""
    digest = hashlib.sha256(images.images.numpy().tobytes() + images.labels.numpy().tobytes())
    return {"description": asdict(description), "pictures": digest.hexdigest()}


@torch.no_grad()
def _accuracy(network: nn.Module, images: LabelledImages) -> dict[str, Any]:
    """Return the share of ``images`` that the network tells right, in percent, with its 95 % interval."""
    right = sum(
        int((network(batch.images).argmax(1) == batch.labels).sum()) for batch in Batches(images, _AT_ONCE, network)
    )
    interval = wilson(right, len(images))
    return {
        "value": 100 * right / len(images),
        "unit": "%",
        "n": len(images),
        "interval": [100 * interval.low, 100 * interval.high],
    }
