"""What metrics and judges offer and are given: verdicts, batches of them, and models as metrics examine them.

`vu_core.interfaces` gives all of it to plugins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.interfaces import Answers, Dataset
    from vu_core.types import Measurement, Sample

OTHER = "other"
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A classifier's verdict on some images.

    Attributes:
        names: The classes; one may be `OTHER`: nothing of the others is recognisable.
        probabilities: float32 (N, len(names)); rows sum to 1.
    """

    names: Sequence[str]
    probabilities: torch.Tensor

    def labels(self) -> list[str]:
        """Return the most probable class of each image (the first of equals)."""
        return [self.names[i] for i in self.probabilities.argmax(dim=1).tolist()]


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What a detector found in some images.

    A metric that counts detections says in its option ``labels`` which of them count.

    Attributes:
        names: The labels that it knows.
        found: One an image: label and score in [0, 1] of everything found there, the highest score first.
        floor: It leaves out what scores less.
    """

    names: Sequence[str]
    found: Sequence[Sequence[tuple[str, float]]]
    floor: float = 0.0


class Scorer(Protocol):
    """The target of a `ScorerSpec`, called with ``device=``; shares no weights with what it judges.

    Attributes:
        name: Names backbone and scale, as it appears beside numbers.
        version: Changes whenever its verdicts may change, e.g. a sha256 of its weights.
    """

    name: str
    version: str

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Any:
        """Judge ``images`` uint8 (N, 3, H, W) RGB.

        Returns:
            `Classes` for ``outputs="classes"``; cosines float32 (N,) between each image and its
            prompt for ``"similarity"``; features float32 (N, d) for ``"features"``; `Detections` for
            ``"detections"``.
        """


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some samples with their pictures and verdicts, as metrics receive them.

    Attributes:
        samples: What was asked for.
        images: uint8 (N, 3, H, W) RGB; without pixels, H = W = 0, where a classifier's answers are measured.
        scores: By role, what the scorer of that role returned for these images. Where a classifier is measured, the
            role `MODEL` is its own: its `Answers`.
        reference: What to compare with, for a metric whose spec says ``compares``. ``"before"``: the same samples
            in the same order, drawn before unlearning, of pictures of the same size. ``"pictures"``: any number of
            real pictures, which have nothing to do with this batch's samples, of which there may be none. Else None.
        retrained: The answers of models that never learned what is forgotten, to the same images, for a metric
            whose spec says ``compares="retrained"`` or ``"unlearned"``: one `Answers` a model, at least one. Else none.
        unlearned: The answers of models that forgot the same as this one by the same unlearner, for a metric whose
            spec says ``compares="unlearned"``: one `Answers` a model. Else none.
        untrained: The answers of untrained networks, each with random weights of its own, for a metric whose spec
            says ``compares="untrained"``: one `Answers` a network, at least one. Else none.
    """

    samples: Sequence[Sample]
    images: torch.Tensor
    scores: Mapping[str, Any]
    reference: Batch | None = None
    retrained: Sequence[Answers] = ()
    unlearned: Sequence[Answers] = ()
    untrained: Sequence[Answers] = ()


class Metric(Protocol):
    """The target of a `MetricSpec`, called with ``request=, neighbours=, config=``; used for one set of pictures.

    The set is the pictures before or after unlearning; with ``compares="before"`` it is the pairs of both.
    """

    def update(self, batch: Batch) -> None:
        """Add samples, and the reference that comes with them.

        Any split into batches and any order gives the same result.
        """

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a sample that has no picture or no verdict; it is never a success."""

    def compute(self) -> Sequence[Measurement]:
        """Return one measurement a group.

        Raises:
            ComputeError: There are too few samples, or values are not finite.
        """


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model as a metric examines it.

    Attributes:
        model: The base model, no edit applied; it offers what the protocol needs, and stays as it is.
        edits: What makes it the model that is examined: see `vu_core.edits.applied`.
        original: What was in effect before unlearning: nothing, unless the model had forgotten something earlier.
        dataset: Where concepts, prompts and pictures come from.
        samples: What the protocol asks for.
        ctx: Shows progress.
    """

    model: Any
    edits: Sequence[Edit]
    original: Sequence[Edit]
    dataset: Dataset
    samples: Sequence[Sample]
    ctx: RunContext


Found = Mapping[str, Mapping[str, Any]]
"""What an examination found, as JSON values: by name of its parts."""


class ModelMetric(Protocol):
    """The target of a `MetricSpec` that ``examines``, called with ``request=, neighbours=, config=``.

    The model before unlearning, after it, and every retrained one is examined part by part while the base model is
    loaded, all by one object. What a part finds is kept: it is carried out again only when something changes that
    decides it. So an interruption loses one part, and metrics whose specs name the same examination share it.
    """

    def parts(self, subject: Subject) -> Found:
        """Return what decides the parts of an examination, as JSON values by their names; none where there is no sense.

        The model, its edits, device and type, the request, the options and this plugin's version need not be named:
        they count anyway.
        """

    def examine(self, part: str, subject: Subject) -> Mapping[str, Any]:
        """Return, as JSON values, what one part finds; model and global state are afterwards as they were.

        Raises:
            ComputeError: Something is not finite, or cannot be computed.
        """

    def measure(self, found: Found, retrained: Sequence[Found]) -> Sequence[Measurement]:
        """Return one measurement a group.

        Args:
            found: Of one model.
            retrained: Of each retrained model beside it, where the spec says ``compares="retrained"``; else none.
        """
