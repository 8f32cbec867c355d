"""The frame of metrics that read a classifier's answers: which pictures they are, and what was left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch

from vu_core import Answers, Batch, ComputeError, Concept, Measurement, Request, Sample
from vu_core.interfaces import MODEL
from vu_core.splits import TEST, TRAIN
from vu_core.statistics import mean_measurement
from vu_core.types import FORGET

SUCCESS = 100.0
"""The value of a success in a share, which is a percentage."""

FEW = 100


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Some pictures with a model's answers to them, in the order of their ids.

    Attributes:
        samples: The pictures.
        logits: float64 (n, C), of the model.
        labels: int64 (n,): what the pictures show.
        features: float64 (n, d), of the model; (n, 0) where the metric reads none.
        beside: The same of each model that it is compared with: those that forgot the same, retrained ones, untrained
            ones.
        alike: How many of ``beside``, the first, forgot the same.
        places: What `where` found before, by what it was asked; all models share it, as they share samples.
    """

    samples: Sequence[Sample]
    logits: torch.Tensor
    labels: torch.Tensor
    features: torch.Tensor
    beside: Sequence[Answered] = ()
    alike: int = 0
    places: dict[Callable[[Sample], bool], list[int]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def ids(self) -> list[str]:
        """The names of the pictures."""
        return [sample.id for sample in self.samples]

    def where(self, chosen: Callable[[Sample], bool]) -> Answered:
        """Return the pictures that are ``chosen``."""
        if chosen not in self.places:
            self.places[chosen] = [i for i, sample in enumerate(self.samples) if chosen(sample)]
        return self.at(self.places[chosen])

    def of_classes(self, labels: torch.Tensor) -> Answered:
        """Return the pictures whose label is among ``labels``."""
        return self.at(torch.isin(self.labels, labels).nonzero()[:, 0].tolist())

    def at(self, places: Sequence[int]) -> Answered:
        """Return the pictures at ``places``."""
        index = torch.tensor(places, dtype=torch.int64)
        samples: list[Sample] = [self.samples[i] for i in places]
        known: dict[Callable[[Sample], bool], list[int]] = {}
        first, *others = (
            Answered(
                samples=samples,
                logits=one.logits[index],
                labels=one.labels[index],
                features=one.features[index],
                places=known,
            )
            for one in (self, *self.beside)
        )
        return replace(first, beside=tuple(others), alike=self.alike)


class AnswerMetric(ABC):
    """A metric of a classifier's answers, to sets of pictures that splits and the request decide.

    D_f are the pictures of ``train`` that show a forgotten concept, D_r its others, D_t those of ``test``; D_t,r
    shows no forgotten concept, D_t,f does.

    Attributes:
        reads_features: Whether it reads features, which are kept only then.

    Args:
        request: What is forgotten.
        neighbours: Not used: a classifier's table has its classes by name.
        config: Its options, or None when it has none.
    """

    reads_features: ClassVar[bool] = False

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: Any = None) -> None:
        self.request = request
        self.config = config
        self._rows: list[tuple[Sequence[Sample], list[Answers], torch.Tensor]] = []
        self._excluded: list[Sample] = []
        self._kind = ""
        self._alike = 0
        # One function each, so that what `Answered.where` found is found again.
        self._forgotten: dict[str, Callable[[Sample], bool]] = {}
        self._retained: dict[str, Callable[[Sample], bool]] = {}

    def update(self, batch: Batch) -> None:
        """Add pictures with the answers to them.

        Raises:
            ComputeError: There are no answers, they are not finite or of another form, or a label is unknown.
        """
        beside = (*batch.unlearned, *batch.retrained, *batch.untrained)
        found = [_checked(batch.scores.get(MODEL), len(batch.samples))]
        found += [_checked(answers, len(batch.samples)) for answers in beside]
        self._alike = len(batch.unlearned)
        if any(list(one.names) != list(found[0].names) for one in found):
            raise ComputeError("the models do not have the same classes in the same order")
        self._kind = found[0].kind
        kept = [one if self.reads_features else replace(one, features=one.features[:, :0]) for one in found]
        self._rows.append((batch.samples, kept, found[0].labels(batch.samples)))

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a picture that has no answer."""
        self._excluded.append(sample)

    def compute(self) -> list[Measurement]:
        """Return one measurement a group.

        Raises:
            ComputeError: No picture was given.
        """
        if not any(len(samples) for samples, _, _ in self._rows):
            raise ComputeError("no sample was given")
        return self.measured(self._all)

    @abstractmethod
    def measured(self, answered: Answered) -> list[Measurement]:
        """Return one measurement a group, of all that was ``answered``."""

    def forgotten(self, split: str) -> Callable[[Sample], bool]:
        """Return what tells whether a picture is of ``split`` and shows a forgotten concept."""
        return self._forgotten.setdefault(
            split, lambda sample: sample.split == split and sample.group(self.request) == FORGET
        )

    def retained(self, split: str) -> Callable[[Sample], bool]:
        """Return what tells whether a picture is of ``split`` and shows no forgotten concept."""
        return self._retained.setdefault(
            split, lambda sample: sample.split == split and sample.group(self.request) != FORGET
        )

    def forget_and_test(self, answered: Answered) -> tuple[Answered, Answered]:
        """Return D_f, and the pictures of D_t that are of its classes: those that only learning tells apart."""
        forget = answered.where(self.forgotten(TRAIN))
        return forget, answered.where(lambda sample: sample.split == TEST).of_classes(forget.labels)

    def too_few(self, forget: Answered, test: Answered, least: int) -> str:
        """Return which of D_f and the test pictures of its classes has fewer than ``least``; empty when none has."""
        return few({"pictures to forget": (len(forget), least), "test pictures of their classes": (len(test), least)})

    def excluded(self, chosen: Callable[[Sample], bool]) -> int:
        """Return how many of the ``chosen`` pictures have no answer."""
        return sum(map(chosen, self._excluded))

    def class_of(self, sample: Sample) -> str:
        """Return the name of the class that ``sample`` shows."""
        return sample.attributes.get(self._kind, "")

    def mean(
        self,
        group: str,
        answered: Answered,
        values: torch.Tensor,
        chosen: Callable[[Sample], bool],
        *,
        success: float | None = None,
        note: str = "",
    ) -> Measurement:
        """Return the mean of ``values`` (n,), one for each picture of ``answered``, those that are ``chosen``."""
        return mean_measurement(
            group,
            values.tolist(),
            sample_ids=answered.ids,
            clusters=[sample.cluster or sample.id for sample in answered.samples],
            n_excluded=self.excluded(chosen),
            success=success,
            note=note,
        )

    def number(
        self, group: str, value: float | None, n: int, chosen: Callable[[Sample], bool], **further: Any
    ) -> Measurement:
        """Return a number that is no mean of pictures, of ``n`` that are ``chosen``."""
        return Measurement(group=group, value=value, n=n, n_excluded=self.excluded(chosen), **further)

    @cached_property
    def _all(self) -> Answered:
        samples = [sample for given, _, _ in self._rows for sample in given]
        order = sorted(range(len(samples)), key=lambda i: samples[i].id)
        labels = torch.cat([found for _, _, found in self._rows])
        models = {len(found) for _, found, _ in self._rows}
        if len(models) > 1:
            raise ComputeError(f"some pictures have answers of {min(models)} models, others of {max(models)}")
        first, *others = (
            Answered(
                samples=samples,
                logits=torch.cat([found[model].logits for _, found, _ in self._rows]).double(),
                labels=labels,
                features=torch.cat([found[model].features for _, found, _ in self._rows]).double(),
            )
            for model in range(models.pop())
        )
        return replace(first, beside=others, alike=self._alike).at(order)


def few(counts: dict[str, tuple[int, int]]) -> str:
    """Return which sets are too small, by name the number that there is and the number needed; empty when none is."""
    return "; ".join(f"{n} {name}, {least} are needed" for name, (n, least) in counts.items() if n < least)


def _checked(answers: Any, count: int) -> Answers:
    if not isinstance(answers, Answers):
        raise ComputeError(f"it needs a classifier's answers, not {type(answers).__name__}")
    logits, features = answers.logits, answers.features
    if not logits.is_floating_point() or logits.shape != (count, len(answers.names)) or len(answers.names) < 2:
        raise ComputeError(
            f"the logits are {logits.dtype} {tuple(logits.shape)}, not floating-point numbers for {count} pictures and "
            f"{len(answers.names)} classes"
        )
    if features.ndim != 2 or len(features) != count:
        raise ComputeError(f"the features are {tuple(features.shape)}, not (pictures, width) of {count} pictures")
    if not (logits.isfinite().all() and features.isfinite().all()):
        raise ComputeError("answers are NaN or infinite")
    return answers
