"""What every metric keeps: tried with pictures and verdicts that are made up, picture by picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any

from vu_core.errors import VuError
from vu_core.interfaces import MODEL, Answers, Batch, Classes, Detections
from vu_core.meters import MetricUse
from vu_core.testing.cases import Check, CheckError, Component, expect
from vu_core.testing.checks.examining import measured_models
from vu_core.testing.checks.spec import example_config
from vu_core.testing.fake_data import OBJECTS, STYLES
from vu_core.testing.fake_samples import NEIGHBOURS, REQUEST, samples_for
from vu_core.testing.fake_verdicts import KINDS, LABELS, OUTPUTS, Right, generator_of, made_up, number_of
from vu_core.types import POOLED, Measurement, Sample

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-6
# So many other models stand beside a classifier that is measured.
_OTHERS = 16
_BESIDE = {"retrained": ("retrained",), "untrained": ("untrained",), "unlearned": ("unlearned", "retrained")}
_IMAGES = ":images"

# Pictures are as small as the metric takes them: some need a side of 176 pixels.
_SIDES = (8, 176)


def check_measures(component: Component) -> None:
    """It returns a measurement a group: of forget, retain, neighbours, all or a concept, each once."""
    samples = samples_for(component)
    found = _computed(component)
    fix = "compute() or measure() returns a sequence of Measurement, one a group."
    expect(bool(found) and all(isinstance(one, Measurement) for one in found), f"it returns {found!r}", fix)
    groups = [one.group for one in found]
    expect(len(set(groups)) == len(groups), f"a group is measured twice: {', '.join(groups)}", fix)
    unknown = set(groups) - {*POOLED, *OBJECTS, *STYLES}
    fix = f"Groups are {', '.join(POOLED)} and the names of concepts."
    expect(not unknown, f"unknown groups: {', '.join(sorted(unknown))}", fix)
    for one in found:
        fix = "n counts the samples behind the value; without any the value is None, and a note says why."
        sound = one.value is not None if one.n else one.value is None
        told = f"'{one.group}' has n={one.n} of {len(samples)} samples and the value {one.value}"
        counted = one.n <= len(samples) or component.spec.examines
        expect(counted and (sound or bool(one.note)), told, fix)


def check_range(component: Component) -> None:
    """Values and the ideal lie in the declared range, the ideal at its better end; a percentage is no fraction of 1."""
    spec = component.spec
    low, high = (math.inf * sign if end is None else end for end, sign in zip(spec.range, (-1, 1), strict=True))
    fix = "Correct range, ideal, unit or direction in the spec."
    if spec.ideal is not None:
        best = {"up": high, "down": low}.get(spec.direction, spec.ideal)
        reached = spec.ideal == best or math.isinf(best)
        expect(low <= spec.ideal <= high and reached, f"ideal {spec.ideal} is not the best of [{low}, {high}]", fix)
    expect(spec.unit != "%" or high > 1, f"its unit is '%', but its range ends at {high}", fix)
    for group, one in _mixed(component).items():
        inside = one.value is None or low - _TOLERANCE <= one.value <= high + _TOLERANCE
        expect(inside, f"its value {one.value} on '{group}' is outside [{low}, {high}]", fix)


def check_interval(component: Component) -> None:
    """Every value has a 95 % interval, or a note that says why not."""
    for group, one in _mixed(component).items():
        fix = "Use vu_core.statistics.mean_measurement, or give interval=Interval(...) or note='...'."
        expect(one.interval is not None or bool(one.note), f"'{group}' has neither interval nor note", fix)
        if one.interval is not None:
            shown = f"[{one.interval.low}, {one.interval.high}] at {one.interval.level}"
            right = one.interval.low <= one.interval.high and one.interval.level == 0.95
            expect(right, f"the interval of '{group}' is {shown}", "Give a 95 % interval, its lower end first.")


def check_batches(component: Component) -> None:
    """Any split into batches and any order of samples gives the same result."""
    samples, form = samples_for(component), _form(component)
    whole = _measure(component, [_batch(samples, form)])
    backwards = samples[::-1]
    splits = {
        "one by one": [_batch([sample], form) for sample in samples],
        "in uneven batches and another order": [_batch(backwards[:5], form), _batch(backwards[5:], form)],
    }
    for how, batches in splits.items():
        _expect_equal(whole, _measure(component, batches), f"given the samples {how}")


def check_excluded(component: Component) -> None:
    """Excluded samples are counted, and change no value."""
    samples, form = samples_for(component), _form(component)
    left_out, kept = samples[::4], [sample for i, sample in enumerate(samples) if i % 4]
    whole = _measure(component, [_batch(samples, form)])
    without = _measure(component, [_batch(kept, form)])
    found = _measure(component, [_batch(kept, form)], left_out)
    counts_aside = {group: replace(one, n_excluded=0) for group, one in found.items()}
    _expect_equal(without, counts_aside, "given excluded samples besides")
    for group, one in found.items():
        fix = "Count in exclude(sample, reason) for the groups of the sample; n_excluded says how many."
        missing = whole[group].n - one.n if group in whole else 0
        told = f"{missing} samples of '{group}' are excluded, n_excluded is {one.n_excluded}"
        expect(one.n_excluded == missing, told, fix)


def check_no_samples(component: Component) -> None:
    """Without samples it raises a VuError, or gives no value."""
    _expect_refusal(component, [], "without samples")


def check_bad_pictures(component: Component) -> None:
    """Pictures that are not uint8 are refused with a VuError, or make no difference."""
    samples, form = samples_for(component), _form(component)
    batch = _batch(samples, form)
    wrong = _with_float_images(batch)
    try:
        found = _measure(component, [wrong])
    except VuError:
        return
    _expect_equal(_measure(component, [batch]), found, "given float pictures in [0, 1] instead of uint8 ones")


def check_bad_verdicts(component: Component) -> None:
    """Verdicts that are NaN are refused with a VuError, or give no value."""
    batch = _batch(samples_for(component), _form(component))
    for name, verdict in _tensors(batch).items():
        if not name.endswith(_IMAGES):
            verdict.fill_(math.nan)
    scores = {role: _nowhere(v) if isinstance(v, Detections) else v for role, v in batch.scores.items()}
    _expect_refusal(component, [replace(batch, scores=scores)], "given NaN verdicts")


def _nowhere(verdict: Detections) -> Detections:
    """Return what was found, with scores that are NaN."""
    found = [[(label, math.nan) for label, _ in one] for one in verdict.found]
    return replace(verdict, found=found)


def check_direction(component: Component) -> None:
    """What is forgotten and kept as asked scores no worse, by the declared direction, than the contrary."""
    samples, form = samples_for(component), _form(component)
    if {"features", "detections"} & set(form.outputs.values()):
        return  # which are better cannot be told without knowing what they are of
    if form.compares == "unlearned":
        return  # the verdicts are of one model among many, and decide too little

    best = _measure(component, [_batch(samples, form, _as_asked)])
    worst = _measure(component, [_batch(samples, form, lambda sample, role: not _as_asked(sample, role))])
    use = MetricUse(spec=component.spec, load=component.load, request=REQUEST)
    for group in best.keys() & worst.keys():
        sign = {"up": 1, "down": -1}.get(use.direction(group), 0)
        good, bad = best[group].value, worst[group].value
        if good is not None and bad is not None:
            problem = f"on '{group}' the right verdicts give {good}, the wrong ones {bad}: worse, by its direction"
            fix = "Correct direction or forget_direction in the spec, or the computation."
            expect(sign * (good - bad) >= -_TOLERANCE, problem, fix)


def check_same_pictures(component: Component) -> None:
    """Pictures compared with themselves reach the ideal."""
    batch = _batch(samples_for(component), _form(component))
    same = replace(batch, reference=replace(batch, reference=None))
    for group, one in _measure(component, [same]).items():
        near = one.value is None or math.isclose(one.value, component.spec.ideal, abs_tol=_TOLERANCE)
        fix = "Correct ideal in the spec, or the computation."
        problem = f"pictures compared with themselves give {one.value} on '{group}', not {component.spec.ideal}"
        expect(near, problem, fix)


def check_inputs_untouched(component: Component) -> None:
    """It changes neither pictures nor verdicts, which other metrics use, too."""
    batch, copy = (_batch(samples_for(component), _form(component)) for _ in range(2))
    _measure(component, [batch])
    same = _tensors(batch).keys() == _tensors(copy).keys() and all(
        tensor.equal(_tensors(copy)[name]) for name, tensor in _tensors(batch).items()
    )
    expect(same, "it changes the batch that it is given", "Work on copies of images and scores.")


def _as_asked(sample: Sample, role: str) -> bool:
    """Return False for what is forgotten as ``role`` judges it, True for the rest."""
    forgotten = [concept for concept in REQUEST.forget if sample.shows(concept)]
    return not forgotten if role not in KINDS else role not in {concept.kind for concept in forgotten}


def _often(sample: Sample, role: str) -> bool:
    """Return True for three of four samples, whichever they are with."""
    return number_of(sample.id + role) % 4 > 0


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What a metric is given.

    Attributes:
        outputs: What its scorers compute, by role.
        side: Height and width of the pictures.
        compares: As in its spec.
        labels: What its detectors know: those that count, where it has an option for that.
    """

    outputs: Mapping[str, str]
    side: int
    compares: str
    labels: Sequence[str]


def _batch(samples: Sequence[Sample], form: _Form, right: Right = _often) -> Batch:
    """Return ``samples`` with pictures and verdicts that depend on each sample alone, and their reference."""
    batch = _judged(samples, form, right)
    if form.compares in _BESIDE:
        others = [made_up("answers", samples, f"{MODEL} {number}", _as_asked) for number in range(2 * _OTHERS)]
        parts = (others[:_OTHERS], others[_OTHERS:])
        beside: dict[str, Any] = dict(zip(_BESIDE[form.compares], parts, strict=False))
        return replace(batch, **beside)
    if not form.compares:
        return batch
    others = [replace(sample, id=f"reference-{sample.id}") for sample in samples]
    reference = _judged(others, form, _often)
    if form.compares == "before":
        reference = replace(reference, samples=batch.samples)
    return replace(batch, reference=reference)


def _judged(samples: Sequence[Sample], form: _Form, right: Right) -> Batch:
    import torch

    shape = (3, form.side, form.side)
    images = [torch.randint(0, 256, shape, generator=generator_of(sample.id)) for sample in samples]
    scores = {role: made_up(kind, samples, role, right, form.labels) for role, kind in form.outputs.items()}
    return Batch(samples=list(samples), images=torch.stack(images).to(torch.uint8), scores=scores)


def _with_float_images(batch: Batch) -> Batch:
    reference = _with_float_images(batch.reference) if batch.reference else None
    return replace(batch, images=batch.images.float() / 255, reference=reference)


_PLAYED = {**dict.fromkeys(KINDS, ("classes",)), MODEL: ("answers",)}


@cache
def _form(component: Component) -> _Form:
    """Return the first form that the metric accepts; a role that is a kind of concept is played by a classifier."""
    samples = samples_for(component)
    roles = component.spec.roles(KINDS)
    refusals = []
    accepted = [_PLAYED.get(role, OUTPUTS) for role in roles]
    labels = getattr(example_config(component), "labels", LABELS)
    for side, choice in product(_SIDES, product(*accepted)):
        outputs = dict(zip(roles, choice, strict=True))
        form = _Form(outputs=outputs, side=side, compares=component.spec.compares, labels=labels)
        try:
            _compute(component, [_batch(samples, form)])
        except Exception as error:
            refusals.append(f"{type(error).__name__}: {error}")
        else:
            return form
    fix = "It is called as cls(request=, neighbours=, config=), then update(batch) and compute()."
    raise CheckError(f"it cannot measure {len(samples)} sound samples: {refusals[0]}", fix)


def _compute(component: Component, batches: Iterable[Batch], excluded: Iterable[Sample] = ()) -> Any:
    metric = component.load()(request=REQUEST, neighbours=NEIGHBOURS, config=example_config(component))
    for batch in batches:
        metric.update(batch)
    for sample in excluded:
        metric.exclude(sample, "its picture is missing")
    return list(metric.compute())


def _measure(component: Component, batches: Iterable[Batch], excluded: Iterable[Sample] = ()) -> dict[str, Measurement]:
    return {one.group: one for one in _compute(component, batches, excluded)}


def _mixed(component: Component) -> dict[str, Measurement]:
    """Return what it measures on samples of which some are right and some are wrong, or of a model, by group."""
    return {one.group: one for one in _computed(component)}


def _computed(component: Component) -> Any:
    if component.spec.examines:
        return measured_models(component)
    return _compute(component, [_batch(samples_for(component), _form(component))])


def _expect_equal(one: Mapping[str, Measurement], other: Mapping[str, Measurement], how: str) -> None:
    fix = "Keep what each sample contributes, by sample.id, and combine it in compute(), in a fixed order."
    expect(one.keys() == other.keys(), f"{how}, it measures {sorted(other)} instead of {sorted(one)}", fix)
    for group, first in one.items():
        for name, a, b in zip(("value", "n", "interval"), _figures(first), _figures(other[group]), strict=True):
            same = a == b or (a and b and all(map(_close, a, b)))
            expect(bool(same), f"{how}, the {name} of '{group}' is {b} instead of {a}", fix)


def _figures(one: Measurement) -> list[tuple[float, ...] | None]:
    interval = (one.interval.low, one.interval.high) if one.interval else None
    return [None if one.value is None else (one.value,), (one.n,), interval]


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _expect_refusal(component: Component, batches: Sequence[Batch], how: str) -> None:
    try:
        found = _compute(component, batches)
    except VuError:
        return
    except Exception as error:
        raise CheckError(f"{how}, it ends in {type(error).__name__}: {error}", "Raise ComputeError instead.") from error
    values = {one.group: one.value for one in found if one.value is not None}
    expect(not values, f"{how}, it gives {values}", "Raise ComputeError, or return value=None with a note.")


def _tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Return all tensors of a batch and its reference by name; those that are pictures end in `_IMAGES`."""
    verdicts: dict[str, torch.Tensor] = {}
    others = (*batch.retrained, *batch.unlearned, *batch.untrained)
    answered = {f"other {number}": answers for number, answers in enumerate(others)}
    for role, verdict in {**batch.scores, **answered}.items():
        if isinstance(verdict, Answers):
            verdicts |= {f"{role} logits": verdict.logits, f"{role} features": verdict.features}
        elif not isinstance(verdict, Detections):
            verdicts[role] = verdict.probabilities if isinstance(verdict, Classes) else verdict
    reference = _tensors(batch.reference) if batch.reference else {}
    return {_IMAGES: batch.images, **verdicts, **{f"reference {name}": found for name, found in reference.items()}}


def _sees_samples(component: Component) -> bool:
    return not component.spec.examines


def _has_scorers(component: Component) -> bool:
    return _sees_samples(component) and bool(component.spec.scorers)


def _has_ideal_pairs(component: Component) -> bool:
    return component.spec.compares == "before" and component.spec.ideal is not None


_check = partial(Check, subject="metric")

CHECKS = (
    _check(check_measures),
    _check(check_range),
    _check(check_interval),
    _check(check_batches, when=_sees_samples),
    _check(check_excluded, when=_sees_samples),
    _check(check_no_samples, when=_sees_samples),
    _check(check_bad_pictures, when=_sees_samples),
    _check(check_bad_verdicts, when=_has_scorers),
    _check(check_direction, when=_has_scorers),
    _check(check_same_pictures, when=_has_ideal_pairs),
    _check(check_inputs_untouched, when=_sees_samples),
)
