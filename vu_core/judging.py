"""Pictures read and judged, once for all metrics.

A picture that cannot be read and a verdict that a judge could not give are excluded, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vu_core.errors import ComputeError, VuError
from vu_core.interfaces import MODEL, Answers, Batch, Classes, Detections, HasPictures, Scorer, Split
from vu_core.types import Sample

if TYPE_CHECKING:
    import torch

Pictures = Callable[[Sample], "torch.Tensor"]
"""Returns the picture of a sample, uint8 (3, H, W) RGB; raises when there is none or it cannot be read."""

BATCH_SIZE = 64
# Of a batch, in each set: what judges keep of a picture grows with them, up to gigabytes for 64 of 512 x 512.
_PIXELS = BATCH_SIZE * 256 * 256


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Some samples with their pictures and verdicts, or the reason why they have none.

    Attributes:
        samples: What was asked for.
        batch: Pictures and verdicts; None when there is no picture.
        failed: Why a verdict is missing, by role of the scorer; by ``""`` when the picture is.
    """

    samples: Sequence[Sample]
    batch: Batch | None
    failed: Mapping[str, str]

    def problem(self, roles: Sequence[str]) -> str:
        """Return why a metric that needs the scorers in ``roles`` cannot use this; empty when it can."""
        for role in ("", *roles):
            if role in self.failed:
                return self.failed[role]
            if role and self.batch and role not in self.batch.scores:
                return f"no scorer plays the role '{role}'"
        return ""

    def compared_with(self, earlier: Judged) -> Judged:
        """Return this with ``earlier``, the same samples before unlearning, as the reference of its batch."""
        failed = {**earlier.failed, **self.failed}
        if self.batch is None or earlier.batch is None:
            return Judged(samples=self.samples, batch=None, failed=failed)
        now, then = self.batch.images.shape, earlier.batch.images.shape
        if now != then:
            failed[""] = f"the picture is {_size(now)} now and was {_size(then)} before unlearning"
        return Judged(samples=self.samples, batch=replace(self.batch, reference=earlier.batch), failed=failed)

    def beside(self, **others: Sequence[Judged]) -> Judged:
        """Return this with the answers of other models to the same samples in its batch, by the batch's fields."""
        if self.batch is None:
            return self
        answers: dict[str, Any] = {kind: _answers_of(models) for kind, models in others.items()}
        return replace(self, batch=replace(self.batch, **answers))

    def as_reference(self) -> Judged:
        """Return this as the reference of a batch without samples."""
        if self.batch is None:
            return self
        nothing = {role: _none_of(verdict) for role, verdict in self.batch.scores.items()}
        batch = Batch(samples=(), images=self.batch.images[:0], scores=nothing, reference=self.batch)
        return replace(self, batch=batch)


@dataclass(frozen=True, kw_only=True)
class RealPictures:
    """Pictures of a dataset, in the form of samples.

    Attributes:
        samples: One a picture, named after it, with its attributes; its prompt is the caption, its seed 0.
        read: Returns the picture of one of them.
    """

    samples: Sequence[Sample]
    read: Pictures

    @classmethod
    def of(cls, dataset: HasPictures, split: Split = "test") -> RealPictures:
        """Return the pictures of ``dataset`` that nothing is learned from, or of another split."""
        pictures = {picture.id: picture for picture in dataset.pictures(split)}
        samples = [
            Sample(id=picture.id, prompt=picture.caption, seed=0, attributes=picture.attributes)
            for picture in pictures.values()
        ]
        return cls(samples=samples, read=lambda sample: pictures[sample.id].read())


def judge(
    pictures: Pictures, samples: Iterable[Sample], scorers: Mapping[str, Scorer], *, batch_size: int = BATCH_SIZE
) -> Iterator[Judged]:
    """Yield every sample once, with its picture and the verdict of every scorer."""
    for (judged,) in judge_sets([pictures], samples, scorers, batch_size=batch_size):
        yield judged


def judge_sets(
    sets: Sequence[Pictures],
    samples: Iterable[Sample],
    scorers: Mapping[str, Scorer],
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[list[Judged]]:
    """Yield every sample once, judged in each of several sets of pictures: one `Judged` a set, of the same samples.

    At most ``batch_size`` samples are judged together, fewer where pictures are larger than 256 x 256. Where a scorer
    fails on a batch, its pictures are judged one by one, so that what is excluded does not depend on the batch size.
    """
    waiting: list[tuple[Sample, list[torch.Tensor]]] = []
    for sample in samples:
        read = [_read(pictures, sample) for pictures in sets]
        found = [picture for picture in read if not isinstance(picture, str)]
        if len(found) < len(read):
            yield [_judged_alone(sample, picture, scorers) for picture in read]
            continue
        if waiting and (len(waiting) >= _most(found, batch_size) or _shapes(found) != _shapes(waiting[0][1])):
            yield from _judge_batch(waiting, scorers)
            waiting = []
        waiting.append((sample, found))
    if waiting:
        yield from _judge_batch(waiting, scorers)


def _most(pictures: Sequence[torch.Tensor], batch_size: int) -> int:
    """Return how many samples with pictures of these sizes are judged together."""
    largest = max(picture.shape[-2] * picture.shape[-1] for picture in pictures)
    return min(batch_size, max(1, _PIXELS // max(1, largest)))


def _read(pictures: Pictures, sample: Sample) -> torch.Tensor | str:
    """Return the picture, or why there is none."""
    try:
        picture = pictures(sample)
        _check_picture(picture)
    except Exception as error:
        return reason(error)
    return picture


def _judged_alone(sample: Sample, picture: torch.Tensor | str, scorers: Mapping[str, Scorer]) -> Judged:
    if isinstance(picture, str):
        return Judged(samples=(sample,), batch=None, failed={"": picture})
    return _judge([sample], [picture], scorers)


def _judge_batch(
    rows: Sequence[tuple[Sample, Sequence[torch.Tensor]]], scorers: Mapping[str, Scorer]
) -> Iterator[list[Judged]]:
    samples = [sample for sample, _ in rows]
    judged = [_judge(samples, pictures, scorers) for pictures in zip(*(found for _, found in rows), strict=True)]
    if len(rows) > 1 and any(one.failed for one in judged):
        for row in rows:
            yield from _judge_batch([row], scorers)
    else:
        yield judged


def _judge(samples: Sequence[Sample], pictures: Sequence[torch.Tensor], scorers: Mapping[str, Scorer]) -> Judged:
    import torch

    images = torch.stack(list(pictures))
    scores: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for role, scorer in scorers.items():
        try:
            with torch.no_grad():
                scores[role] = scorer.score(images, [sample.prompt for sample in samples])
        except Exception as error:
            failed[role] = f"{scorer.name}: {reason(error)}"
    return Judged(samples=samples, batch=Batch(samples=samples, images=images, scores=scores), failed=failed)


def reason(error: Exception) -> str:
    """Return what ``error`` says, with its type where it is none of vu's own."""
    return str(error) if isinstance(error, VuError) else f"{type(error).__name__}: {error}"


def _check_picture(picture: torch.Tensor) -> None:
    if str(picture.dtype) != "torch.uint8" or picture.ndim != 3 or picture.shape[0] != 3:
        raise ComputeError(f"the picture is {picture.dtype} {tuple(picture.shape)}, not uint8 (3, H, W)")


def _shapes(pictures: Sequence[torch.Tensor]) -> list[tuple[int, ...]]:
    return [tuple(picture.shape) for picture in pictures]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[-2:]))


def _answers_of(models: Sequence[Judged]) -> tuple[Answers, ...]:
    return tuple(model.batch.scores[MODEL] for model in models if model.batch is not None)


def _none_of(verdict: Any) -> Any:
    if isinstance(verdict, Classes):
        return replace(verdict, probabilities=verdict.probabilities[:0])
    if isinstance(verdict, Detections):
        return replace(verdict, found=())
    return verdict[:0]
