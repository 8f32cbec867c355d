"""``vu list``: every component, and what is wrong with plugins that are not usable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vu_core.discovery import PluginRecord

app = typer.Typer()

_COLUMNS = ("KIND", "NAME", "PLUGIN", "VERSION", "STATUS", "SUMMARY")


@app.command("list")
def list_command(
    kind: Annotated[str | None, typer.Argument(help="Only this kind: unlearner, metric, dataset, ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a plugin is broken.")] = False,
    metadata_only: Annotated[bool, typer.Option(help="Import no plugin: show what is installed.")] = False,
) -> None:
    """List what the installed plugins provide, and which plugins are broken."""
    from vu_core.discovery import discover, scan
    from vu_core.registry import parse_kind

    chosen = parse_kind(kind) if kind else None
    records = scan() if metadata_only else discover().records
    if as_json:
        _print_json(records, chosen)
    else:
        _print_table(records, chosen)
    if strict and any(record.status == "broken" for record in records):
        raise typer.Exit(1)


def _print_json(records: tuple[PluginRecord, ...], kind: str | None) -> None:
    import json

    from vu_core.cli._output import spec_as_json

    components = [
        {**spec_as_json(spec), "plugin": record.name, "version": record.version, "status": record.status}
        for record in records
        for spec in record.specs
        if kind in (None, spec.kind)
    ]
    plugins = [
        {name: value for name, value in vars(record).items() if name not in ("specs", "detail")} for record in records
    ]
    typer.echo(json.dumps({"components": components, "plugins": plugins}, indent=2))


def _print_table(records: tuple[PluginRecord, ...], kind: str | None) -> None:
    from vu_core.cli._output import print_table
    from vu_core.registry import FIRST_PARTY, what_to_install

    rows = [*_component_rows(records, kind), *_plugin_rows(records, kind)]
    if rows:
        print_table(_COLUMNS, rows)
    if not records:
        typer.echo("No plugin is installed. Each adds something; pip install what you need:")
        for name, kinds in FIRST_PARTY.items():
            typer.echo(f"  {name:<21}{', '.join(kinds)}")
    elif kind and not any(spec.kind == kind for record in records for spec in record.specs):
        typer.echo(what_to_install(kind))


def _component_rows(records: tuple[PluginRecord, ...], kind: str | None) -> list[tuple[str, ...]]:
    from vu_core.specs import KINDS

    order = list(KINDS)
    rows: list[tuple[str, ...]] = [
        (spec.kind, spec.name, record.name, record.version, record.status, spec.summary)
        for record in records
        for spec in record.specs
        if kind in (None, spec.kind)
    ]
    return sorted(rows, key=lambda row: (order.index(row[0]), *row[1:3]))


def _plugin_rows(records: tuple[PluginRecord, ...], kind: str | None) -> list[tuple[str, ...]]:
    """Return a row for each plugin that has something to say of its own; the broken ones come last."""
    rows: list[tuple[str, ...]] = []
    for record in sorted(records, key=lambda record: record.status == "broken"):
        if record.problem:
            rows.append(("-", "-", record.name, record.version, record.status, f"{record.stage}: {record.problem}"))
        elif not record.specs and kind is None:
            summary = record.entry_point if record.status == "found" else "observes runs"
            rows.append(("-", "-", record.name, record.version, record.status, summary))
    return rows
