"""From pictures before and after unlearning, or of one model alone, to results: judged once, fed to every metric.

A picture that cannot be read and a verdict that a judge could not give are excluded and counted,
never a success. A metric that fails becomes an error; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.errors import ComputeError, ConfigError, VuError
from vu_core.interfaces import Batch, Metric, Scorer
from vu_core.specs import MetricSpec
from vu_core.statistics import paired_change
from vu_core.types import FORGET, Concept, Direction, Measurement, Request, Result, Sample

if TYPE_CHECKING:
    import torch

    from vu_core.registry import Entry

Pictures = Callable[[Sample], "torch.Tensor"]
"""Returns the picture of a sample, uint8 (3, H, W) RGB; raises when there is none or it cannot be read."""

BATCH_SIZE = 64
ALLOWED_EXCLUDED = 0.01

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
    """

    spec: MetricSpec
    load: Callable[[], Callable[..., Metric]]
    request: Request
    neighbours: tuple[Concept, ...] = ()
    config: Any = None

    def direction(self, group: str) -> Direction:
        """Return which way is better on ``group``."""
        forgotten = group == FORGET or group in {concept.name for concept in self.request.forget}
        return self.spec.forget_direction or self.spec.direction if forgotten else self.spec.direction

    def ideal(self, group: str) -> float | None:
        """Return the best possible value on ``group``; None where the spec's ideal is for the other direction."""
        return self.spec.ideal if self.direction(group) == self.spec.direction else None

    def label(self, scorers: Mapping[str, Scorer]) -> str:
        """Return the name of its results, with the scorer's name where the number depends on it."""
        if not self.spec.label:
            return self.spec.name
        return self.spec.label.format_map({role: scorer.name for role, scorer in scorers.items()})


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Some samples with their pictures and verdicts, or the reason why they have none.

    Attributes:
        samples: What was asked for.
        batch: Pictures and verdicts; None when there is no picture.
        failed: Why a verdict is missing, by role of the scorer; by ``""`` when the picture is.
    """

    samples: Sequence[Sample]
    batch: Batch | None
    failed: Mapping[str, str]

    def problem(self, roles: Sequence[str]) -> str:
        """Return why a metric that needs the scorers in ``roles`` cannot use this; empty when it can."""
        for role in ("", *roles):
            if role in self.failed:
                return self.failed[role]
            if role and self.batch and role not in self.batch.scores:
                return f"no scorer plays the role '{role}'"
        return ""


def metric_use(
    entry: Entry[MetricSpec], options: Mapping[str, Any], request: Request, neighbours: Sequence[Concept]
) -> MetricUse:
    """Return the metric of ``entry``, its options checked.

    Raises:
        ConfigError: An option is unknown, ill-typed or out of range.
    """
    spec, config_class = entry.spec, entry.config_class()
    if config_class is None and options:
        raise ConfigError(f"metric '{spec.name}' has no options, but {', '.join(options)} was given")
    try:
        config = validate(config_class, options) if config_class else None
    except ConfigError as error:
        raise ConfigError(f"metric '{spec.name}': {error.message}", hint=error.hint) from error
    return MetricUse(spec=spec, load=entry.load, request=request, neighbours=tuple(neighbours), config=config)


def _ignore(name: str, judged: Judged) -> None:
    return None


def evaluate(
    before: Pictures,
    after: Pictures | None,
    samples: Sequence[Sample],
    metrics: Sequence[MetricUse],
    scorers: Mapping[str, Scorer],
    ctx: RunContext,
    *,
    batch_size: int = BATCH_SIZE,
    allowed_excluded: float = ALLOWED_EXCLUDED,
    watch: Callable[[str, Judged], None] = _ignore,
) -> tuple[list[Result], list[str]]:
    """Return the results of every metric, and a sentence for every one that failed.

    Args:
        before: Pictures of the base model.
        after: Pictures of the edited model: same prompts, same noise; None to measure the base model alone.
        samples: What was drawn.
        metrics: What to compute.
        scorers: The judges by role; each sees every picture once.
        ctx: Shows progress.
        batch_size: Pictures judged together.
        allowed_excluded: Largest share of excluded samples that is no error, in [0, 1].
        watch: Called with ``"before"`` or ``"after"`` and every batch that was judged.
    """
    results: list[Result] = []
    errors: list[str] = []
    found: dict[str, list[_Meter]] = {}
    for name, pictures in (("before", before), ("after", after)):
        if pictures is None:
            continue
        found[name] = [_Meter(use, samples) for use in metrics]
        seen = ctx.progress(samples, label=f"judging {name}")
        for judged in judge(pictures, seen, scorers, batch_size=batch_size):
            watch(name, judged)
            for meter in found[name]:
                meter.take(judged)
    for i, use in enumerate(metrics):
        measured = [meters[i].measurements() for meters in found.values()]
        results += _paired(use, use.label(scorers), *measured)
        for name, meters in found.items():
            errors += [f"metric '{use.spec.name}', {name}: {text}" for text in meters[i].problems(allowed_excluded)]
    return results, errors


def judge(
    pictures: Pictures, samples: Iterable[Sample], scorers: Mapping[str, Scorer], *, batch_size: int = BATCH_SIZE
) -> Iterator[Judged]:
    """Yield every sample once, with its picture and the verdict of every scorer.

    Where a scorer fails on a batch, its pictures are judged one by one, so that what is excluded does
    not depend on the batch size.
    """
    waiting: list[tuple[Sample, torch.Tensor]] = []
    for sample in samples:
        try:
            picture = pictures(sample)
            _check_picture(picture)
        except Exception as error:
            yield Judged(samples=(sample,), batch=None, failed={"": _reason(error)})
            continue
        if waiting and (len(waiting) == batch_size or picture.shape != waiting[0][1].shape):
            yield from _judge_batch(waiting, scorers)
            waiting = []
        waiting.append((sample, picture))
    if waiting:
        yield from _judge_batch(waiting, scorers)


def _judge_batch(pairs: Sequence[tuple[Sample, torch.Tensor]], scorers: Mapping[str, Scorer]) -> Iterator[Judged]:
    import torch

    samples = [sample for sample, _ in pairs]
    images = torch.stack([picture for _, picture in pairs])
    scores: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for role, scorer in scorers.items():
        try:
            with torch.no_grad():
                scores[role] = scorer.score(images, [sample.prompt for sample in samples])
        except Exception as error:
            failed[role] = f"{scorer.name}: {_reason(error)}"
    if failed and len(pairs) > 1:
        for pair in pairs:
            yield from _judge_batch([pair], scorers)
    else:
        yield Judged(samples=samples, batch=Batch(samples=samples, images=images, scores=scores), failed=failed)


class _Meter:
    """One metric on one set of pictures; its first exception ends it and is kept as a problem."""

    def __init__(self, use: MetricUse, samples: Sequence[Sample]) -> None:
        self._use = use
        self._roles = use.spec.roles(sorted({kind for sample in samples for kind in sample.attributes}))
        self._used = self._excluded = 0
        self._why_excluded = self._fault = ""
        self._metric: Metric | None = None
        with self._kept():
            self._metric = use.load()(request=use.request, neighbours=use.neighbours, config=use.config)

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
                self._used += len(judged.samples)
                self._metric.update(judged.batch)

    def measurements(self) -> list[Measurement]:
        """Return what the metric found; nothing when it failed."""
        if self._metric is None:
            return []
        found: list[Measurement] = []
        with self._kept():
            if self._used < self._use.spec.min_samples:
                why = f"; excluded because: {self._why_excluded}" if self._excluded else ""
                raise ComputeError(f"{self._used} samples are too few, it needs {self._use.spec.min_samples}{why}")
            found = list(self._metric.compute())
            for measurement in found:
                self._check_range(measurement)
        return [] if self._fault else found

    def problems(self, allowed_excluded: float) -> list[str]:
        """Return what makes its numbers missing or unreliable."""
        total = self._used + self._excluded
        if self._fault or not total or self._excluded / total <= allowed_excluded:
            return [self._fault] if self._fault else []
        return [
            f"{self._excluded} of {total} pictures are excluded, more than {allowed_excluded:.0%} "
            f"({self._why_excluded})"
        ]

    def _check_range(self, measurement: Measurement) -> None:
        low, high = self._use.spec.range
        value = measurement.value
        if value is None:
            return
        if (low is not None and value < low - _TOLERANCE) or (high is not None and value > high + _TOLERANCE):
            raise ComputeError(f"its value {value} on '{measurement.group}' is outside [{low}, {high}]")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._metric, self._fault = None, _reason(error)


def _paired(
    use: MetricUse, label: str, before: Sequence[Measurement], after: Sequence[Measurement] | None = None
) -> list[Result]:
    if after is None:
        return [_alone(use, label, measured) for measured in before]
    earlier, later = ({m.group: m for m in found} for found in (before, after))
    return [
        _result(use, label, group, earlier.get(group), later.get(group)) for group in dict.fromkeys([*later, *earlier])
    ]


def _alone(use: MetricUse, label: str, measured: Measurement) -> Result:
    return Result(
        metric=label,
        group=measured.group,
        before=measured.value,
        after=None,
        change=None,
        before_interval=measured.interval,
        n=measured.n,
        n_excluded=measured.n_excluded,
        unit=use.spec.unit,
        direction=use.direction(measured.group),
        ideal=use.ideal(measured.group),
        success=measured.success,
        note=measured.note,
    )


def _result(use: MetricUse, label: str, group: str, before: Measurement | None, after: Measurement | None) -> Result:
    absent = Measurement(group=group, value=None, n=0, note="the metric failed on the other set of pictures")
    before, after = before or absent, after or absent
    change = paired_change(before, after)
    return replace(
        _alone(use, label, before),
        group=group,
        after=after.value,
        change=change.value,
        interval=change.interval,
        p_value=change.p_value,
        after_interval=after.interval,
        n=after.n,
        n_excluded=max(before.n_excluded, after.n_excluded),
        success=after.success if before.success == after.success else None,
        note="; ".join(dict.fromkeys(note for note in (before.note, after.note, change.note) if note)),
    )


def _check_picture(picture: torch.Tensor) -> None:
    if str(picture.dtype) != "torch.uint8" or picture.ndim != 3 or picture.shape[0] != 3:
        raise ComputeError(f"the picture is {picture.dtype} {tuple(picture.shape)}, not uint8 (3, H, W)")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, VuError) else f"{type(error).__name__}: {error}"
