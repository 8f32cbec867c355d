"""Plots as SVG pictures that follow the reader's light or dark mode."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vu_core.types import Interval

# Colours drawn with, and what each is in light and in dark mode. The drawn ones are found again in the SVG's text.
_INK, _QUIET, _LINE, _PAPER = "#010203", "#040506", "#070809", "#1c1d1e"
_SERIES = ("#0a0b0c", "#0d0e0f", "#101112", "#131415", "#161718", "#191a1b")
_THEMES = {
    _INK: ("#1c1b22", "#ecebf3"),
    _QUIET: ("#5a5966", "#a9a8b6"),
    _LINE: ("#d9d8e0", "#3b3a46"),
    _PAPER: ("#ffffff", "#1d1c24"),
    _SERIES[0]: ("#4b3fc7", "#a79dff"),
    _SERIES[1]: ("#b4540a", "#f0a35e"),
    _SERIES[2]: ("#0b7a5b", "#5fd3ae"),
    _SERIES[3]: ("#b3261e", "#ff9c94"),
    _SERIES[4]: ("#0d6e9e", "#7cc7f2"),
    _SERIES[5]: ("#8a3a86", "#e39ade"),
}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_POINTS = 400


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A picture of numbers.

    Attributes:
        uri: ``data:image/svg+xml;base64,...``.
        alt: What it shows, for a reader who does not see it.
        caption: Stands below it.
    """

    uri: str
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """What one edit came to on two axes.

    Attributes:
        label: Whose it is.
        x: How well it kept.
        y: How well it forgot.
        x_interval: Of ``x``.
        y_interval: Of ``y``.
        on_front: Whether no other point outdoes it.
        single: Whether it is one of many that a series is the mean of; drawn small.
        series: Points of one series share colour and marker.
    """

    label: str
    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None
    on_front: bool = False
    single: bool = False
    series: int = 0


def curves(steps: Mapping[str, Sequence[tuple[int, float]]]) -> Plot:
    """Return a small plot for each named series of (step, value), at least one."""
    columns = min(len(steps), 2)
    rows = -(-len(steps) // columns)
    with _drawing(figsize=(3.6 * columns, 2.5 * rows)) as (figure, done):
        for i, (name, pairs) in enumerate(steps.items()):
            axes = figure.add_subplot(rows, columns, i + 1)
            shown = _thinned(pairs)
            axes.plot([step for step, _ in shown], [value for _, value in shown], color=_SERIES[0], linewidth=1.4)
            axes.set_title(name, loc="left", fontsize=11, color=_INK, parse_math=False)
            axes.set_xlabel("step")
            _plain(axes)
    ends = "; ".join(f"{name} from {pairs[0][1]:.4g} to {pairs[-1][1]:.4g}" for name, pairs in steps.items())
    return Plot(uri=done[0], alt=f"Curves over steps: {ends}.", caption="What the unlearner logged, over its steps.")


def front(points: Sequence[Point], x_label: str, y_label: str, *, invert: tuple[bool, bool] = (False, False)) -> Plot:
    """Return forgetting against keeping; better lies to the upper right.

    Args:
        points: The edits.
        x_label: What keeping was measured by.
        y_label: What forgetting was measured by.
        invert: Whether less is better, for x and y.
    """
    with _drawing(figsize=(5.6, 4.4)) as (figure, done):
        axes = figure.add_subplot()
        for point in points:
            _draw_point(axes, point)
        line = sorted((p.x, p.y) for p in points if p.on_front)
        if len(line) > 1:
            axes.plot(*zip(*line, strict=True), color=_QUIET, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        axes.set_xlabel(f"keeping: {x_label}", parse_math=False)
        axes.set_ylabel(f"forgetting: {y_label}", parse_math=False)
        axes.margins(0.12)
        if invert[0]:
            axes.invert_xaxis()
        if invert[1]:
            axes.invert_yaxis()
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, labelcolor=_INK)
        _plain(axes)
    each = "; ".join(
        f"{p.label}: {x_label} {p.x:.4g}, {y_label} {p.y:.4g}{', on the front' if p.on_front else ''}"
        for p in points
        if not p.single
    )
    caption = (
        "Better is up and right. Bars are 95 % intervals; filled marks lie on the front: no other one is at least as "
        "good in both and better in one, by values alone."
    )
    return Plot(uri=done[0], alt=f"Forgetting against keeping. {each}.", caption=caption)


def _draw_point(axes: Axes, point: Point) -> None:
    colour, marker = _SERIES[point.series % len(_SERIES)], _MARKERS[point.series % len(_MARKERS)]
    if point.single:
        axes.plot(point.x, point.y, marker=marker, markersize=4, alpha=0.55, color=colour, linestyle="none", zorder=2)
        return
    axes.errorbar(
        point.x,
        point.y,
        xerr=_ends(point.x, point.x_interval),
        yerr=_ends(point.y, point.y_interval),
        fmt=marker,
        markersize=9,
        markerfacecolor=colour if point.on_front else _PAPER,
        markeredgewidth=1.6,
        color=colour,
        elinewidth=1.2,
        label=point.label.replace("$", r"\$"),
        zorder=3,
    )


def _ends(value: float, interval: Interval | None) -> list[list[float]] | None:
    if interval is None:
        return None
    return [[max(value - interval.low, 0.0)], [max(interval.high - value, 0.0)]]


def _thinned(pairs: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    step = -(-len(pairs) // _MOST_POINTS)
    return [*pairs[:-1:step], pairs[-1]]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.tick_params(colors=_QUIET, labelsize=9, color=_LINE)
    axes.xaxis.label.set_color(_QUIET)
    axes.yaxis.label.set_color(_QUIET)
    axes.grid(visible=True, color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)


@contextmanager
def _drawing(figsize: tuple[float, float]) -> Iterator[tuple[Figure, list[str]]]:
    """Yield an empty figure and a list that holds the picture's address when the block has ended."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "vu",
        "font.family": "sans-serif",
        "font.size": 11,
        "text.parse_math": False,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=figsize, layout="constrained")
        done: list[str] = []
        yield figure, done
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    done.append(_uri(stream.getvalue()))


def _uri(svg: str) -> str:
    light, dark = ("".join(f"--c{i}:{theme[mode]};" for i, theme in enumerate(_THEMES.values())) for mode in (0, 1))
    for i, drawn in enumerate(_THEMES):
        svg = svg.replace(drawn, f"var(--c{i})")
    style = (
        f"<style>:root{{{light}font-family:system-ui,sans-serif}}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}text{{font-family:inherit!important}}</style>"
    )
    head, tag, rest = svg.partition("<defs>")
    return "data:image/svg+xml;base64," + base64.b64encode((head + style + tag + rest).encode()).decode()
