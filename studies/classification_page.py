"""The page of the study of classifiers: tables, a picture, and what the numbers say about the hypothesis."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

from study import share

from vu_core.records import Record
from vu_core.statistics import mean_measurement
from vu_core.tables import short_name
from vu_core.types import Measurement, Result

HERE = Path(__file__).parent
SHOWN = {
    "UA": ("unlearning_accuracy", "forget"),
    "RA": ("retain_accuracy", "retain"),
    "TA": ("test_accuracy", "retain"),
    "MIA": ("mia_svc", "forget"),
}
GAP = ("average_gap", "all")
# They read nothing but what is to be forgotten.
RETAIN_FREE = ("gradient-ascent", "boundary-shrink", "jit")
GOAL_GAP, GOAL_TIME = 2.0, 1 / 50
GAP_TICKS = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
TIME_TICKS = (1 / 500, 1 / 200, 1 / 100, 1 / 50, 1 / 20, 1 / 10, 1 / 5, 1 / 2, 1, 2)
UNUSED = ("diffusers", "transformers", "torchmetrics")


@dataclass(frozen=True)
class Task:
    """One table.

    Attributes:
        name: Of its folder.
        model: Of whose dataset something is forgotten.
        setting: ``"class"`` or ``"random"``.
        title: Of its section.
    """

    name: str
    model: str
    setting: str
    title: str

    @property
    def protocol(self) -> str:
        """By which it is measured."""
        return f"classification-{self.setting}@1"


@dataclass(frozen=True)
class Chosen:
    """The setting that a method was best with on what it was tuned on.

    Attributes:
        options: What differs from the published defaults.
        gap: The average gap there, which flatters it.
    """

    options: Mapping[str, Any]
    gap: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a study came to.

    Attributes:
        task: Its table.
        tuned_on: The request that options were chosen on.
        trials: Settings that each method got.
        chosen: By method; those of which no setting gave a number are not among them.
        searched: By method, what was searched.
        runs: The records of the reported runs, each with the name of its request.
        retrained: Those of the models that were retrained for these requests.
        cpu_seconds: Processor time of everything.
    """

    task: Task
    tuned_on: str
    trials: int
    chosen: Mapping[str, Chosen]
    searched: Mapping[str, Sequence[str]]
    runs: Sequence[tuple[str, Record]]
    retrained: Sequence[Record]
    cpu_seconds: float

    @cached_property
    def retraining_seconds(self) -> float:
        """The middle processor time of retraining a model."""
        return statistics.median(map(unlearning_seconds, self.retrained))

    @cached_property
    def rows(self) -> list[Row]:
        """One row a method, the nearest to retraining first."""
        return sorted((self._row(method) for method in self.chosen), key=lambda row: row.gap.value or math.inf)

    def of(self, method: str) -> list[tuple[str, Record]]:
        """Return the reported runs of one method, each with the name of its request."""
        return [(name, record) for name, record in self.runs if record.unlearner["name"] == method]

    def _row(self, method: str) -> Row:
        mine = self.of(method)
        return Row(
            method=method,
            shown={key: self.over_runs(mine, metric) for key, metric in SHOWN.items()},
            gap=self.over_runs(mine, GAP),
            time=statistics.median(unlearning_seconds(record) for _, record in mine) / self.retraining_seconds,
        )

    def over_runs(
        self, runs: Sequence[tuple[str, Record]], metric: tuple[str, str], field: str = "after"
    ) -> Measurement:
        """Return the mean over runs of a number; whole requests are resampled where there are three or more."""
        several = len({name for name, _ in runs}) >= 3
        found = [(name, record.seed, getattr(result_of(record, metric), field)) for name, record in runs]
        found = [one for one in found if one[2] is not None]
        return mean_measurement(
            metric[1],
            [value for *_, value in found],
            sample_ids=[f"{name}/{seed}" for name, seed, _ in found],
            clusters=[name if several else str(seed) for name, seed, _ in found],
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one method came to.

    Attributes:
        method: Its name.
        shown: Means over runs by the heads of the table's columns.
        gap: The average gap.
        time: Processor time as a ratio to retraining.
    """

    method: str
    shown: Mapping[str, Measurement]
    gap: Measurement
    time: float

    @property
    def reached(self) -> bool:
        """Whether the goals of the hypothesis are met: the whole interval of the gap, and the time."""
        if self.gap.value is None:
            return False
        high = self.gap.interval.high if self.gap.interval else self.gap.value
        return high < GOAL_GAP and self.time <= GOAL_TIME


def result_of(record: Record, metric: tuple[str, str]) -> Result:
    """Return the result of a metric on a group."""
    return next(one for one in record.results if (short_name(one.metric), one.group) == metric)


def unlearning_seconds(record: Record) -> float:
    """Return the processor time of unlearning, of all attempts."""
    return sum(one.cpu_seconds or 0.0 for one in (*record.resumed, *record.stages) if one.name == "unlearn")


def result_table(measured: Measured) -> str:
    """Return the table of a task: the original and retraining, then every method."""
    some = measured.of(measured.rows[0].method)
    head = "| | method | UA | RA | TA | MIA | average gap | n | time / retraining |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for title, field, time in (("the original", "before", ""), ("retraining", "reference", "1")):
        shown = [number(measured.over_runs(some, metric, field)) for metric in SHOWN.values()]
        gap = measured.over_runs(some, GAP, field)
        n = sum(result_of(record, GAP).reference_n for record in dict(some).values()) if time else len(some)
        lines.append(f"| | *{title}* | {' | '.join(shown)} | {with_interval(gap)} | {n} | {time} |")
    for rank, row in enumerate(measured.rows, start=1):
        name = f"**{row.method}**" if row.method in RETAIN_FREE else row.method
        shown = [number(one) for one in row.shown.values()]
        cells = [str(rank), name, *shown, with_interval(row.gap), str(row.gap.n), ratio(row.time)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def requests_table(measured: Measured) -> str:
    """Return the average gap of each method on each request: what their mean hides."""
    requests = list(dict.fromkeys(name for name, _ in measured.runs))
    lines = [f"| method | {' | '.join(requests)} |", "|---" * (len(requests) + 1) + "|"]
    for row in measured.rows:
        mine = measured.of(row.method)
        gaps = [measured.over_runs([run for run in mine if run[0] == name], GAP).value for name in requests]
        lines.append(f"| {row.method} | {' | '.join('-' if gap is None else f'{gap:.2f}' for gap in gaps)} |")
    return "\n".join(lines)


def options_table(measured: Measured) -> str:
    """Return what was searched and what was chosen, by method."""
    lines = [
        f"| method | searched | chosen, beside published defaults | gap on {measured.tuned_on} |",
        "|---|---|---|---|",
    ]
    for method, searched in measured.searched.items():
        found = measured.chosen.get(method)
        said = " ".join(f"{name}={value_text(value)}" for name, value in found.options.items()) if found else ""
        cells = (f"`{said}`", f"{found.gap:.2f}") if found else ("no setting gave a number", "-")
        lines.append(f"| {method} | {', '.join(f'`{one}`' for one in searched)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """Return an option's value, with three figures."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def hypothesis(measured: Sequence[Measured]) -> str:
    """Return, for each task, whether a method that reads no retained picture reaches the goals."""
    lines = []
    for one in measured:
        rows = [row for row in one.rows if row.method in RETAIN_FREE]
        reached = [row.method for row in rows if row.reached]
        verdict = f"holds, for {' and '.join(reached)}" if reached else "does not hold"
        said = "; ".join(f"{row.method} {with_interval(row.gap)} points at {ratio(row.time)}" for row in rows)
        lines.append(f"- **{one.task.title}**: it {verdict}. {said}.")
    return "\n".join(lines)


def number(found: Measurement) -> str:
    """Return a percentage without its interval."""
    return share(found.value, None)


def with_interval(found: Measurement) -> str:
    """Return points, with the interval over runs cut at 0: a gap is never below."""
    if found.value is None:
        return "-"
    ends = f" [{max(found.interval.low, 0.0):.2f}, {found.interval.high:.2f}]" if found.interval else ""
    return f"{found.value:.2f}{ends}"


def ratio(time: float) -> str:
    """Return a ratio of times: ``1/50``, or ``1.4`` where that tells little."""
    return f"{time:.2g}" if time > 0.6 else f"1/{1 / time:.0f}"


def draw_tasks(measured: Sequence[Measured], path: Path) -> None:
    """Draw the average gap against the time of every method, a panel for each task."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "vu", "font.size": 8, "axes.titlesize": 9})
    from matplotlib import pyplot

    across = min(2, len(measured))
    down = math.ceil(len(measured) / across)
    figure, panels = pyplot.subplots(down, across, figsize=(5.2 * across, 4.2 * down), squeeze=False)
    for panel in panels.flat[len(measured) :]:
        panel.remove()
    for panel, one in zip(panels.flat, measured, strict=False):
        draw_panel(panel, one)
    figure.tight_layout()
    for panel, one in zip(panels.flat, measured, strict=False):
        name_points(panel, one.rows)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def draw_panel(panel: Any, measured: Measured) -> None:
    """Draw one task: each method with the interval of its gap, retraining's own gap, and the goals."""
    noise = measured.over_runs(measured.of(measured.rows[0].method), GAP, "reference").value or 0.0
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=0.1)
    panel.axvspan(1e-6, GOAL_TIME, ymax=1.0, color="tab:green", alpha=0.08, linewidth=0)
    panel.axhline(GOAL_GAP, color="tab:green", linewidth=0.8, linestyle="--")
    panel.axhline(noise, color="0.4", linewidth=0.8, linestyle=":")
    for row in measured.rows:
        gap = row.gap.value or 0.0
        ends = row.gap.interval
        error = [[gap - max(ends.low, 0.0)], [ends.high - gap]] if ends else None
        marker, colour = ("s", "tab:red") if row.method in RETAIN_FREE else ("o", "tab:blue")
        panel.errorbar(row.time, gap, error, marker=marker, color=colour, markersize=5, linewidth=0.8)
    times = [row.time for row in measured.rows]
    panel.set_xlim(min([*times, GOAL_TIME]) / 2, max([*times, 1.0]) * 3)
    smallest = min([noise, *(row.gap.value or 0.0 for row in measured.rows)])
    panel.set_ylim(smallest / 2 if smallest > 0.2 else 0.0, None)
    low, high = panel.get_ylim()
    panel.set_yticks(*zip(*((tick, f"{tick:g}") for tick in GAP_TICKS if low <= tick <= high), strict=True))
    left, right = panel.get_xlim()
    panel.set_xticks(*zip(*((tick, ratio(tick)) for tick in TIME_TICKS if left <= tick <= right), strict=True))
    panel.minorticks_off()
    panel.set_title(measured.task.title)
    panel.set_xlabel("processor time / retraining")
    panel.set_ylabel("average gap, points")
    panel.grid(alpha=0.3)


def name_points(panel: Any, rows: Sequence[Row]) -> None:
    """Write each method's name near its point, where no other name, point or bar is in the way if that is possible."""
    from adjustText import adjust_text

    points = [(row.time, row.gap.value or 0.0) for row in rows]
    names = [panel.text(*point, row.method, fontsize=7) for point, row in zip(points, rows, strict=True)]
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.5"}
    adjust_text(names, *zip(*points, strict=True), ax=panel, arrowprops=line, expand=(1.2, 1.4), iter_lim=1000)


def write_page(measured: Sequence[Measured], missing: Sequence[Task], page: Path) -> None:
    """Write the page and its picture: the words of classification.md, filled in.

    Args:
        measured: The tables.
        missing: Tables that were not made; the page says so.
        page: Its file.
    """
    assets = page.parent.parent / "assets" / "results" / "classification"
    for folder in (page.parent, assets):
        folder.mkdir(parents=True, exist_ok=True)
    draw_tasks(measured, assets / "gap.svg")
    text = Template((HERE / "classification.md").read_text(encoding="utf-8")).substitute(
        hypothesis=hypothesis(measured),
        sections="\n\n".join(section(one) for one in measured),
        missing="".join(f"\n- {one.title}: not made yet, `nox -s study -- classification` does." for one in missing),
        budget=budget(measured),
        facts=facts(measured),
    )
    page.write_text(text, encoding="utf-8")


def section(measured: Measured) -> str:
    """Return the section of one task."""
    requests = ", ".join(dict.fromkeys(name for name, _ in measured.runs))
    seeds = ", ".join(map(str, sorted({record.seed for _, record in measured.runs})))
    references = [result_of(record, GAP).reference_n for record in dict(measured.runs).values()]
    said = (
        f"Forgotten, one at a time: {requests}; seeds {seeds}. Retrained models for each: {among(references)}. "
        f"Tuned on {measured.tuned_on}, seed 0, {measured.trials} settings a method. Retraining a model took "
        f"{measured.retraining_seconds:.1f} s of processor time (the middle of {len(measured.retrained)})."
    )
    parts = [f"## {measured.task.title}", said, result_table(measured)]
    if len(dict(measured.runs)) > 1:
        parts += ["The average gap, by request:", requests_table(measured)]
    return "\n\n".join([*parts, "The options:", options_table(measured)])


def among(numbers: Sequence[int]) -> str:
    """Return a number, or between which ones."""
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"


def budget(measured: Sequence[Measured]) -> str:
    """Return the processor time of everything."""
    each = "; ".join(f"{one.task.title.lower()} {one.cpu_seconds / 60:.0f}" for one in measured)
    return f"{each}; together {sum(one.cpu_seconds for one in measured) / 3600:.1f} hours"


def facts(measured: Sequence[Measured]) -> str:
    """Return with what the numbers were made, in one sentence."""
    found = [record.environment for one in measured for _, record in one.runs]
    names = sorted({name for environment in found for name in environment["versions"] if name not in UNUSED})
    versions = [f"{name} {' or '.join(sorted({e['versions'].get(name, '') for e in found} - {''}))}" for name in names]
    threads = " or ".join(sorted({str(environment["threads"]) for environment in found}))
    return f"{', '.join(versions)}; {threads} thread of a CPU"
