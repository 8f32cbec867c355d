"""Forgetting against keeping, of runs or of unlearners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vu_core.benchfile import BenchPart
from vu_core.sidebyside import Axis, SideBySide, value_of
from vu_core.tables import short_name
from vu_report import facts
from vu_report.plots import Plot, Point, front


def front_plot(found: SideBySide) -> Plot | None:
    """Return the plot of ``found``, or None where no pair of metrics was measured in all.

    Of unlearners, each run that their numbers are the means of is a small mark.
    """
    axes = found.axes()
    if axes is None:
        return None
    forgetting, keeping = axes
    best = found.front()
    points: list[Point] = []
    for i, label in enumerate(found.labels):
        if found.parts:
            points += _singles(found.parts[i], axes, series=i)
        points.append(
            Point(
                label=label,
                x=keeping.values[i],
                y=forgetting.values[i],
                x_interval=None if keeping.distance else keeping.results[i].after_interval,
                y_interval=None if forgetting.distance else forgetting.results[i].after_interval,
                on_front=label in best,
                series=i,
            )
        )
    inverted = (keeping.direction == "down", forgetting.direction == "down")
    plot = front(points, _axis_label(keeping), _axis_label(forgetting), invert=inverted)
    return replace(plot, caption=f"{plot.caption} Small marks are single runs.") if found.parts else plot


def front_sentence(found: SideBySide) -> str:
    """Return which of ``found`` no other one outdoes."""
    axes = found.axes()
    if axes is None:
        return "No pair of metrics for forgetting and keeping was measured in all of them."
    by = " and ".join(f"{short_name(axis.metric)} on {axis.group}" for axis in axes)
    best = found.front()
    if len(best) == len(found.labels):
        return f"None outdoes another in both {by}."
    return f"Outdone by no other in {by}: {facts.names(best)}."


def _singles(part: BenchPart, axes: tuple[Axis, Axis], *, series: int) -> Iterator[Point]:
    for run in part.runs:
        values = []
        for axis in axes:
            found = [r for r in run.results if (r.metric, r.group) == (axis.metric, axis.group)]
            values += [value for r in found if (value := value_of(r)) is not None]
        if len(values) == len(axes):
            yield Point(label="", x=values[1], y=values[0], single=True, series=series)


def _axis_label(axis: Axis) -> str:
    what = f"{short_name(axis.metric)} on {axis.group}"
    what = f"distance of {what} from retrained models" if axis.distance else what
    return f"{what}, {axis.unit}" if axis.unit else what
