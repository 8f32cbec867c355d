"""A classifier's answers to a dataset's pictures: computed once for all runs, kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.cache import ANSWERS, ContentCache
from vu_core.edits import Edit, applied, check_unedited, effect_of
from vu_core.errors import ComputeError, DataError, RunError
from vu_core.files import write_bytes
from vu_core.interfaces import Answers
from vu_core.models import plan_of
from vu_core.numerics import float32_precision

if TYPE_CHECKING:
    import torch

    from vu_core.context import RunContext
    from vu_core.interfaces import Classifies, HasPictures, Picture
    from vu_core.types import Sample

# Answers to one picture differ in their last bits between batch sizes, so there is one for all.
_BATCH = 256


@dataclass(frozen=True)
class AnswerFile:
    """Answers in a file, in the order of the samples they were asked for."""

    path: Path

    def read(self) -> Answers:
        """Return the answers.

        Raises:
            RunError: The file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as stream:
                facts = stream.metadata()
                logits, features = stream.get_tensor("logits"), stream.get_tensor("features")
            return Answers(kind=facts["kind"], names=json.loads(facts["names"]), logits=logits, features=features)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise RunError(f"'{self.path}' cannot be read: {error}", hint="Run it again: 'vu run --resume'.") from error


@dataclass(frozen=True)
class Question:
    """The pictures that a classifier is asked about.

    Attributes:
        samples: In the order of the answers.
        pictures: Of the samples, in the same order.
        sha256: Of the pictures' ids and pixels.
    """

    samples: Sequence[Sample]
    pictures: Sequence[Picture]
    sha256: str

    @classmethod
    def of(cls, samples: Sequence[Sample], dataset: HasPictures, ctx: RunContext) -> Question:
        """Return the question about ``samples``, pictures of ``dataset``; every picture is read once.

        Raises:
            DataError: A picture is missing or damaged.
        """
        splits: dict[Any, None] = dict.fromkeys(sample.split for sample in samples)
        known = {(split, picture.id): picture for split in splits for picture in dataset.pictures(split)}
        pictures = [known[sample.split, sample.id] for sample in samples]
        digest = hashlib.sha256()
        for picture in ctx.progress(pictures, label="reading pictures"):
            pixels = _read(picture)
            digest.update(f"{picture.id} {list(pixels.shape)}".encode())
            digest.update(pixels.contiguous().numpy().data)
        return cls(samples=samples, pictures=pictures, sha256=digest.hexdigest())


def answer(
    model: Any,
    edits: Sequence[Edit],
    question: Question,
    file: AnswerFile,
    ctx: RunContext,
    *,
    cache: ContentCache,
    label: str,
) -> dict[str, int]:
    """Put a classifier's answers to ``question`` into ``file``, from the cache or newly computed.

    Args:
        model: Offers `Classifies`.
        edits: In effect while it answers; empty for the base model.
        question: What it is asked about.
        file: Where the answers go.
        ctx: For progress.
        cache: Looked into first, and filled.
        label: What the progress bar says.

    Returns:
        How many were ``computed`` and how many came from the ``cached``.

    Raises:
        ComputeError: An answer is not finite, or there are not as many as pictures.
        DataError: A picture is missing or damaged.
        EditError: Another edit is applied to the model now.
    """
    check_unedited(model)
    key = {**computed_by(model, edits), "question": question.sha256}
    content = cache.get(key, ANSWERS)
    computed = len(question.pictures) if content is None else 0
    if content is None:
        starts = range(0, len(question.pictures), _BATCH)
        with applied(model, edits):
            batches = (question.pictures[start : start + _BATCH] for start in ctx.progress(starts, label=label))
            content = _bytes(_answered(model, batches))
        cache.put(key, content, ANSWERS)
    write_bytes(file.path, content)
    return {"computed": computed, "cached": len(question.pictures) - computed}


def _answered(model: Any, batches: Iterable[Sequence[Picture]]) -> Answers:
    import torch

    parts = [_checked(model, _images(pictures)) for pictures in batches]
    return Answers(
        kind=model.kind,
        names=tuple(model.classes),
        logits=torch.cat([part.logits for part in parts]),
        features=torch.cat([part.features for part in parts]),
    )


def _checked(model: Classifies, images: torch.Tensor) -> Answers:
    """Return the model's answers to ``images``.

    Raises:
        ComputeError: They are not finite, or not as many as there are images.
    """
    import torch

    with torch.inference_mode():
        found = model.classify(images)
    logits, features = found.logits.float().clone(), found.features.float().clone()
    name = getattr(model, "name", type(model).__name__)
    if logits.shape != (len(images), len(model.classes)) or len(features) != len(images):
        raise ComputeError(
            f"'{name}' answered {len(images)} pictures with logits {tuple(logits.shape)} and features "
            f"{tuple(features.shape)}, and has {len(model.classes)} classes"
        )
    if not (logits.isfinite().all() and features.isfinite().all()):
        raise ComputeError(f"'{name}' gave answers that are NaN or infinite", hint="Try --dtype float32.")
    return Answers(kind=model.kind, names=found.names, logits=logits, features=features)


def _images(pictures: Sequence[Picture]) -> torch.Tensor:
    import torch

    read = [_read(picture) for picture in pictures]
    first = tuple(read[0].shape[1:])
    for picture, pixels in zip(pictures, read, strict=True):
        if tuple(pixels.shape[1:]) != first:
            raise DataError(
                f"picture '{picture.id}' is {tuple(pixels.shape[1:])}, '{pictures[0].id}' is {first}",
                hint="A classifier is asked about pictures of one size.",
            )
    return torch.stack(read).float() / 255


def _read(picture: Picture) -> torch.Tensor:
    try:
        return picture.read()
    except OSError as error:
        raise DataError(f"picture '{picture.id}' cannot be read: {error}", hint="Restore its file.") from error


def computed_by(model: Any, edits: Sequence[Edit]) -> dict[str, Any]:
    """Return, as JSON values, what decides all that ``model`` computes with ``edits`` in effect."""
    loader = plan_of(model).loader
    return {
        "model": model.fingerprint(),
        "edits": effect_of(edits),
        "device": model.device,
        "dtype": model.dtype,
        "float32": float32_precision(model.device),
        "versions": {"torch": version("torch"), loader.plugin: loader.version},
    }


def _bytes(answers: Answers) -> bytes:
    from safetensors.torch import save

    facts = {"kind": answers.kind, "names": json.dumps(list(answers.names))}
    return save({"logits": answers.logits.contiguous(), "features": answers.features.contiguous()}, metadata=facts)
