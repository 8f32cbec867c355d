"""A metric as a protocol uses it, and what it measures on one set of pictures or of one model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vu_core.config import validate
from vu_core.errors import ComputeError, ConfigError
from vu_core.interfaces import Scorer
from vu_core.judging import Judged, reason
from vu_core.metrics import Found
from vu_core.specs import MetricSpec
from vu_core.types import ALL, FORGET, RETAIN, Concept, Direction, Measurement, Request

if TYPE_CHECKING:
    from vu_core.registry import Entry

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class MetricUse:
    """A metric with all that it is constructed from; its heavy module is imported on use.

    Attributes:
        spec: Its description.
        load: Returns the spec's target.
        request: The concepts.
        neighbours: The concepts most likely to be damaged.
        config: Its validated options, or None when it has none.
        least: Of fewer pictures that show what is forgotten, or fewer of the others, it gives no number.
        provider: Name and version of its plugin.
    """

    spec: MetricSpec
    load: Callable[[], Callable[..., Any]]
    request: Request
    neighbours: tuple[Concept, ...] = ()
    config: Any = None
    least: int = 1
    provider: str = ""

    def make(self) -> Any:
        """Return a new object of its target: a `Metric`, or a `ModelMetric` where its spec says so."""
        return self.load()(request=self.request, neighbours=self.neighbours, config=self.config)

    def direction(self, group: str) -> Direction:
        """Return which way is better on ``group``."""
        forgotten = group == FORGET or group in {concept.name for concept in self.request.forget}
        return self.spec.forget_direction or self.spec.direction if forgotten else self.spec.direction

    def ideal(self, group: str) -> float | None:
        """Return the best possible value on ``group``; None where the spec's ideal is for the other direction."""
        return self.spec.ideal if self.direction(group) == self.spec.direction else None

    def label(self, scorers: Mapping[str, Scorer]) -> str:
        """Return the name of its results, with scorers and options where the number depends on them."""
        if not self.spec.label:
            return self.spec.name
        options = asdict(self.config) if self.config is not None else {}
        return self.spec.label.format_map({**options, **{role: scorer.name for role, scorer in scorers.items()}})


def metric_use(
    entry: Entry[MetricSpec],
    options: Mapping[str, Any],
    request: Request,
    neighbours: Sequence[Concept],
    least: int = 1,
) -> MetricUse:
    """Return the metric of ``entry``, its options checked.

    Raises:
        ConfigError: An option is unknown, ill-typed or out of range.
    """
    spec, config_class = entry.spec, entry.config_class()
    if config_class is None and options:
        raise ConfigError(f"metric '{spec.name}' has no options, but {', '.join(options)} was given")
    config = validate(config_class, options, where=f"metric '{spec.name}'") if config_class else None
    return MetricUse(
        spec=spec,
        load=entry.load,
        request=request,
        neighbours=tuple(neighbours),
        config=config,
        least=least,
        provider=f"{entry.plugin} {entry.version}",
    )


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a metric found out about one model.

    Attributes:
        found: By name of each part, as JSON values.
        keys: By part, the sha256 of all that decides it.
        problem: Why it ended early; empty when it did not.
    """

    found: Found
    keys: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class Meter(ABC):
    """One metric on one set of pictures, or of one model; its first exception ends it and is kept as a problem."""

    def __init__(self, use: MetricUse) -> None:
        self._use = use
        self._fault = ""
        self._metric: Any = None
        with self._kept():
            self._metric = use.make()

    def measurements(self) -> list[Measurement]:
        """Return what the metric found; nothing when it failed."""
        if self._metric is None:
            return []
        found: list[Measurement] = []
        with self._kept():
            found = self._measured()
            for measurement in found:
                self._check_range(measurement)
        return [] if self._fault else found

    def problems(self, allowed_excluded: float) -> list[str]:
        """Return what makes its numbers missing or unreliable."""
        return [self._fault] if self._fault else []

    @abstractmethod
    def _measured(self) -> list[Measurement]: ...

    def _check_range(self, measurement: Measurement) -> None:
        low, high = self._use.spec.range
        value = measurement.value
        if value is None:
            return
        if not math.isfinite(value):
            raise ComputeError(f"its value on '{measurement.group}' is {value}")
        if (low is not None and value < low - _TOLERANCE) or (high is not None and value > high + _TOLERANCE):
            raise ComputeError(f"its value {value} on '{measurement.group}' is outside [{low}, {high}]")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._metric, self._fault = None, reason(error)


class SampleMeter(Meter):
    """A metric of pictures or answers, which come in batches."""

    def __init__(self, use: MetricUse, kinds: Sequence[str]) -> None:
        super().__init__(use)
        self._roles = use.spec.roles(kinds)
        self._used = self._excluded = 0
        self._why_excluded = ""

    def take(self, judged: Judged) -> None:
        """Give the metric a batch, or tell it what is excluded and why."""
        if self._metric is None:
            return
        problem = judged.problem(self._roles)
        with self._kept():
            if problem or judged.batch is None:
                self._excluded += len(judged.samples)
                self._why_excluded = self._why_excluded or problem
                for sample in judged.samples:
                    self._metric.exclude(sample, problem)
            else:
                self._used += len(judged.batch.samples)
                self._metric.update(judged.batch)

    def problems(self, allowed_excluded: float) -> list[str]:
        """Return what makes its numbers missing or unreliable."""
        total = self._used + self._excluded
        if self._fault or not total or self._excluded / total <= allowed_excluded:
            return super().problems(allowed_excluded)
        return [
            f"{self._excluded} of {total} pictures are excluded, more than {allowed_excluded:.0%} "
            f"({self._why_excluded})"
        ]

    def _measured(self) -> list[Measurement]:
        if self._used < self._use.spec.min_samples:
            why = f"; excluded because: {self._why_excluded}" if self._excluded else ""
            raise ComputeError(f"{self._used} samples are too few, it needs {self._use.spec.min_samples}{why}")
        return [self._enough(measurement) for measurement in self._metric.compute()]

    def _enough(self, measured: Measurement) -> Measurement:
        """Return ``measured``, without its number where the protocol asks for more pictures than it is of."""
        least = self._use.least
        if measured.value is None or measured.n >= least or measured.group not in (FORGET, RETAIN, ALL):
            return measured
        note = f"{measured.n} pictures are too few, the protocol asks for {least}"
        return Measurement(group=measured.group, value=None, n=measured.n, n_excluded=measured.n_excluded, note=note)


class ModelMeter(Meter):
    """A metric that examined models; it measures what was found.

    Args:
        use: The metric.
        examined: What it found out about the model.
        retrained: The same of the retrained models beside it.
    """

    def __init__(self, use: MetricUse, examined: Examined, retrained: Sequence[Examined]) -> None:
        super().__init__(use)
        self._examined, self._retrained = examined, retrained
        if problem := next((one.problem for one in (examined, *retrained) if one.problem), ""):
            self._metric, self._fault = None, problem

    def _measured(self) -> list[Measurement]:
        return list(self._metric.measure(self._examined.found, [one.found for one in self._retrained]))
