"""``vu check``: whether a plugin keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vu_core.discovery import PluginRecord
    from vu_core.testing.cases import Case

app = typer.Typer()

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@app.command("check")
def check_command(
    plugin: Annotated[str, typer.Argument(help="An installed plugin: vu-uce.")],
    select: Annotated[str, typer.Option("-k", help="Only checks whose id contains this: light_import.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Check that a plugin keeps the contract; exit with 1 when a check fails."""
    from vu_core import progress
    from vu_core.errors import ConfigError, did_you_mean
    from vu_core.testing.cases import cases_of, load_plugin

    cases = list(cases_of(load_plugin(plugin)))
    chosen = [case for case in cases if select.lower() in case.id]
    if not chosen:
        names = sorted({case.check.name for case in cases})
        hint = f"{did_you_mean(select, names)} Checks: {', '.join(names)}.".lstrip()
        raise ConfigError(f"no check of {plugin} has '{select}' in its id", hint=hint)
    rows = [_row(case) for case in progress.track(chosen, len(chosen), f"checking {plugin}")]
    failed, skipped = (sum(row["outcome"] == outcome for row in rows) for outcome in (FAILED, SKIPPED))
    if as_json:
        _print_json(chosen[0].plugin.record, rows)
    else:
        _print_table(rows)
        left_out = f", {skipped} skipped" if skipped else ""
        typer.echo(f"{len(rows) - failed - skipped} passed, {failed} failed{left_out}")
    if failed:
        raise typer.Exit(1)


def _row(case: Case) -> dict[str, str]:
    """Run one check and return what came of it; what the plugin prints goes to standard error."""
    import sys
    from contextlib import redirect_stdout

    from vu_core.testing.cases import CheckError, CheckSkipped

    component = case.component.label if case.component else ""
    outcome, message = PASSED, ""
    try:
        with redirect_stdout(sys.stderr):
            case()
    except CheckError as error:
        outcome, message = FAILED, str(error)
    except CheckSkipped as error:
        outcome, message = SKIPPED, str(error)
    return {"check": case.check.name, "component": component, "outcome": outcome, "message": message}


def _print_json(record: PluginRecord, rows: Sequence[Mapping[str, str]]) -> None:
    import json

    typer.echo(json.dumps({"plugin": record.name, "version": record.version, "checks": list(rows)}, indent=2))


def _print_table(rows: Sequence[Mapping[str, str]]) -> None:
    from vu_core.cli._output import print_table

    wanting: dict[str, list[str]] = {}
    for row in rows:
        if row["outcome"] == SKIPPED:
            wanting.setdefault(row["message"], []).append(row["check"])
    cells = []
    for row in rows:
        # One row for all checks of a component that want the same files.
        checks = wanting.pop(row["message"], []) if row["outcome"] == SKIPPED else [row["check"]]
        if checks:
            name = checks[0] if len(checks) == 1 else f"{len(checks)} checks"
            cells.append((name, row["component"] or "-", row["outcome"], row["message"]))
    print_table(("CHECK", "COMPONENT", "OUTCOME", "MESSAGE"), cells)
