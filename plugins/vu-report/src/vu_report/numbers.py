"""Results as the rows of a table: every number as text, what it means, and where it lies on a scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vu_core.tables import number, short_name, within_noise, within_reference_noise
from vu_core.types import Interval, Result

Meaning = Literal["better", "worse", "within noise", "as retrained", ""]

MINUS = "\N{MINUS SIGN}"
ARROWS = {"up": "↑", "down": "↓", "reference": "→", "none": ""}
_BEST = {"up": "higher is better", "down": "lower is better", "reference": "as retrained is best", "none": ""}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where numbers lie between 0 and 100: the base model's, the edited model's and its interval."""

    before: float | None
    after: float | None
    low: float
    high: float
    reference: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A result for people.

    Attributes:
        metric: Name without judge and scale.
        full_name: Whole name.
        unit: Of its numbers; empty where each of them says it.
        help: What it measures; empty when its plugin is not installed.
        group: What it was measured on.
        before: The base model's number.
        after: The edited model's.
        change: With sign.
        interval: Of the change; of the value where nothing changed hands.
        own_interval: Of the edited model's number, or of the model's as it is.
        meaning: Whether the change is one, and for better or worse.
        best: Which way is better, and its arrow.
        n: Pictures or samples, and how many were left out.
        reference: Mean of retrained models.
        reference_n: How many they are.
        gap: From that mean.
        reference_noise: How far one of them lies from the others.
        note: What must be known beside the number.
        scale: None where it is no percentage.
    """

    metric: str
    full_name: str
    unit: str
    help: str
    group: str
    before: str
    after: str
    change: str
    interval: str
    own_interval: str
    meaning: Meaning
    best: str
    arrow: str
    n: str
    reference: str
    reference_n: str
    gap: str
    reference_noise: str
    note: str
    scale: Scale | None


def rows_of(results: Sequence[Result], summaries: Mapping[str, str]) -> list[Row]:
    """Return a row for each of ``results``; ``summaries`` say by short name what a metric measures."""
    return [_row(result, summaries.get(short_name(result.metric), "")) for result in results]


def meaning_of(result: Result) -> Meaning:
    """Return whether the change of ``result`` is beyond noise, and for better or worse where that can be said.

    ``"as retrained"``: no farther from retrained models than these from each other.
    """
    if within_reference_noise(result):
        return "as retrained"
    if result.change is None or result.interval is None:
        return ""
    if within_noise(result):
        return "within noise"
    if result.direction == "reference":
        if result.reference is None or result.before is None or result.after is None:
            return ""
        nearer = abs(result.after - result.reference) < abs(result.before - result.reference)
        return "better" if nearer else "worse"
    if result.direction == "none":
        return ""
    return "better" if (result.change > 0) == (result.direction == "up") else "worse"


def with_unit(value: float | None, unit: str) -> str:
    """Return a number, with its unit where that is a percentage; a dash for none."""
    return "–" if value is None else plain(value, unit) + ("\N{NO-BREAK SPACE}%" if unit == "%" else "")


def plain(value: float | None, unit: str = "%") -> str:
    """Return a number for people, with a real minus sign; a dash for none."""
    return number(value, unit).replace("-", MINUS)


def signed(value: float | None, unit: str = "%") -> str:
    """Return a number with its sign; a dash for none."""
    if value is None:
        return "–"
    text = plain(value, unit)
    return text if text.startswith(MINUS) else f"+{text}"


def span(interval: Interval | None, unit: str = "%", *, sign: bool = False) -> str:
    """Return ``"61.0 to 100.0"``; empty for none."""
    if interval is None:
        return ""
    show = signed if sign else plain
    return f"{show(interval.low, unit)} to {show(interval.high, unit)}"


def _row(result: Result, summary: str) -> Row:
    of_change = result.change is not None
    alone = result.after is None
    own = result.before_interval if alone else result.after_interval
    return Row(
        metric=short_name(result.metric),
        full_name=result.metric,
        unit="" if result.unit == "%" else result.unit,
        help=summary,
        group=result.group,
        before=with_unit(result.before, result.unit),
        after=with_unit(result.after, result.unit),
        change=signed(result.change, result.unit) if of_change else "–",
        interval=span(result.interval, result.unit, sign=True) if of_change else span(own, result.unit),
        own_interval=span(own, result.unit),
        meaning=meaning_of(result),
        best=_BEST[result.direction],
        arrow=ARROWS[result.direction],
        n=f"{result.n}" + (f" ({result.n_excluded} left out)" if result.n_excluded else ""),
        reference=with_unit(result.reference, result.unit) if result.reference is not None else "",
        reference_n=f"n = {result.reference_n}" if result.reference is not None and result.reference_n else "",
        gap=signed(result.gap, result.unit) if result.gap is not None else "",
        reference_noise=plain(result.reference_noise, result.unit) if result.reference_noise is not None else "",
        note=result.note,
        scale=_scale(result, own),
    )


def _scale(result: Result, interval: Interval | None) -> Scale | None:
    if result.unit != "%" or interval is None:
        return None
    inside = [min(max(end, 0.0), 100.0) for end in (interval.low, interval.high)]
    return Scale(before=result.before, after=result.after, low=inside[0], high=inside[1], reference=result.reference)
