"""Harmonic means: one number that is high only when every part is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from vu_core import Batch, Concept, Interval, Measurement, Request, Sample
from vu_core.types import ALL, FORGET, RETAIN
from vu_metrics_image.classification import (
    ClassifierMean,
    InDomainRetainAccuracy,
    SynonymUnlearningAccuracy,
    UnlearningAccuracy,
)


class ErasedAndKept:
    """Harmonic mean of UA and IRA: MACE's H_c (arXiv:2403.06135), where UA is 1 - Acc_e and IRA is Acc_s.

    Attributes:
        parts: The metrics that it joins, each by the group that counts.

    Args:
        request: What is forgotten.
        neighbours: Not looked at.
        config: There are no options.
    """

    parts: ClassVar[Sequence[tuple[type[ClassifierMean], str]]] = (
        (UnlearningAccuracy, FORGET),
        (InDomainRetainAccuracy, RETAIN),
    )

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: None = None) -> None:
        self._parts = [(part(request=request), group) for part, group in self.parts]

    def update(self, batch: Batch) -> None:
        """Add samples with their verdicts.

        Raises:
            ComputeError: A verdict is not finite, or a judge does not know a concept that was asked for.
        """
        for part, _ in self._parts:
            part.update(batch)

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a sample that has no picture or no verdict."""
        for part, _ in self._parts:
            part.exclude(sample, reason)

    def compute(self) -> list[Measurement]:
        """Return the measurement of all parts together.

        Raises:
            ComputeError: No sample was given.
        """
        parts = [_of(part.compute(), group) for part, group in self._parts]
        both = Measurement(
            group=ALL, value=None, n=sum(part.n for part in parts), n_excluded=sum(part.n_excluded for part in parts)
        )
        values = [part.value for part in parts if part.value is not None]
        if len(values) < len(parts):
            return [replace(both, note=f"a part is missing: {_reasons(parts)}")]
        intervals = [part.interval for part in parts if part.interval]
        interval = harmonic_interval(values, intervals) if len(intervals) == len(parts) else None
        note = "" if interval else f"no interval: a part has none: {_reasons(parts)}"
        return [replace(both, value=harmonic(values), interval=interval, note=note)]


class ErasedKeptAndGeneral(ErasedAndKept):
    """Harmonic mean of UA, IRA and UA of synonyms: MACE's H_o (arXiv:2403.06135), where the last is 1 - Acc_g."""

    parts: ClassVar[Sequence[tuple[type[ClassifierMean], str]]] = (
        *ErasedAndKept.parts,
        (SynonymUnlearningAccuracy, FORGET),
    )


def harmonic(parts: Sequence[float]) -> float:
    """Return the harmonic mean of numbers that are not negative; 0 when any of them is.

    Example:
        >>> harmonic([0.9, 0.8])
        0.8470588235294118
    """
    return len(parts) / math.fsum(1 / part for part in parts) if all(parts) else 0.0


def harmonic_interval(parts: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """Return the interval of a harmonic mean of independent parts: each part's limits move it alone, squares add up.

    The method of variance estimates recovery (Zou and Donner 2008), which keeps the asymmetry of Wilson's limits.
    """
    value = harmonic(parts)

    def moved(limits: Sequence[float]) -> float:
        ends = (harmonic([*parts[:i], limit, *parts[i + 1 :]]) for i, limit in enumerate(limits))
        return math.sqrt(math.fsum((end - value) ** 2 for end in ends))

    low = value - moved([interval.low for interval in intervals])
    high = value + moved([interval.high for interval in intervals])
    bottom, top = harmonic([i.low for i in intervals]), harmonic([i.high for i in intervals])
    return Interval(low=max(low, bottom), high=min(high, top), level=intervals[0].level, method="mover")


def _of(found: Sequence[Measurement], group: str) -> Measurement:
    missing = Measurement(group=group, value=None, n=0, note=f"no picture is in the group '{group}'")
    return next((measurement for measurement in found if measurement.group == group), missing)


def _reasons(parts: Sequence[Measurement]) -> str:
    return "; ".join(part.note for part in parts if part.note)
