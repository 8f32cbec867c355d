"""Runs, or the unlearners of benches, side by side: their numbers, their front, and what makes them hard to compare."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vu_core.benchfile import BenchPart, is_bench, parts_of, read_bench
from vu_core.costs import with_costs
from vu_core.errors import RunError
from vu_core.records import Record, Stage, read_record
from vu_core.tables import pooled
from vu_core.types import FORGET, RETAIN, Result

SCHEMA = 1

# What a front is drawn of, where runs have it; otherwise the first metric of the group that all runs have.
_FORGETTING = ("ua_recognised", "ua", "unlearning_accuracy")
_KEEPING = ("ira", "retain_accuracy")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One metric on one group, as one side of a front.

    Attributes:
        metric: Its name.
        group: ``"forget"`` or ``"retain"``.
        unit: Of its values.
        direction: ``"up"`` or ``"down"``: which way is better.
        distance: Whether the values are distances from the retrained models' number.
        results: One a run.
    """

    metric: str
    group: str
    unit: str
    direction: str
    distance: bool
    results: tuple[Result, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """One number a run."""
        return tuple(value_of(result) or 0.0 for result in self.results)

    def merit(self, index: int) -> float:
        """Return the value of one run so that more is better."""
        return self.values[index] if self.direction == "up" else -self.values[index]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Runs with their records, or unlearners with what they came to in a bench, in the order given.

    Attributes:
        labels: A short name for each: from its folder, or the unlearner's.
        records: What happened in each; for an unlearner the means over its runs.
        parts: For unlearners, what the means are of; empty for runs.
    """

    labels: tuple[str, ...]
    records: tuple[Record, ...]
    parts: tuple[BenchPart, ...] = ()

    def rows(self, group: str) -> dict[str, tuple[Result | None, ...]]:
        """Return by metric the results on a pooled group, one a run; None where a run lacks it."""
        found = [{r.metric: r for r in with_costs(record) if r.group == group} for record in self.records]
        metrics = dict.fromkeys(metric for results in found for metric in results)
        return {metric: tuple(results.get(metric) for results in found) for metric in metrics}

    def groups(self) -> list[str]:
        """Return the pooled groups that any run was measured on."""
        return list(dict.fromkeys(r.group for record in self.records for r in pooled(with_costs(record))))

    def axes(self) -> tuple[Axis, Axis] | None:
        """Return forgetting and keeping as far as all runs were measured by one metric each, else None."""
        forgetting, keeping = self._axis(FORGET, _FORGETTING), self._axis(RETAIN, _KEEPING)
        return (forgetting, keeping) if forgetting and keeping else None

    def front(self) -> tuple[str, ...]:
        """Return the labels of the runs that no other one outdoes in forgetting and keeping, by their values alone."""
        axes = self.axes()
        if axes is None:
            return ()
        merits = [tuple(axis.merit(i) for axis in axes) for i in range(len(self.records))]
        return tuple(
            label
            for label, mine in zip(self.labels, merits, strict=True)
            if not any(other != mine and all(o >= m for o, m in zip(other, mine, strict=True)) for other in merits)
        )

    def differences(self) -> list[str]:
        """Return a sentence for everything besides the edit that differs between the runs."""
        return list(_differences(self.labels, self.records))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as values of JSON."""
        axes = self.axes()
        return {
            "runs": [_facts(label, record) for label, record in zip(self.labels, self.records, strict=True)],
            "results": [
                {"metric": metric, "group": group, "runs": [asdict(r) if r else None for r in results]}
                for group in self.groups()
                for metric, results in self.rows(group).items()
            ],
            "front": None if axes is None else {"axes": [_axis_facts(axis) for axis in axes], "runs": self.front()},
            "differences": self.differences(),
        }

    def _axis(self, group: str, preferred: Sequence[str]) -> Axis | None:
        usable = {
            metric: [result for result in results if result is not None and value_of(result) is not None]
            for metric, results in self.rows(group).items()
        }
        whole = [metric for metric, results in usable.items() if len(results) == len(self.records)]
        for metric in (*(name for name in preferred if name in whole), *whole):
            first = usable[metric][0]
            if first.direction != "none":
                distance = first.direction == "reference"
                return Axis(
                    metric=metric,
                    group=group,
                    unit=first.unit,
                    direction="down" if distance else first.direction,
                    distance=distance,
                    results=tuple(usable[metric]),
                )
        return None


def side_by_side(folders: Sequence[Path]) -> dict[str, SideBySide]:
    """Return what is in ``folders``, to be compared: runs under ``""``, or of benches each unlearner under a kind.

    Forgetting objects and forgetting styles are different tasks: benches are compared by kind of what was forgotten.

    Raises:
        RunError: There are fewer than two folders, one is given twice, one holds neither a run nor a bench, or some
            hold runs and others benches.
    """
    if len(folders) < 2:
        raise RunError("one run alone cannot be compared", hint="Give two or more: 'vu compare RUN RUN'.")
    resolved = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, where in zip(folders, resolved, strict=True) if resolved.count(where) > 1]
    if twice:
        raise RunError(f"'{twice[0]}' is given more than once", hint="Give each run once.")
    benches = [folder for folder in folders if is_bench(folder)]
    if not benches:
        return {"": SideBySide(labels=_labels(resolved), records=tuple(map(read_record, folders)))}
    runs = [folder for folder in folders if folder not in benches]
    if runs:
        raise RunError(
            f"'{benches[0]}' is a bench, '{runs[0]}' is none", hint="Compare benches with benches, and runs with runs."
        )
    return _unlearners(_labels(resolved), folders)


def comparison_json(found: Mapping[str, SideBySide]) -> str:
    """Return what `side_by_side` found as JSON text; benches by kind, under ``"kinds"``."""
    kinds = {kind: each.as_dict() for kind, each in found.items()}
    values = {"schema": SCHEMA, **kinds.get("", {"kinds": kinds})}
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def unlearners_side_by_side(parts: Sequence[BenchPart], labels: Sequence[str]) -> SideBySide:
    """Return parts of benches, of one kind, to be compared by their means.

    Raises:
        RunError: A run that they are the means of has no readable record.
    """
    return SideBySide(labels=tuple(labels), records=tuple(map(_record_of, parts)), parts=tuple(parts))


def _unlearners(labels: Sequence[str], folders: Sequence[Path]) -> dict[str, SideBySide]:
    found = [(label, part) for label, where in zip(labels, folders, strict=True) for part in _parts(where)]
    benches_with = Counter(name for _, name in {(label, part.unlearner) for label, part in found})
    twice = max(benches_with.values()) > 1
    by_kind: dict[str, tuple[list[str], list[BenchPart]]] = {}
    for label, part in found:
        named, parts = by_kind.setdefault(part.kind, ([], []))
        named.append(f"{label}: {part.unlearner}" if twice else part.unlearner)
        parts.append(part)
    return {kind: unlearners_side_by_side(parts, named) for kind, (named, parts) in by_kind.items()}


def _parts(folder: Path) -> list[BenchPart]:
    parts = parts_of(read_bench(folder), folder)
    if not parts:
        raise RunError(f"the bench in '{folder}' measured nothing", hint="Continue it: give 'vu bench' again.")
    return parts


def _record_of(part: BenchPart) -> Record:
    """Return the means of a part as a record; what its runs share is taken from the first."""
    first = read_record(part.runs[0].folder)
    seconds: dict[str, float] = {}
    for run in part.runs:
        for name, value in run.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + value
    return replace(
        first,
        request={"forget": list(dict.fromkeys(run.forget for run in part.runs))},
        edit=None,
        stages=[Stage(name=name, seconds=value) for name, value in seconds.items()],
        resumed=[],
        results=list(part.results),
        warnings=[],
    )


def _labels(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return what tells paths apart: without the end they share, and as few parts as that takes."""
    parts = [folder.parts for folder in folders]
    while len({path[-1] for path in parts}) == 1:
        parts = [path[:-1] for path in parts]
    for count in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(path[-count:]) for path in parts]
        if len(set(ends)) == len(ends):
            return tuple(ends)
    return tuple(map(str, folders))


def value_of(result: Result) -> float | None:
    """Return the number a result is compared by: after, or the distance from retrained models where that is its aim."""
    if result.direction == "reference":
        return None if result.gap is None else abs(result.gap)
    return result.after


def _differences(labels: Sequence[str], records: Sequence[Record]) -> Iterator[str]:
    compared: dict[str, Callable[[Record], str]] = {
        "protocol": lambda r: _named(r.protocol or {}, "sha256"),
        "model": lambda r: _named(r.model, "fingerprint"),
        "what was forgotten": lambda r: _list(r.request.get("forget")),
        "what was forgotten earlier": lambda r: _list(r.request.get("earlier")),
        "judges": lambda r: _list(f"{role}={judge['name']}" for role, judge in sorted(r.scorers.items())),
        # A version ends in the hash of the weights.
        "weights of judges": lambda r: _list(f"{role}={j['version'][-8:]}" for role, j in sorted(r.scorers.items())),
        "device and type": lambda r: f"{r.environment.get('device')} {r.environment.get('dtype')}",
        "end": lambda r: r.status,
    }
    for what, of in compared.items():
        values = list(map(of, records))
        if len(set(values)) > 1:
            each = "; ".join(f"{label}: {value}" for label, value in zip(labels, values, strict=True))
            yield f"different {what}: {each}"


def _named(facts: Mapping[str, Any], fingerprint: str) -> str:
    """Return a name and the beginning of what identifies the content behind it."""
    return f"{facts.get('name') or 'none'} {(facts.get(fingerprint) or '')[:8]}".rstrip()


def _list(names: Iterable[str] | None) -> str:
    return ", ".join(names or ()) or "nothing"


def _facts(label: str, record: Record) -> dict[str, Any]:
    edit = record.edit or {}
    return {
        "label": label,
        "status": record.status,
        "unlearner": record.unlearner.get("name"),
        "preset": record.unlearner.get("preset"),
        "forget": record.request.get("forget"),
        "model": record.model.get("name"),
        "protocol": (record.protocol or {}).get("name"),
        "edit": {"sha256": edit.get("sha256"), "bytes": edit.get("bytes")},
        "seconds": sum(stage.seconds for stage in (*record.resumed, *record.stages)),
    }


def _axis_facts(axis: Axis) -> dict[str, Any]:
    return {
        "metric": axis.metric,
        "group": axis.group,
        "unit": axis.unit,
        "better": axis.direction,
        "distance_to_retrained": axis.distance,
        "values": axis.values,
    }
