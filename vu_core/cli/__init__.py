"""The command line: ``vu``. One command a file; each imports its work inside its function.

To add a command, write ``vu_core/cli/<name>.py`` with a Typer ``app`` that holds the command, and add the
name to `COMMANDS`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vu_core import __version__
from vu_core.errors import VuError

COMMANDS = ("run", "eval", "bench", "sample", "train", "export", "list", "info", "doctor", "check", "new", "cache")

INTERRUPTED = 130


class _Group(TyperGroup):
    """Runs a command; an error that the user can mend becomes its message and exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VuError as error:
            typer.echo(f"vu: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("vu: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt


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
