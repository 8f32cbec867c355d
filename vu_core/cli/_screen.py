"""What a finished run shows: the result table, the damage, the files and how to load the edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.edits import LORA_FILE
from vu_core.report import CONTACT_SHEET, interval_text, loading_lines, most_damaged, number, pooled

if TYPE_CHECKING:
    from vu_core.planning import Plan
    from vu_core.records import Record
    from vu_core.types import Result

_ARROWS = {"up": "↑", "down": "↓", "none": "–"}


def show_plan(plan: Plan, folder: Path) -> None:
    """Print what a run would do."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in plan_rows(plan, folder).items():
        table.add_row(key, value)
    Console(highlight=False).print(table)


def plan_rows(plan: Plan, folder: Path) -> dict[str, str]:
    """Return what a run would do, as labelled texts."""
    protocol = plan.protocol
    return {
        "unlearner": f"{plan.unlearner.spec.name} ({plan.unlearner.plugin} {plan.unlearner.version})",
        "preset": plan.spec.preset,
        "options": ", ".join(f"{key}={value}" for key, value in plan.spec.options.items()),
        "model": f"{plan.model.name} ({plan.model.source})",
        "forget": ", ".join(concept.text for concept in plan.request.forget),
        "replace with": ", ".join(concept.text for concept in plan.request.replace_with) or "the unlearner's choice",
        "retain": f"{len(plan.data.retain)} concepts",
        "neighbours": ", ".join(concept.text for concept in plan.neighbours) or "–",
        "protocol": f"{protocol.name}: {len(plan.samples)} pictures before, as many after" if protocol else "none",
        "metrics": ", ".join(entry.spec.name for entry in plan.metrics) or "–",
        "device": f"{plan.spec.device}, {plan.spec.dtype}",
        "folder": str(folder),
    }


def show_result(plan: Plan, record: Record) -> None:
    """Print what a run found and where it lies."""
    from rich.console import Console

    console = Console(highlight=False)
    if record.results:
        console.print(_result_table(record.results))
        console.print(f"Same prompts and noise before and after{_names_line(record.results)}", markup=False)
        console.print(_damage_line(record.results), markup=False)
    _say_list(console, "warning", record.warnings)
    _say_list(console, "error", record.errors)
    console.print(_time_line(record), markup=False, style="dim")
    folder = record.folder
    console.print(f"\nrun folder     {folder}", markup=False, soft_wrap=True)
    if (folder / CONTACT_SHEET).is_file():
        console.print(f"contact sheet  {folder / CONTACT_SHEET}", markup=False, soft_wrap=True)
    if (folder / LORA_FILE).is_file():
        console.print("\nUse the edit with plain diffusers:", markup=False)
        for line in loading_lines(folder, plan):
            console.print(f"  {line}", markup=False, soft_wrap=True)


def _result_table(results: Sequence[Result]) -> Any:
    """Return the pooled results as a table that fits 80 columns; a metric's name stands in its first row."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in ("metric", "group"):
        table.add_column(name, no_wrap=True)
    for name in ("before", "after", "change", "95 % interval", "best", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    above = ""
    for result in pooled(results):
        name = f"{_short(result)} {result.unit}" if result.metric != above else ""
        above = result.metric
        change = "–" if result.change is None else f"{result.change:+.1f}"
        ideal = "" if result.ideal is None else f" {result.ideal:g}"
        cells = (
            name,
            result.group,
            number(result.before),
            number(result.after),
            change,
            interval_text(result),
            f"{_ARROWS[result.direction]}{ideal}",
            str(result.n),
        )
        table.add_row(*map(Text, cells))
    return table


def _short(result: Result) -> str:
    return result.metric.partition("[")[0]


def _names_line(results: Sequence[Result]) -> str:
    """Return what the table's short names stand for, where judge and scale belong to the name."""
    long = dict.fromkeys(result.metric for result in results if "[" in result.metric)
    return "".join(f"; {name.partition('[')[0]} is {name}" for name in long)


def _damage_line(results: Sequence[Result]) -> str:
    damaged = most_damaged(results)
    if not damaged:
        return "Most damaged: no retained concept lost accuracy"
    each = (f"{r.group} {number(r.before)} to {number(r.after)} {r.unit} (n={r.n})" for r in damaged)
    return f"Most damaged ({damaged[0].metric}): {', '.join(each)}"


def _time_line(record: Record) -> str:
    total = sum(stage.seconds for stage in record.stages)
    each = ", ".join(f"{stage.name} {stage.seconds:.1f}" for stage in record.stages)
    peak = max((stage.peak_memory_bytes or 0 for stage in record.stages), default=0)
    device = max((stage.peak_device_bytes or 0 for stage in record.stages), default=0)
    memory = f"; peak memory {peak / 1e9:.1f} GB" + (f", on the device {device / 1e9:.1f} GB" if device else "")
    return f"{total:.1f} s: {each}{memory}"


def _say_list(console: Any, title: str, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"{title}: {line}", markup=False)
