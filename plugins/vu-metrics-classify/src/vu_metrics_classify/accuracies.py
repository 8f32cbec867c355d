"""Accuracies of what is forgotten and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from vu_core import Measurement, Sample
from vu_core.splits import TEST, TRAIN
from vu_core.types import FORGET, RETAIN
from vu_metrics_classify.answered import FEW, SUCCESS, Answered, AnswerMetric
from vu_metrics_classify.features import correctness

Chosen = Callable[[Sample], bool]


class Accuracy(AnswerMetric):
    """Percentage of pictures told right, pooled over pictures: never a mean of classes' accuracies."""

    def sets(self) -> Iterator[tuple[str, Chosen]]:
        """Yield the pooled groups, and which pictures they are of."""
        raise NotImplementedError

    def values(self, answered: Answered) -> torch.Tensor:
        """Return a percentage a picture: float64 (n,)."""
        return SUCCESS * correctness(answered.logits, answered.labels)

    def percentage(self, answered: Answered) -> tuple[float | None, str]:
        """Return the number of the first group, None where it has no picture; and what its note says, if anything."""
        _, chosen = next(self.sets())
        part = answered.where(chosen)
        return float(self.values(part).mean()) if len(part) else None, ""

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the pooled groups that have pictures, and every class among them by name."""
        pooled = {group: chosen for group, chosen in self.sets() if self._any(answered, chosen)}
        if not pooled:
            group, chosen = next(self.sets())
            return [self._measurement(group, answered, chosen)]
        shown = {self.class_of(s) for s in answered.samples if any(chosen(s) for chosen in pooled.values())}
        classes = {name: self._of_class(name, tuple(pooled.values())) for name in sorted(shown)}
        return [self._measurement(group, answered, chosen) for group, chosen in (pooled | classes).items()]

    def _any(self, answered: Answered, chosen: Chosen) -> bool:
        return any(map(chosen, answered.samples)) or self.excluded(chosen) > 0

    def _of_class(self, name: str, pooled: tuple[Chosen, ...]) -> Chosen:
        return lambda sample: self.class_of(sample) == name and any(chosen(sample) for chosen in pooled)

    def _measurement(self, group: str, answered: Answered, chosen: Chosen) -> Measurement:
        part = answered.where(chosen)
        note = f"fewer than {FEW} pictures" if 0 < len(part) < FEW else ""
        return self.mean(group, part, self.values(part), chosen, success=SUCCESS, note=note)


class ForgetAccuracy(Accuracy):
    """FA: accuracy on D_f, the pictures to forget."""

    def sets(self) -> Iterator[tuple[str, Chosen]]:
        """Yield D_f."""
        yield FORGET, self.forgotten(TRAIN)


class UnlearningAccuracy(ForgetAccuracy):
    """UA = 100 - FA: percentage of the pictures to forget that are told wrong."""

    def values(self, answered: Answered) -> torch.Tensor:
        """Return 100 for a picture that is told wrong, else 0."""
        return SUCCESS - super().values(answered)


class RetainAccuracy(Accuracy):
    """RA: accuracy on D_r, what is learned from and not to forget."""

    def sets(self) -> Iterator[tuple[str, Chosen]]:
        """Yield D_r."""
        yield RETAIN, self.retained(TRAIN)


class TestAccuracy(Accuracy):
    """TA: accuracy on D_t; pictures that show a forgotten class, D_t,f, are a group apart."""

    __test__ = False  # no test of pytest's

    def sets(self) -> Iterator[tuple[str, Chosen]]:
        """Yield D_t,r and D_t,f."""
        yield RETAIN, self.retained(TEST)
        yield FORGET, self.forgotten(TEST)
