"""Results as tables for people: on a terminal, as text, in Markdown, in HTML."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vu_core.types import FORGET, POOLED, RUN, Interval, Result

if TYPE_CHECKING:
    from rich.table import Table

_ARROWS = {"up": "↑", "down": "↓", "reference": "→", "none": "–"}
_COMPARED = ("metric", "group", "before", "after", "change", "95 % interval", "best", "n")
_HELD = ("metric", "group", "before", "after", "retrained", "gap", "noise", "n")
_ALONE = ("metric", "group", "value", "95 % interval", "best", "n")
_NOISE = "~"
_ACCURACY = "ira"
_TEXT_WIDTH = 120
_NEAR = ", a neighbour"
_FINE = ("nats", "MB")
_TABLED = (*POOLED, RUN)


def rich_table(results: Sequence[Result], forgotten: Sequence[str] = ()) -> Table:
    """Return the pooled results as a table that fits 80 columns; a metric's name stands in its first row.

    Args:
        results: Of all groups.
        forgotten: Concepts that have rows of their own where a metric measures nothing but what is forgotten.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns, rows = _cells(_shown(results, forgotten))
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def as_text(results: Sequence[Result]) -> str:
    """Return the pooled results as aligned lines, and what their short names stand for."""
    from rich.console import Console

    stream = io.StringIO()
    # In a notebook, rich would show the table instead of writing it, or write marks of colour.
    Console(file=stream, width=_TEXT_WIDTH, force_jupyter=False, force_terminal=False).print(rich_table(results))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


def as_html(results: Sequence[Result]) -> str:
    """Return the pooled results as an HTML table."""
    columns, rows = _cells(pooled(results))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def as_markdown(results: Sequence[Result]) -> list[str]:
    """Return the pooled results as the lines of a Markdown table."""
    held = any(result.reference is not None for result in results)
    distance = ("retrained", "gap", "noise") if held else ("change", "95 % interval")
    columns = ("metric", "group", "before", "after", *distance, "n")
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for r in pooled(results):
        name = f"{r.metric} ({r.unit})" if r.unit else r.metric
        compared = _reference(r) if held else (_change(r), _interval(r))
        numbers = (number(r.before, r.unit), number(r.after, r.unit), *compared, str(r.n))
        lines.append(f"| {' | '.join((name, r.group, *numbers))} |")
    return lines


def names_line(results: Sequence[Result]) -> str:
    """Return what the table's short names stand for, where judge and scale belong to the name; else nothing."""
    long = dict.fromkeys(result.metric for result in results if "[" in result.metric)
    return "; ".join(f"{short_name(name)} is {name}" for name in long)


def noise_line(results: Sequence[Result]) -> str:
    """Return what the table's numbers are held against, and what the mark of changes within noise means, if any."""
    held = [result for result in results if result.reference is not None]
    if held:
        models = max(result.reference_n for result in held)
        mark = f"; {_NOISE} no farther than these from each other" if any(map(within_reference_noise, held)) else ""
        return f"retrained: mean of {models} models that never learned what is forgotten{mark}"
    mark = f"{_NOISE} within noise: the interval holds 0" if any(map(within_noise, pooled(results))) else ""
    return "; ".join(filter(None, (no_reference_line(results), mark)))


def no_reference_line(results: Sequence[Result]) -> str:
    """Return that numbers which should be near those of retrained models have none beside them; else nothing."""
    wanted = any(result.direction == "reference" for result in results)
    lacking = wanted and all(result.reference is None for result in results)
    return "no reference: there is no number of a model that never learned what is forgotten" if lacking else ""


def damage_line(results: Sequence[Result], neighbours: Sequence[str] = ()) -> str:
    """Return which retained concepts lost most accuracy, in a sentence that marks those in ``neighbours``."""
    if any(result.direction == "reference" for result in results):
        return ""  # a classifier's classes: what matters is the distance from retrained models
    if not any(result.metric == _ACCURACY for result in results):
        return f"Most damaged: unknown, {_ACCURACY} was not measured"
    damaged = most_damaged(results)
    if not damaged:
        return "Most damaged: no retained concept lost accuracy"
    each = (
        f"{r.group} {number(r.before, r.unit)} to {number(r.after, r.unit)} {r.unit} "
        f"(n={r.n}{_NEAR if r.group in neighbours else ''})"
        for r in damaged
    )
    return f"Most damaged ({damaged[0].metric}): {', '.join(each)}"


def most_damaged(results: Sequence[Result], metric: str = _ACCURACY, limit: int = 3) -> list[Result]:
    """Return the retained concepts whose ``metric`` fell most, the worst first; only those that fell."""
    fallen = [r for r in results if r.metric == metric and r.group not in POOLED and (r.change or 0) < 0]
    return sorted(fallen, key=lambda result: (result.change or 0, result.group))[:limit]


def pooled(results: Sequence[Result]) -> list[Result]:
    """Return the results of pooled groups and of the run itself, without those of single concepts."""
    return [result for result in results if result.group in _TABLED]


def number(value: float | None, unit: str = "%") -> str:
    """Return a number for people, or a dash for none; small ones without a unit keep more decimals."""
    return "–" if value is None else f"{value:.{_decimals(value, unit)}f}"


def short_name(metric: str) -> str:
    """Return a metric's name without judge and scale: ``"clip_score"`` for ``"clip_score[judge,100*cos]"``."""
    return metric.partition("[")[0]


def _shown(results: Sequence[Result], forgotten: Sequence[str]) -> list[Result]:
    kept = {result.metric for result in results if result.group in POOLED and result.group != FORGET}
    return [r for r in results if r.group in _TABLED or (r.group in forgotten and r.metric not in kept)]


def _cells(results: Sequence[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows; without the columns of a comparison when nothing came after.

    Where there are retrained models, the distance from them takes the place of the change.
    """
    compared = any(result.after is not None for result in results)
    held = any(result.reference is not None for result in results)
    rows, above = [], ""
    for result in results:
        name = f"{short_name(result.metric)} {result.unit}".rstrip() if result.metric != above else ""
        above = result.metric
        value = number(result.before, result.unit)
        numbers: tuple[str, ...] = (value, _interval_of(result, result.before_interval))
        if held:
            numbers = (value, number(result.after, result.unit), *_reference(result))
        elif compared:
            numbers = (value, number(result.after, result.unit), _change(result), _interval(result))
        best = _ARROWS[result.direction] + ("" if result.ideal is None else f" {result.ideal:g}")
        rows.append((name, result.group, *numbers, *(() if held else (best,)), str(result.n)))
    return _HELD if held else _COMPARED if compared else _ALONE, rows


def within_noise(result: Result) -> bool:
    """Return whether the interval of the change holds 0."""
    return result.interval is not None and result.interval.low <= 0 <= result.interval.high


def within_reference_noise(result: Result) -> bool:
    """Return whether the gap is no larger than the distance of a retrained model from the others."""
    return result.gap is not None and result.reference_noise is not None and abs(result.gap) <= result.reference_noise


def _reference(result: Result) -> tuple[str, str, str]:
    """Return what retrained models have, the distance from them, and how far they lie apart themselves."""
    gap = "–"
    if result.gap is not None:
        mark = f"{_NOISE} " if within_reference_noise(result) else ""
        gap = f"{mark}{result.gap:+.{_decimals(result.gap, result.unit)}f}"
    return number(result.reference, result.unit), gap, number(result.reference_noise, result.unit)


def _change(result: Result) -> str:
    if result.change is None:
        return "–"
    mark = f"{_NOISE} " if within_noise(result) else ""
    return f"{mark}{result.change:+.{_decimals(result.change, result.unit)}f}"


def _interval(result: Result) -> str:
    """Return the interval of the change, with signs; of the value where one number stands for before and after."""
    if result.change is None and result.before is None:
        return _interval_of(result, result.after_interval)
    return _interval_of(result, result.interval, sign="+")


def _interval_of(result: Result, interval: Interval | None, *, sign: str = "") -> str:
    if interval is None:
        return "–"
    decimals = _decimals(max(abs(interval.low), abs(interval.high)), result.unit)
    return f"{interval.low:{sign}.{decimals}f} … {interval.high:{sign}.{decimals}f}"


def _decimals(value: float, unit: str) -> int:
    if (unit and unit not in _FINE) or abs(value) >= 10:
        return 1
    return 4 if 0 < abs(value) < 0.01 else 3
