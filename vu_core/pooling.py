"""Numbers of many runs as one: the mean over what was forgotten, every concept weighing the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vu_core.statistics import corrected, mean_measurement, paired_change
from vu_core.types import Measurement, Result

_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Single:
    """The numbers of one run.

    Attributes:
        concept: What it forgot, of one kind for all.
        seed: Of the unlearner.
        results: Of its pooled groups.
    """

    concept: str
    seed: int
    results: Sequence[Result]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of one unlearner over all concepts.

    Attributes:
        unlearner: Its name.
        kind: Of what was forgotten: forgetting objects and forgetting styles are different tasks, reported apart.
        concepts: How many concepts were forgotten, each in a run of its own.
        result: The mean over runs; ``n`` counts their pictures.
    """

    unlearner: str
    kind: str
    concepts: int
    result: Result


def pool(unlearner: str, kind: str, runs: Sequence[Single]) -> list[Row]:
    """Return the mean of every metric and group over ``runs``, which forgot concepts of one kind, with intervals.

    Whole concepts are resampled, as runs that forget the same thing resemble each other; of three to nine
    concepts, Student's interval is taken. Of a share that is the same for all of them, or of which there are
    fewer, Wilson's and Newcombe's intervals count each concept as one observation.
    """
    found: dict[tuple[str, str], list[tuple[Single, Result]]] = {}
    for run in runs:
        for result in run.results:
            found.setdefault((result.metric, result.group), []).append((run, result))
    return [_row(unlearner, kind, pairs) for pairs in found.values()]


def corrected_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return ``rows``, the whole table of a bench, with their p-values corrected for being as many as they are."""
    results = corrected([row.result for row in rows])
    return tuple(replace(row, result=result) for row, result in zip(rows, results, strict=True))


def _row(unlearner: str, kind: str, pairs: Sequence[tuple[Single, Result]]) -> Row:
    first = pairs[0][1]
    usable = [(run, result) for run, result in pairs if result.after is not None]
    before = _mean(usable, [result.before for _, result in usable], first)
    after = _mean(usable, [result.after for _, result in usable], first)
    change = paired_change(before, after)
    concepts = len(set(after.clusters))
    return Row(
        unlearner=unlearner,
        kind=kind,
        concepts=concepts,
        result=replace(
            first,
            before=before.value,
            after=after.value,
            change=change.value,
            interval=change.interval,
            p_value=change.p_value,
            before_interval=before.interval,
            after_interval=after.interval,
            **_reference(usable, first),
            n=sum(result.n for _, result in usable),
            n_excluded=sum(result.n_excluded for _, result in pairs),
            note=_note(concepts, len(pairs) - len(usable), has_interval=after.interval is not None),
        ),
    )


def _reference(pairs: Sequence[tuple[Single, Result]], first: Result) -> dict[str, Any]:
    """Return what retrained models have, over the runs that were held against some."""
    held = [(run, result) for run, result in pairs if result.reference is not None]
    if not held:
        return {}
    mean = _mean(held, [result.reference for _, result in held], first)
    noises = [result.reference_noise for _, result in held if result.reference_noise is not None]
    gaps = [result.gap for _, result in held if result.gap is not None]
    return {
        "reference": mean.value,
        "reference_interval": mean.interval,
        "reference_n": min(result.reference_n for _, result in held),
        "reference_noise": sum(noises) / len(noises) if noises else None,
        "gap": sum(gaps) / len(gaps) if gaps else None,
    }


def _mean(pairs: Sequence[tuple[Single, Result]], values: Sequence[float | None], first: Result) -> Measurement:
    kept = [(run, value) for (run, _), value in zip(pairs, values, strict=True) if value is not None]
    numbers = [value for _, value in kept]
    clusters = [run.concept for run, _ in kept]
    alike = len(set(clusters)) < _FEWEST or len(set(numbers)) == 1
    found = mean_measurement(
        first.group,
        numbers,
        sample_ids=[f"{run.concept}/{run.seed}" for run, _ in kept],
        clusters=clusters,
        success=first.success if alike else None,
    )
    if first.success is None or found.interval is None:
        return found
    low, high = max(found.interval.low, 0.0), min(found.interval.high, first.success)
    return replace(found, interval=replace(found.interval, low=low, high=high))


def _note(concepts: int, without: int, *, has_interval: bool) -> str:
    notes = []
    if without:
        notes.append(f"{without} runs have no such number")
    if not has_interval and concepts < _FEWEST:
        notes.append(f"no interval: {concepts} concepts, {_FEWEST} are needed")
    return "; ".join(notes)
