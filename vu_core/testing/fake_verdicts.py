"""Verdicts of scorers that are made up, each of its sample alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vu_core.interfaces import OTHER, Answers, Classes, Detections
from vu_core.testing.fake_data import OBJECTS, STYLES
from vu_core.types import Sample

if TYPE_CHECKING:
    import torch

KINDS = {"object": OBJECTS, "style": STYLES}
LABELS = ("thing", "other thing")

Right = Callable[[Sample, str], bool]
"""Whether the scorer of a role finds in a picture what its prompt asks for."""


def made_up(output: str, samples: Sequence[Sample], role: str, right: Right, labels: Sequence[str] = LABELS) -> Any:
    """Return what a scorer that computes ``output`` says of ``samples`` in the role ``role``.

    Args:
        output: As in `ScorerSpec.outputs`, or ``"answers"`` of a classifier that is measured itself.
        samples: Each has a verdict that depends on itself alone.
        role: A kind of concept, or another role.
        right: Which verdicts are right.
        labels: What a detector knows.
    """
    if output == "answers":
        return _answers(samples, role, right)
    if output == "detections":
        return _detections(samples, role, right, labels)
    return _VERDICTS[output](samples, role, right)


def number_of(text: str) -> int:
    """Return a number that ``text`` decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "little")


def generator_of(text: str) -> torch.Generator:
    """Return a generator that ``text`` seeds."""
    import torch

    return torch.Generator().manual_seed(number_of(text))


def _classes(samples: Sequence[Sample], role: str, right: Right) -> Classes:
    import torch

    kind = role if role in KINDS else "object"
    names = (*KINDS[kind], OTHER)
    seen = [
        names.index(sample.attributes[kind]) if right(sample, role) else _another(sample, kind, len(names) - 1)
        for sample in samples
    ]
    confident = torch.nn.functional.one_hot(torch.tensor(seen), len(names)).float()
    return Classes(names=names, probabilities=0.7 * confident + 0.3 / len(names))


def _another(sample: Sample, kind: str, classes: int) -> int:
    """Return the index of a listed class that ``sample`` does not ask for."""
    asked = KINDS[kind].index(sample.attributes[kind])
    return (asked + 1 + number_of(sample.id) % (classes - 1)) % classes


def _answers(samples: Sequence[Sample], role: str, right: Right) -> Answers:
    """Return a classifier's answers: sure of the object, or of another, with noise that ``role`` and picture decide."""
    import torch

    seen = [
        OBJECTS.index(sample.attributes["object"]) if right(sample, role) else _another(sample, "object", len(OBJECTS))
        for sample in samples
    ]
    sure = torch.nn.functional.one_hot(torch.tensor(seen), len(OBJECTS)).float()
    noise = torch.stack(
        [torch.randn(len(OBJECTS) + 16, generator=generator_of(sample.id + role)) for sample in samples]
    )
    logits, features = torch.split(noise, [len(OBJECTS), 16], dim=1)
    features = features + torch.nn.functional.pad(3.0 * sure, (0, 16 - len(OBJECTS)))
    return Answers(kind="object", names=OBJECTS, logits=4.0 * sure + logits, features=features)


def _similarity(samples: Sequence[Sample], role: str, right: Right) -> torch.Tensor:
    import torch

    noise = torch.cat([torch.rand(1, generator=generator_of(sample.id + role)) for sample in samples])
    return torch.tensor([0.3 if right(sample, role) else 0.1 for sample in samples]) + 0.05 * noise


def _features(samples: Sequence[Sample], role: str, right: Right) -> torch.Tensor:
    import torch

    rows = [torch.randn(16, generator=generator_of(sample.id + role)) for sample in samples]
    return torch.stack([row + 3.0 * (not right(sample, role)) for row, sample in zip(rows, samples, strict=True)])


def _detections(samples: Sequence[Sample], role: str, right: Right, labels: Sequence[str]) -> Detections:
    def one(sample: Sample) -> list[tuple[str, float]]:
        seen = number_of(sample.id + role)
        count = 0 if right(sample, role) else 1 + seen % 2
        return [(labels[(seen + i) % len(labels)], 0.95 - 0.1 * i) for i in range(count)]

    return Detections(names=tuple(labels), found=[one(sample) for sample in samples])


_VERDICTS: dict[str, Callable[[Sequence[Sample], str, Right], Any]] = {
    "similarity": _similarity,
    "features": _features,
    "classes": _classes,
}

OUTPUTS = (*_VERDICTS, "detections")
