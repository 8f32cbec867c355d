"""Pictures and verdicts that are made up, sample by sample, to try metrics with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from vu_core.interfaces import MODEL, OTHER, Answers, Batch, Classes
from vu_core.specs import MetricSpec
from vu_core.testing.fake_data import OBJECTS, STYLES
from vu_core.types import Concept, Request, Sample

if TYPE_CHECKING:
    import torch

REQUEST = Request(forget=(Concept(name="cat"),), replace_with=(Concept(name="dog"),))
KINDS = {"object": OBJECTS, "style": STYLES}
IMAGES = ":images"

_SEEDS = 3
# Where a classifier is measured, its pictures lie in these splits by turns, and so many retrained ones stand beside.
_SPLITS = ("train", "train", "test", "train", "validation", "test")
_RETRAINED = 16

Right = Callable[[Sample, str], bool]
"""Whether the scorer of a role finds in a picture what its prompt asks for."""


def samples_for(spec: MetricSpec) -> list[Sample]:
    """Return every object in every style, often enough for the metric; where a classifier is measured, with splits."""
    cells = list(product(OBJECTS, STYLES))
    splits = _SPLITS if MODEL in spec.scorers else ("",)
    # A quarter of them is excluded in one check.
    seeds = max(_SEEDS, 2 * len(splits), -(-2 * spec.min_samples // len(cells)))
    return [
        Sample(
            id=f"{thing}-{style}-{seed}",
            prompt=f"a {thing} in {style} style",
            seed=seed,
            attributes={"object": thing, "style": style},
            cluster=f"{thing}-{style}" if splits == ("",) else f"{thing}-{style}-{seed}",
            split=splits[seed % len(splits)],
        )
        for seed in range(seeds)
        for thing, style in cells
    ]


def as_asked(sample: Sample, role: str) -> bool:
    """Return False for what is forgotten as ``role`` judges it, True for the rest."""
    forgotten = [concept for concept in REQUEST.forget if sample.shows(concept)]
    return not forgotten if role not in KINDS else role not in {concept.kind for concept in forgotten}


def often(sample: Sample, role: str) -> bool:
    """Return True for three of four samples, whichever they are with."""
    return _number(sample.id + role) % 4 > 0


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a metric is given.

    Attributes:
        outputs: What its scorers compute, by role.
        side: Height and width of the pictures.
        compares: As in its spec.
    """

    outputs: Mapping[str, str]
    side: int
    compares: str


def make_batch(samples: Sequence[Sample], form: Form, right: Right = often) -> Batch:
    """Return ``samples`` with pictures and verdicts that depend on each sample alone, and their reference."""
    batch = _judged(samples, form, right)
    if form.compares == "retrained":
        retrained = [_answers(samples, f"{MODEL} {number}", as_asked) for number in range(_RETRAINED)]
        return replace(batch, retrained=retrained)
    if not form.compares:
        return batch
    others = [replace(sample, id=f"reference-{sample.id}") for sample in samples]
    reference = _judged(others, form, often)
    if form.compares == "before":
        reference = replace(reference, samples=batch.samples)
    return replace(batch, reference=reference)


def _judged(samples: Sequence[Sample], form: Form, right: Right) -> Batch:
    import torch

    shape = (3, form.side, form.side)
    images = [torch.randint(0, 256, shape, generator=_generator(sample.id)) for sample in samples]
    scores = {role: VERDICTS[kind](samples, role, right) for role, kind in form.outputs.items()}
    return Batch(samples=list(samples), images=torch.stack(images).to(torch.uint8), scores=scores)


def with_float_images(batch: Batch) -> Batch:
    """Return ``batch`` with pictures in [0, 1], which are of the wrong type."""
    reference = with_float_images(batch.reference) if batch.reference else None
    return replace(batch, images=batch.images.float() / 255, reference=reference)


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
    return (asked + 1 + _number(sample.id) % (classes - 1)) % classes


def _answers(samples: Sequence[Sample], role: str, right: Right) -> Answers:
    """Return a classifier's answers: sure of the object, or of another, with noise that ``role`` and picture decide."""
    import torch

    seen = [
        OBJECTS.index(sample.attributes["object"]) if right(sample, role) else _another(sample, "object", len(OBJECTS))
        for sample in samples
    ]
    sure = torch.nn.functional.one_hot(torch.tensor(seen), len(OBJECTS)).float()
    noise = torch.stack([_noise(len(OBJECTS) + 16, sample.id + role) for sample in samples])
    logits = noise[:, : len(OBJECTS)]
    features = noise[:, len(OBJECTS) :] + torch.nn.functional.pad(3.0 * sure, (0, 16 - len(OBJECTS)))
    return Answers(kind="object", names=OBJECTS, logits=4.0 * sure + logits, features=features)


def _similarity(samples: Sequence[Sample], role: str, right: Right) -> torch.Tensor:
    import torch

    noise = torch.cat([torch.rand(1, generator=_generator(sample.id + role)) for sample in samples])
    return torch.tensor([0.3 if right(sample, role) else 0.1 for sample in samples]) + 0.05 * noise


def _features(samples: Sequence[Sample], role: str, right: Right) -> torch.Tensor:
    import torch

    rows = [torch.randn(16, generator=_generator(sample.id + role)) for sample in samples]
    return torch.stack([row + 3.0 * (not right(sample, role)) for row, sample in zip(rows, samples, strict=True)])


VERDICTS: dict[str, Callable[[Sequence[Sample], str, Right], Any]] = {
    "similarity": _similarity,
    "features": _features,
    "classes": _classes,
    "answers": _answers,
}


def tensors_of(batch: Batch) -> dict[str, torch.Tensor]:
    """Return all tensors of a batch and its reference by name; those that are pictures end in `IMAGES`."""
    verdicts: dict[str, torch.Tensor] = {}
    answered = {f"retrained {number}": answers for number, answers in enumerate(batch.retrained)}
    for role, verdict in {**batch.scores, **answered}.items():
        if isinstance(verdict, Answers):
            verdicts |= {f"{role} logits": verdict.logits, f"{role} features": verdict.features}
        else:
            verdicts[role] = verdict.probabilities if isinstance(verdict, Classes) else verdict
    reference = tensors_of(batch.reference) if batch.reference else {}
    return {IMAGES: batch.images, **verdicts, **{f"reference {name}": found for name, found in reference.items()}}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "little")


@cache
def _noise(count: int, text: str) -> torch.Tensor:
    import torch

    return torch.randn(count, generator=_generator(text))


def _generator(text: str) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(_number(text))
