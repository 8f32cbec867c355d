"""Several runs side by side: their numbers in rows, what makes them hard to compare, and which are outdone by none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vu_core.costs import with_costs
from vu_core.errors import RunError
from vu_core.records import Record, read_record
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
    """Runs with their records, in the order given.

    Attributes:
        labels: A short name for each, from its folder.
        records: What happened in each.
    """

    labels: tuple[str, ...]
    records: tuple[Record, ...]

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

    def as_json(self) -> str:
        """Return all of it as JSON text."""
        axes = self.axes()
        values = {
            "schema": SCHEMA,
            "runs": [_facts(label, record) for label, record in zip(self.labels, self.records, strict=True)],
            "results": [
                {"metric": metric, "group": group, "runs": [asdict(r) if r else None for r in results]}
                for group in self.groups()
                for metric, results in self.rows(group).items()
            ],
            "front": None if axes is None else {"axes": [_axis_facts(axis) for axis in axes], "runs": self.front()},
            "differences": self.differences(),
        }
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

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


def side_by_side(folders: Sequence[Path]) -> SideBySide:
    """Return the runs in ``folders``, to be compared.

    Raises:
        RunError: There are fewer than two, one is given twice, or one holds no record of a run.
    """
    if len(folders) < 2:
        raise RunError("one run alone cannot be compared", hint="Give two or more: 'vu compare RUN RUN'.")
    resolved = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, where in zip(folders, resolved, strict=True) if resolved.count(where) > 1]
    if twice:
        raise RunError(f"'{twice[0]}' is given more than once", hint="Give each run once.")
    return SideBySide(labels=_labels(resolved), records=tuple(map(read_record, folders)))


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
