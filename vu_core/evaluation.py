"""From pictures before and after unlearning, or of one model alone, to results: judged once, fed to every metric.

What is excluded is counted, and never a success. A metric that fails becomes an error; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from vu_core.context import RunContext
from vu_core.errors import ConfigError
from vu_core.interfaces import HasPictures, Scorer
from vu_core.judging import BATCH_SIZE, Judged, Pictures, RealPictures, judge, judge_sets
from vu_core.meters import Examined, Meter, MetricUse, ModelMeter, SampleMeter
from vu_core.reference import NO_REFERENCE, with_reference
from vu_core.specs import EACH_KIND
from vu_core.statistics import corrected, paired_change, values_alone
from vu_core.types import ALL, RETAIN, Measurement, Result, Sample

if TYPE_CHECKING:
    from vu_core.evidence import Others

ALLOWED_EXCLUDED = 0.01

BEFORE, AFTER = "before", "after"

AllExamined = Mapping[str, Mapping[str, Examined]]
_NOTHING_AFTER = (
    Measurement(group=RETAIN, value=None, n=0, note="it compares pictures before and after, and none is after"),
)
_NOBODY = {
    "retrained": NO_REFERENCE,
    "unlearned": "no reference: neither several retrained models nor others that forgot the same were given",
    "untrained": "nothing to compare with: the model does not say how it was before training",
}


def reference_of(metrics: Iterable[MetricUse], dataset: object) -> RealPictures | None:
    """Return the real pictures that any of ``metrics`` compares with; None where none does.

    Raises:
        ConfigError: One does, but ``dataset`` offers no pictures.
    """
    needing = [use.spec.name for use in metrics if use.spec.compares == "pictures"]
    if not needing:
        return None
    if not isinstance(dataset, HasPictures):
        raise ConfigError(
            f"metric '{needing[0]}' compares with real pictures, but the protocol's dataset has none",
            hint="Measure with a protocol whose dataset offers pictures, or leave the metric out.",
        )
    return RealPictures.of(dataset)


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
    reference: RealPictures | None = None,
    examined: AllExamined = MappingProxyType({}),
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
        reference: What metrics with ``compares="pictures"`` compare with: see `reference_of`.
        examined: What metrics found out about the models themselves: by set, by metric.
        batch_size: Pictures of one set judged together.
        allowed_excluded: Largest share of excluded samples that is no error, in [0, 1].
        watch: Called with ``"before"`` or ``"after"`` and every batch that was judged.
    """
    sets = {BEFORE: before} | ({AFTER: after} if after else {})
    meters = Meters(metrics, samples, list(sets), examined=examined)
    seen = ctx.progress(samples, label="judging")
    for judged in judge_sets(list(sets.values()), seen, scorers, batch_size=batch_size):
        by_set = dict(zip(sets, judged, strict=True))
        for name, one in by_set.items():
            watch(name, one)
        meters.take(by_set)
    if reference:
        comparing = {role for use in metrics if use.spec.compares == "pictures" for role in use.spec.scorers}
        judges = {role: scorer for role, scorer in scorers.items() if {role, EACH_KIND} & comparing}
        shown = ctx.progress(reference.samples, label="judging real pictures")
        for real in judge(reference.read, shown, judges, batch_size=batch_size):
            meters.take_reference(real)
    return meters.results(scorers), meters.problems(allowed_excluded)


class Meters:
    """Metrics on several sets of pictures, or on several models' answers to the same ones.

    Args:
        metrics: What to compute.
        samples: What the sets consist of.
        sets: Names of the sets: `BEFORE`, and `AFTER` where something came after.
        others: Names of the sets that are other models' answers, by what these models are.
        examined: What metrics found out about the model of each set themselves: by set, by metric.
    """

    def __init__(
        self,
        metrics: Sequence[MetricUse],
        samples: Sequence[Sample],
        sets: Sequence[str],
        others: Mapping[Others, Sequence[str]] = MappingProxyType({}),
        examined: AllExamined = MappingProxyType({}),
    ) -> None:
        kinds = sorted({kind for sample in samples for kind in sample.attributes})
        self._uses = [_Use(use, kinds, sets, others, examined) for use in metrics]

    def take(self, judged: Mapping[str, Judged]) -> None:
        """Give every metric some samples, as judged in each set."""
        for use in self._uses:
            use.take(judged)

    def take_reference(self, judged: Judged) -> None:
        """Give some real pictures to the metrics that compare with any."""
        for use in self._uses:
            use.take_reference(judged)

    def results(self, scorers: Mapping[str, Scorer]) -> list[Result]:
        """Return the results of every metric, their p-values corrected."""
        return corrected([result for use in self._uses for result in use.results(scorers)])

    def problems(self, allowed_excluded: float = ALLOWED_EXCLUDED) -> list[str]:
        """Return a sentence for every metric that failed or lacks too many pictures."""
        return [problem for use in self._uses for problem in use.problems(allowed_excluded)]


class _Use:
    """One metric on all that it is measured on: each set of pictures, or before and after as pairs."""

    def __init__(
        self,
        use: MetricUse,
        kinds: Sequence[str],
        sets: Sequence[str],
        others: Mapping[Others, Sequence[str]],
        examined: AllExamined,
    ) -> None:
        self._use, self._compares = use, use.spec.compares
        self._others, self._retrained = others, others.get("retrained", ())
        retrained, later = self._retrained, [name for name in sets if name == AFTER]
        # Of one retrained model alone there is nothing to hold it against.
        several = retrained if len(retrained) > 1 else ()
        measured = {
            "before": later,
            "retrained": [*sets, *several] if retrained else [],
            "unlearned": [*later, *several[:1]] if later and several and others.get("unlearned") else [],
            "untrained": [*sets, *retrained] if others.get("untrained") else [],
        }
        names = measured.get(self._compares, [*sets, *retrained])
        self._meters: dict[str, Meter] = {name: self._meter(name, kinds, examined) for name in names}

    def _meter(self, name: str, kinds: Sequence[str], examined: AllExamined) -> Meter:
        if not self._use.spec.examines:
            return SampleMeter(self._use, kinds)
        beside = self._beside(name).get("retrained", ())
        own, *others = (examined[one][self._use.spec.name] for one in (name, *beside))
        return ModelMeter(self._use, own, others)

    def take(self, judged: Mapping[str, Judged]) -> None:
        """Give the metric some samples, judged in each set."""
        for name, meter in self._samplers():
            one = judged[name]
            if self._compares == "before":
                one = one.compared_with(judged[BEFORE])
            beside = {kind: [judged[other] for other in others] for kind, others in self._beside(name).items()}
            meter.take(one.beside(**beside))

    def _beside(self, name: str) -> dict[str, Sequence[str]]:
        """Return which other models' answers the metric is given with those of the set ``name``."""
        again = self._retrained
        if self._compares == "retrained":
            return {"retrained": [other for other in again if other != name]}
        if self._compares == "unlearned" and name in again:
            half = len(again) // 2
            return {"unlearned": again[1:half], "retrained": again[half:]}
        wanted: dict[str, tuple[Others, ...]] = {"unlearned": ("unlearned", "retrained"), "untrained": ("untrained",)}
        return {kind: self._others[kind] for kind in wanted.get(self._compares, ())}

    def take_reference(self, judged: Judged) -> None:
        """Give the metric some real pictures, if it compares with any."""
        if self._compares == "pictures":
            for _, meter in self._samplers():
                meter.take(judged.as_reference())

    def _samplers(self) -> Iterator[tuple[str, SampleMeter]]:
        """Yield the meters that are given samples, by set: none where the metric examines models."""
        for name, meter in self._meters.items():
            if isinstance(meter, SampleMeter):
                yield name, meter

    def results(self, scorers: Mapping[str, Scorer]) -> list[Result]:
        """Return one result a group."""
        label = self._use.label(scorers)
        found = {name: meter.measurements() for name, meter in self._meters.items() if name not in self._retrained}
        with values_alone():
            found |= {name: self._meters[name].measurements() for name in self._retrained if name in self._meters}
        if self._compares == "before":
            return [_of_pairs(self._use, label, measured) for measured in found.get(AFTER, _NOTHING_AFTER)]
        if not found:
            nothing = Measurement(group=ALL, value=None, n=0, note=_NOBODY[self._compares])
            return [_alone(self._use, label, nothing)]
        if self._compares == "unlearned":
            results = [_of_pairs(self._use, label, measured) for measured in found[AFTER]]
        else:
            results = _paired(self._use, label, found[BEFORE], found.get(AFTER))
        retrained = [{m.group: m for m in found[name]} for name in self._retrained if name in found]
        return [
            with_reference(result, [by_group[result.group] for by_group in retrained if result.group in by_group])
            for result in results
        ]

    def problems(self, allowed_excluded: float) -> list[str]:
        """Return a sentence for each set on which it failed or lacks too many pictures."""
        return [
            f"metric '{self._use.spec.name}', {name}: {text}"
            for name, meter in self._meters.items()
            for text in meter.problems(allowed_excluded)
        ]


def _paired(
    use: MetricUse, label: str, before: Sequence[Measurement], after: Sequence[Measurement] | None = None
) -> list[Result]:
    if after is None:
        return [_alone(use, label, measured) for measured in before]
    earlier, later = ({m.group: m for m in found} for found in (before, after))
    return [
        _result(use, label, group, earlier.get(group), later.get(group)) for group in dict.fromkeys([*later, *earlier])
    ]


def _of_pairs(use: MetricUse, label: str, measured: Measurement) -> Result:
    """Return the result of a metric that has one number for both sets of pictures."""
    alone = _alone(use, label, measured)
    return replace(alone, before=None, before_interval=None, after=measured.value, after_interval=measured.interval)


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
