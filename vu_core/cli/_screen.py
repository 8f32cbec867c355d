"""What commands show of plans and of what was measured: the result table, the damage, the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vu_core.costs import with_costs
from vu_core.report import CONTACT_SHEET, PAGE, loading_lines
from vu_core.tables import damage_line, names_line, noise_line, rich_table

if TYPE_CHECKING:
    from rich.console import Console

    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.planning import Plan
    from vu_core.records import Record


def show_rows(rows: Mapping[str, str], *, json_output: bool) -> None:
    """Print labelled texts, such as what a command would do: aligned, or as JSON."""
    from rich.console import Console
    from rich.table import Table

    if json_output:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in rows.items():
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
        **({"after": plan.spec.after} if plan.spec.after else {}),
        "replace with": ", ".join(concept.text for concept in request.replace_with) or "the unlearner's choice",
        "retain": f"{len(plan.unlearning.data.retain)} concepts",
        **measured_rows(plan.evaluation),
        "device": f"{plan.spec.device}, {plan.spec.dtype}",
        "folder": str(folder),
    }


def measured_rows(plan: EvaluationPlan | None, *, compared: bool = True) -> dict[str, str]:
    """Return how a model would be measured, as labelled texts."""
    if plan is None:
        return {"neighbours": "–", "protocol": "none", "metrics": "–", "scorers": "–"}
    return {
        "neighbours": ", ".join(concept.text for concept in plan.neighbours) or "–",
        "protocol": f"{plan.protocol.name}: {len(plan.samples)} pictures{' before, as many after' if compared else ''}",
        "metrics": ", ".join(use.spec.name for use in plan.metrics),
        **(
            {"held against": f"{len(plan.retrained)} retrained models"}
            if plan.protocol.pictures
            else {"scorers": ", ".join(f"{role}={entry.spec.name}" for role, entry in plan.scorers.items())}
        ),
    }


def show_result(plan: Plan, record: Record) -> None:
    """Print what a run found and where it lies."""
    show_measured(record, kept=True)
    if loading := loading_lines(record.folder, plan.model.source):
        console = _console()
        console.print("\nUse the edit with plain diffusers and peft:", markup=False)
        for line in loading:
            console.print(f"  {line}", markup=False, soft_wrap=True)


def show_measured(record: Record, *, kept: bool) -> None:
    """Print what was measured, and where it lies if that folder is kept."""
    console = _console()
    if record.results:
        compared = bool(record.applied)
        forgotten = [name for edit in record.applied for name in edit["forget"]]
        console.print(rich_table(with_costs(record), forgotten if len(forgotten) > 1 else ()))
        drawn = any(stage.name.startswith("sample") for stage in record.stages)
        same = f"Same {'prompts and noise' if drawn else 'pictures'} before and after" if compared else ""
        if earlier := record.request.get("earlier"):
            same = f"{same}; {', '.join(earlier)} forgotten earlier, in both"
        console.print(
            "; ".join(filter(None, (same, names_line(record.results), noise_line(record.results)))), markup=False
        )
        if compared and (damage := damage_line(record.results, record.request["neighbours"])):
            console.print(damage, markup=False)
    _say_list(console, "warning", record.warnings)
    _say_list(console, "error", record.errors)
    console.print(_time_line(record), markup=False, style="dim")
    if not kept:
        return
    folder = record.folder
    label = "run folder" if record.unlearner else "folder"
    console.print(f"\n{label:<15}{folder}", markup=False, soft_wrap=True)
    if (folder / CONTACT_SHEET).is_file():
        console.print(f"contact sheet  {folder / CONTACT_SHEET}", markup=False, soft_wrap=True)
    if (folder / PAGE).is_file():
        console.print(f"report         {folder / PAGE}", markup=False, soft_wrap=True)


def show_made(rows: Mapping[str, str], values: object, warnings: Sequence[str] = (), *, json_output: bool) -> None:
    """Print what a command made: ``values`` as JSON, or ``rows``, and then the warnings."""
    if json_output:
        typer.echo(json.dumps(values, indent=2))
        return
    show_rows(rows, json_output=False)
    _say_list(_console(), "warning", warnings)


@contextmanager
def interruptible(continued: str) -> Iterator[None]:
    """Let Ctrl-C, or a polite request to end (SIGTERM), end the command, which says how it is ``continued``."""
    import signal

    from vu_core import progress
    from vu_core.cli import INTERRUPTED

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        progress.say(f"interrupted; {continued}")
        raise typer.Exit(INTERRUPTED) from None


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _time_line(record: Record) -> str:
    total = sum(stage.seconds for stage in record.stages)
    each = ", ".join(f"{stage.name} {stage.seconds:.1f}" for stage in record.stages)
    peak = max((stage.peak_memory_bytes or 0 for stage in record.stages), default=0)
    device = max((stage.peak_device_bytes or 0 for stage in record.stages), default=0)
    memory = f"; peak memory {peak / 1e9:.1f} GB" + (f", on the device {device / 1e9:.1f} GB" if device else "")
    return f"{total:.1f} s: {each}{memory}"


def _say_list(console: Console, title: str, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"{title}: {line}", markup=False)
