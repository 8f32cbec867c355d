"""The command line: ``vu``. One command a file; each imports its work inside its function.

To add a command to the core, write ``vu_core/cli/<name>.py`` with a Typer ``app`` that holds the command, and add the
name to `COMMANDS`. A plugin adds one through the hook ``vu_commands``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vu_core import __version__
from vu_core.errors import UnknownNameError, VuError

COMMANDS = (
    "run",
    "eval",
    "bench",
    "compare",
    "sample",
    "train",
    "export",
    "list",
    "info",
    "doctor",
    "check",
    "new",
    "cache",
)

FAILED = 1
INTERRUPTED = 130


# Commands of the project's own plugins, to say what to install.
ELSEWHERE = {"push": "vu-hub", "pull": "vu-hub", "tune": "vu-tune", "report": "vu-report", "retrain": "vu-classify"}


class _Group(TyperGroup):
    """Runs a command, the core's or a plugin's; what the user can mend becomes a message and an exit code."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or _of_a_plugin(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        from vu_core.registry import Registry

        super().format_commands(ctx, formatter)
        entries = [entry for entry in Registry.discover().entries("command") if entry.spec.name not in COMMANDS]
        if entries:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(entry.spec.name, f"{entry.spec.summary} ({entry.plugin})") for entry in entries])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VuError as error:
            typer.echo(f"vu: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # Whoever reads has read enough; click ends quietly.
                raise
            typer.echo(f"vu: {_reason(error)}", err=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("vu: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt


def _reason(error: OSError) -> str:
    """Return what the system refused, as for a file that cannot be written or a network that is not there."""
    reason = error.strerror or str(error)
    return f"'{error.filename}': {reason}" if error.filename is not None else reason


def function_of_a_plugin(name: str) -> Callable[..., None]:
    """Return the function of the command ``name`` of an installed plugin; the name is in `ELSEWHERE` or installed.

    Raises:
        UnknownNameError: It belongs to a plugin that is not installed or not usable, or several provide it.
        PluginError: It cannot be imported.
    """
    from vu_core.registry import Registry, may_provide_it

    registry = Registry.discover()
    if not registry.find("command", name):
        hint = f"pip install {ELSEWHERE[name]} {may_provide_it(registry.plugins.records)}"
        raise UnknownNameError(
            f"'{name}' is a command of {ELSEWHERE[name]}, which is not usable here", hint=hint.rstrip()
        )
    function: Callable[..., None] = registry.get("command", name).load()
    return function


def _of_a_plugin(name: str) -> Any:
    """Return the command ``name`` of an installed plugin; None when there is no such command anywhere."""
    from vu_core.registry import Registry

    if name not in ELSEWHERE and not Registry.discover().find("command", name):
        return None
    single = typer.Typer(add_completion=False)
    single.command(name)(function_of_a_plugin(name))
    return typer.main.get_command(single)


app = typer.Typer(
    name="vu",
    cls=_Group,
    help="Make a vision model forget a concept, and prove what it forgot and what it kept.",
    no_args_is_help=True,
    # Plain help starts twice as fast as rich help, and reads the same in logs.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vu {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


for _name in COMMANDS:
    app.add_typer(import_module(f"vu_core.cli.{_name}").app)


def main() -> None:
    """Run ``vu`` with the arguments of this process and exit.

    Exit codes: 0 success, 1 the work failed, 2 bad input, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a '?', not a crash after the work is done.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app(prog_name="vu")
