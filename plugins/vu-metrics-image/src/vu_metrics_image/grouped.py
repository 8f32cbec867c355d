"""The frame of metrics that are the mean of one number a picture, by group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from vu_core import Batch, ComputeError, Concept, Measurement, Request, Sample
from vu_core.statistics import mean_measurement
from vu_core.types import FORGET, NEIGHBOURS, RETAIN


def pooled_groups(sample: Sample, request: Request, neighbours: Sequence[Concept]) -> list[str]:
    """Return the pooled groups of ``sample``: ``forget``; or ``retain``, and ``neighbours`` when it shows one."""
    if sample.group(request) == FORGET:
        return [FORGET]
    return [RETAIN, NEIGHBOURS] if any(sample.shows(concept) for concept in neighbours) else [RETAIN]


class GroupedMean(ABC):
    """Mean of one number a sample over the forgotten, the retained, the neighbours, and each concept.

    A sample that shows a forgotten concept belongs to ``forget`` and to that concept's own group. Any
    other belongs to ``retain``, to ``neighbours`` when it shows one, and to the groups of the concepts
    that it shows, of those kinds that a subclass breaks down.

    Attributes:
        counted: What is said of the pictures that count, when there are none.
        success: The value of a success where values are successes or failures; else None.

    Args:
        request: What is forgotten.
        neighbours: The concepts most likely to be damaged.
        config: These metrics have no options.
    """

    counted: ClassVar[str] = "is counted"
    success: ClassVar[float | None] = None

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: None = None) -> None:
        self.request = request
        self.neighbours = tuple(neighbours)
        self.forgotten_kinds = frozenset(concept.kind for concept in request.forget)
        self._values: dict[str, list[tuple[Sample, float]]] = {}
        self._excluded: dict[str, int] = {}
        self._seen = False

    def counts(self, sample: Sample) -> bool:
        """Return whether ``sample`` enters this metric at all; every one does, unless a subclass says otherwise."""
        return True

    @abstractmethod
    def values(self, batch: Batch) -> Sequence[float]:
        """Return one number for each sample of ``batch``; those that do not count are not looked at."""

    def breaks_down(self, kind: str) -> bool:
        """Return whether retained concepts of ``kind`` have groups of their own; all do, unless a subclass objects."""
        return True

    def update(self, batch: Batch) -> None:
        """Add samples with their verdicts.

        Raises:
            ComputeError: A verdict is not finite, or a judge does not know a concept that was asked for.
        """
        self._seen = True
        for sample, value in zip(batch.samples, self.values(batch), strict=True):
            if self.counts(sample):
                for group in self._groups(sample):
                    self._values.setdefault(group, []).append((sample, float(value)))

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a sample that has no picture or no verdict."""
        self._seen = True
        if self.counts(sample):
            for group in self._groups(sample):
                self._excluded[group] = self._excluded.get(group, 0) + 1

    def compute(self) -> list[Measurement]:
        """Return one measurement a group, pooled groups first.

        Raises:
            ComputeError: No sample was given, or a value is not finite.
        """
        if not self._seen:
            raise ComputeError("no sample was given")
        groups = self._ordered(self._values.keys() | self._excluded.keys())
        if not groups:
            return [Measurement(group=self._main_group(), value=None, n=0, note=f"no picture {self.counted}")]
        return [self.measurement(group, self._values.get(group, [])) for group in groups]

    def measurement(self, group: str, rows: Sequence[tuple[Sample, float]], *, note: str = "") -> Measurement:
        """Return the mean of ``rows``, the samples of ``group`` with their values.

        Raises:
            ComputeError: A value is not finite.
        """
        plain_share = all(value in (0.0, self.success) for _, value in rows)
        return mean_measurement(
            group,
            [value for _, value in rows],
            sample_ids=[sample.id for sample, _ in rows],
            clusters=[sample.cluster or sample.prompt for sample, _ in rows],
            n_excluded=self.excluded(group),
            success=self.success if plain_share else None,
            note=note,
        )

    def excluded(self, group: str) -> int:
        """Return how many samples of ``group`` have no picture or no verdict."""
        return self._excluded.get(group, 0)

    def forgotten(self, sample: Sample) -> list[Concept]:
        """Return the forgotten concepts that ``sample`` asks for."""
        return [concept for concept in self.request.forget if sample.shows(concept)]

    def _main_group(self) -> str:
        return RETAIN

    def _groups(self, sample: Sample) -> list[str]:
        named = [concept.name for concept in self.forgotten(sample)]
        named = named or [name for kind, name in sample.attributes.items() if self.breaks_down(kind)]
        return [*pooled_groups(sample, self.request, self.neighbours), *named]

    def _ordered(self, groups: Collection[str]) -> list[str]:
        named = [concept.name for concept in (*self.request.forget, *self.neighbours)]
        first = [group for group in (FORGET, RETAIN, NEIGHBOURS, *named) if group in groups]
        return [*dict.fromkeys(first), *sorted(set(groups) - set(first))]
