"""How far a model's accuracies are from those of retrained models, in one number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vu_core import Concept, Measurement, Request
from vu_core.splits import TEST, TRAIN
from vu_core.types import ALL
from vu_metrics_classify.accuracies import Accuracy, ForgetAccuracy, RetainAccuracy, TestAccuracy
from vu_metrics_classify.answered import SUCCESS, Answered, AnswerMetric
from vu_metrics_classify.config import SvcConfig
from vu_metrics_classify.membership import SvcAttack

MODELS = 3
"""Retrained models that a reference needs."""

_NO_INTERVAL = "no interval: it is no mean of pictures; the retrained models' own number shows the noise"


def average_gap(found: Sequence[float], retrained: Sequence[Sequence[float]]) -> float:
    """Return the mean of |found - mean of the retrained models'| over several numbers, in their unit.

    Example:
        >>> average_gap([4, 99, 93, 12], [[5, 100, 94, 13]])
        1.0
    """
    means = [sum(column) / len(column) for column in zip(*retrained, strict=True)]
    return math.fsum(abs(one - mean) for one, mean in zip(found, means, strict=True)) / len(means)


def tug_of_war(found: Sequence[float], retrained: Sequence[Sequence[float]]) -> float:
    """Return the product of 1 - |found - mean of the retrained models'|, of shares in [0, 1] (Zhao et al. 2024).

    Example:
        >>> round(tug_of_war([0.5, 0.5, 0.5], [[0.45, 0.48, 0.40]]), 4)
        0.8379
    """
    product = 1.0
    for one, column in zip(found, zip(*retrained, strict=True), strict=True):
        product *= 1 - abs(one - sum(column) / len(column))
    return product


class Gap(AnswerMetric):
    """A number that joins percentages which other metrics measure, of a model and of retrained ones.

    Attributes:
        joins: These metrics, by what they need.
    """

    joins: ClassVar[Mapping[str, type[Accuracy | SvcAttack]]] = {
        "pictures to forget": ForgetAccuracy,
        "retained pictures": RetainAccuracy,
        "test pictures": TestAccuracy,
    }

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: Any = None) -> None:
        super().__init__(request=request, neighbours=neighbours, config=config)
        self._joined = {name: metric(request=request, config=config) for name, metric in self.joins.items()}

    def joined(self, found: Sequence[float], retrained: Sequence[Sequence[float]]) -> float:
        """Return the number, of a model's percentages and of those of each retrained model."""
        raise NotImplementedError

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the number in the group ``all``."""
        models = len(answered.beside)
        if models < MODELS:
            return [self._result(answered, None, f"{models} retrained models to compare with, {MODELS} are needed")]
        found, *others = (
            [metric.percentage(one) for metric in self._joined.values()] for one in (answered, *answered.beside)
        )
        for name, (value, note) in zip(self._joined, found, strict=True):
            if value is None:
                return [self._result(answered, None, note or f"there are no {name}")]
        notes = [*dict.fromkeys(note for _, note in found), _NO_INTERVAL]
        value = self.joined(_numbers(found), [_numbers(one) for one in others])
        return [self._result(answered, value, "; ".join(filter(None, notes)))]

    def _result(self, answered: Answered, value: float | None, note: str) -> Measurement:
        splits = (TRAIN, TEST)
        n = sum(sample.split in splits for sample in answered.samples)
        return self.number(ALL, value, n, lambda sample: sample.split in splits, note=note)


class AverageGap(Gap):
    """Mean distance to retrained models of UA, RA, TA and the support-vector attack's number, in points."""

    config: SvcConfig
    joins: ClassVar = {**Gap.joins, "pictures for the attack": SvcAttack}

    def joined(self, found: Sequence[float], retrained: Sequence[Sequence[float]]) -> float:
        """Return the mean distance."""
        return average_gap(found, retrained)


class TugOfWar(Gap):
    """ToW: product over D_f, D_r and D_t of one minus the distance of accuracies to those of retrained models."""

    def joined(self, found: Sequence[float], retrained: Sequence[Sequence[float]]) -> float:
        """Return the product."""
        return tug_of_war([one / SUCCESS for one in found], [[one / SUCCESS for one in row] for row in retrained])


def _numbers(found: Sequence[tuple[float | None, str]]) -> list[float]:
    return [value for value, _ in found if value is not None]
