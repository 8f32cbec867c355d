"""What a finished run shows: the result table, the damage, the files and how to load the edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.edits import LORA_FILE
from vu_core.report import CONTACT_SHEET, loading_lines
from vu_core.tables import damage_line, names_line, rich_table

if TYPE_CHECKING:
    from vu_core.planning import EvaluationPlan, Plan
    from vu_core.records import Record


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
    unlearner, request = plan.unlearning.unlearner, plan.unlearning.request
    return {
        "unlearner": f"{unlearner.spec.name} ({unlearner.plugin} {unlearner.version})",
        "preset": plan.spec.preset,
        "options": ", ".join(f"{key}={value}" for key, value in plan.spec.options.items()),
        "model": f"{plan.model.name} ({plan.model.source})",
        "forget": ", ".join(concept.text for concept in request.forget),
        "replace with": ", ".join(concept.text for concept in request.replace_with) or "the unlearner's choice",
        "retain": f"{len(plan.unlearning.data.retain)} concepts",
        **_measured_rows(plan.evaluation),
        "device": f"{plan.spec.device}, {plan.spec.dtype}",
        "folder": str(folder),
    }


def _measured_rows(plan: EvaluationPlan | None) -> dict[str, str]:
    if plan is None:
        return {"neighbours": "–", "protocol": "none", "metrics": "–", "scorers": "–"}
    return {
        "neighbours": ", ".join(concept.text for concept in plan.neighbours) or "–",
        "protocol": f"{plan.protocol.name}: {len(plan.samples)} pictures before, as many after",
        "metrics": ", ".join(use.spec.name for use in plan.metrics),
        "scorers": ", ".join(f"{role}={entry.spec.name}" for role, entry in plan.scorers.items()),
    }


def show_result(plan: Plan, record: Record) -> None:
    """Print what a run found and where it lies."""
    from rich.console import Console

    console = Console(highlight=False)
    if record.results:
        console.print(rich_table(record.results))
        names = names_line(record.results)
        console.print("; ".join(filter(None, ("Same prompts and noise before and after", names))), markup=False)
        console.print(damage_line(record.results), markup=False)
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
