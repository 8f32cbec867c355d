"""``vu doctor``: what is wrong, and the commands that mend it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vu_core.discovery import PluginRecord

app = typer.Typer()


@app.command("doctor")
def doctor_command(
    plugin: Annotated[str | None, typer.Argument(help="Only this plugin: vu-uce.")] = None,
    imports: Annotated[bool, typer.Option("--imports", help="Also import everything the plugins name; slow.")] = False,
) -> None:
    """Check the environment and the plugins; exit with 1 when one of those shown has a problem."""
    from vu_core.discovery import discover

    plugins = discover()
    records = plugins.records
    if plugin is None:
        _print_environment()
        _print_unknown_switches(records)
    else:
        records = (plugins.get(plugin),)
    healthy = [_print_plugin(record, imports=imports, full=plugin is not None) for record in records]
    if not all(healthy):
        raise typer.Exit(1)


def _print_environment() -> None:
    import platform
    import shutil
    import sys

    from vu_core.discovery import installed_version

    torch = installed_version("torch")
    _print_fact("vu-core", installed_version("vu-core") or "")
    _print_fact("python", f"{platform.python_version()} ({sys.executable})")
    _print_fact("system", f"{platform.platform()}, {os.cpu_count()} processors")
    _print_fact("torch", torch or "not installed")
    if shutil.which("nvidia-smi"):
        cpu_build = torch is not None and torch.endswith("+cpu")
        _print_fact("nvidia", "driver found" + (", but torch is a CPU build" if cpu_build else ""))
    for name in ("diffusers", "transformers", "safetensors"):
        _print_fact(name, installed_version(name) or "not installed")
    typer.echo()


def _print_unknown_switches(records: tuple[PluginRecord, ...]) -> None:
    from vu_core.discovery import OFF_VARIABLE, switched_off

    unknown = sorted(set(switched_off()) - {record.name for record in records})
    if unknown:
        typer.echo(f"{OFF_VARIABLE} names what is not installed: {', '.join(unknown)}\n")


def _print_plugin(record: PluginRecord, *, imports: bool, full: bool) -> bool:
    """Print what is known about a plugin; return whether it has no problem."""
    typer.echo(f"{record.name} {record.version}: {record.status}")
    if record.problem:
        _print_fact(record.stage, record.problem)
    _print_fact("location", record.location)
    _print_fact("entry point", record.entry_point)
    conflicts = _conflicts(record)
    for conflict in conflicts:
        _print_fact("requirement", conflict)
    tracebacks = [record.detail] if record.detail else []
    if imports:
        tracebacks += _import_failures(record)
    for text in tracebacks:
        typer.echo(_indented(text))
    healthy = record.status != "broken" and not conflicts and not tracebacks
    if full or not healthy:
        _print_commands(record)
    typer.echo()
    return healthy


def _conflicts(record: PluginRecord) -> list[str]:
    from vu_core.discovery import unmet_requirements

    if not record.version:
        return []
    return [str(unmet) for unmet in unmet_requirements(record.name)]


def _import_failures(record: PluginRecord) -> list[str]:
    from traceback import format_exception

    from vu_core.discovery import resolve
    from vu_core.errors import PluginError

    failures = []
    for spec in record.specs:
        for target in filter(None, (spec.target, getattr(spec, "config", ""))):
            try:
                resolve(target, record.name)
            except PluginError as error:
                failures.append("".join(format_exception(error.__cause__)) if error.__cause__ else str(error))
    return failures


def _print_commands(record: PluginRecord) -> None:
    import shlex
    import sys

    from vu_core.discovery import OFF_VARIABLE, switched_off

    if not record.version:
        _print_fact("mend", f"delete its .dist-info folder in {record.location}, then install it again")
        return
    names = ",".join(dict.fromkeys([*switched_off(), record.name]))
    setter = "set" if os.name == "nt" else "export"
    python = shlex.quote(sys.executable)
    _print_fact("update", f"{python} -m pip install --upgrade {record.name}")
    _print_fact("disable", f"{setter} {OFF_VARIABLE}={names}")
    _print_fact("remove", f"{python} -m pip uninstall {record.name}")


def _print_fact(name: str, text: str) -> None:
    typer.echo(f"  {name:<13}{text}")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())
