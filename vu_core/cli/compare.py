"""``vu compare``: several runs, or benches, side by side, and which no other one outdoes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vu_core.sidebyside import SideBySide

app = typer.Typer()


@app.command("compare")
def compare_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two or more runs, or of two or more benches.")],
    out: Annotated[Path | None, typer.Option(help="Also write a page for a browser, as vu report does.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Set runs, or benches' unlearners, side by side: every number with its interval, and which no other one outdoes.

    Example: vu compare runs/uce-cat runs/fade-cat --out compare.html
    """
    import sys
    from contextlib import nullcontext, redirect_stdout

    from vu_core.cli import function_of_a_plugin
    from vu_core.sidebyside import comparison_json, side_by_side

    found = side_by_side(runs)
    if json_output:
        typer.echo(comparison_json(found), nl=False)
    else:
        for kind, each in found.items():
            _show(each, kind)
    if out is not None:
        with redirect_stdout(sys.stderr) if json_output else nullcontext():
            function_of_a_plugin("report")(runs, out)


def _show(found: SideBySide, kind: str) -> None:
    from vu_core.cli._groups import group_table, print_whole
    from vu_core.tables import names_line

    for group in found.groups():
        rows = found.rows(group)
        base = {metric: next(r for r in results if r is not None) for metric, results in rows.items()}
        counts = [str(part.concepts) for part in found.parts] or [""] * len(found.labels)
        each = [(label, [results[i] for results in rows.values()], counts[i]) for i, label in enumerate(found.labels)]
        print_whole(group_table(f"{f'forgotten: {kind}; ' if kind else ''}measured on: {group}", base, each))
    what = "unlearner" if kind else "run"
    lines = [f"After, with 95 % intervals; the base model's row is of the first {what} that has the number"]
    if kind:
        lines[0] = f"Means over n concepts. {lines[0]}"
    lines += filter(
        None, [names_line([r for record in found.records for r in record.results]), front_line(found, what)]
    )
    lines += [f"warning: {sentence}" for sentence in found.differences()]
    for line in lines:
        typer.echo(line)


def front_line(found: SideBySide, what: str) -> str:
    """Return which runs or unlearners no other one outdoes, in a sentence; nothing where that cannot be said."""
    axes = found.axes()
    if axes is None:
        return ""
    by = " and ".join(f"{axis.metric} on {axis.group}" for axis in axes)
    return f"Outdone by no other {what} in {by}: {', '.join(found.front())} (values alone; intervals may overlap)"
