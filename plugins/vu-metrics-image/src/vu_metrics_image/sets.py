"""The frame of metrics that compare two sets of pictures in the features of a scorer.

Groups are the pooled ones: a single concept has too few pictures. Features are kept as they come, and turned into
float64 when all are there, in the order of the samples' ids, so that batches and their order make no difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from vu_core import Batch, ComputeError, Concept, Interval, Measurement, Request, Sample
from vu_core.types import POOLED
from vu_metrics_image.config import SetConfig
from vu_metrics_image.grouped import pooled_groups
from vu_metrics_image.pairs import features

_ROLE = "features"


class Side:
    """The pictures of one group on one side of a comparison.

    Attributes:
        samples: By id.
        features: float64 (n, d), same order.
    """

    def __init__(self, rows: Sequence[tuple[Sample, torch.Tensor]]) -> None:
        ordered = sorted(rows, key=lambda row: row[0].id)
        self.samples = [sample for sample, _ in ordered]
        self.features = torch.stack([found for _, found in ordered]).double() if ordered else torch.empty(0, 0)

    def __len__(self) -> int:
        return len(self.samples)


class SetMetric(ABC):
    """One number a pooled group, of the drawn pictures and those that they are compared with.

    Attributes:
        no_interval: Why the number has no interval.

    Args:
        request: What is forgotten.
        neighbours: The concepts most likely to be damaged.
        config: Whether few pictures are measured all the same.
    """

    no_interval: ClassVar[str]

    def __init__(
        self, *, request: Request, neighbours: Sequence[Concept] = (), config: SetConfig | None = None
    ) -> None:
        self.request, self.neighbours, self.config = request, tuple(neighbours), config or SetConfig()
        self._drawn: list[tuple[Sample, torch.Tensor]] = []
        self._reference: list[tuple[Sample, torch.Tensor]] = []
        self._excluded: list[Sample] = []

    @abstractmethod
    def needed(self, width: int) -> int:
        """Return how many pictures each side must have where a picture has ``width`` features."""

    @abstractmethod
    def shortage(self) -> str:
        """Return what is wrong with a number of fewer pictures."""

    @abstractmethod
    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the number of two sets of features, each float64 (n, d)."""

    def least(self) -> int:
        """Return how many pictures each side must have for a number to exist."""
        return 2

    def interval(self, value: float, drawn: Side, reference: Side) -> Interval | None:
        """Return the 95 % interval of ``value``, or None."""
        return None

    def note(self) -> str:
        """Return what a reader must know beside every number."""
        return ""

    def update(self, batch: Batch) -> None:
        """Add pictures on both sides.

        Raises:
            ComputeError: They have no finite features.
        """
        self._drawn += zip(batch.samples, features(batch, _ROLE).float(), strict=True)
        if batch.reference:
            self._reference += zip(batch.reference.samples, features(batch.reference, _ROLE).float(), strict=True)

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a sample that has no picture or no features."""
        self._excluded.append(sample)

    def compute(self) -> list[Measurement]:
        """Return one measurement a pooled group that was drawn.

        Raises:
            ComputeError: No sample was given.
        """
        if not self._drawn and not self._excluded:
            raise ComputeError("no sample was given")
        found = [self._measurement(group) for group in POOLED]
        return [measurement for measurement in found if measurement.n or measurement.n_excluded]

    def _measurement(self, group: str) -> Measurement:
        drawn, reference = (Side([row for row in rows if self._in(row[0], group)]) for rows in self._sides())
        excluded = sum(self._in(sample, group) for sample in self._excluded)
        count, needed = min(len(drawn), len(reference)), self.needed(drawn.features.shape[1])
        counts = f"{len(drawn)} pictures and {len(reference)} to compare with"
        if count < (self.least() if self.config.allow_few else needed):
            note = f"{counts} are too few, {needed} are needed on each side"
            return Measurement(group=group, value=None, n=len(drawn), n_excluded=excluded, note=note)
        value = self.compare(drawn.features, reference.features)
        interval = self.interval(value, drawn, reference)
        notes = [counts, self.note(), self.shortage() if count < needed else "", "" if interval else self.no_interval]
        return Measurement(
            group=group,
            value=value,
            n=len(drawn),
            n_excluded=excluded,
            interval=interval,
            note="; ".join(note for note in notes if note),
        )

    def _in(self, sample: Sample, group: str) -> bool:
        return group in pooled_groups(sample, self.request, self.neighbours)

    def _sides(self) -> tuple[list[tuple[Sample, torch.Tensor]], list[tuple[Sample, torch.Tensor]]]:
        return self._drawn, self._reference
