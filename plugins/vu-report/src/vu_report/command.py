"""``vu report``: the page about what is there already."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from vu_core.errors import ConfigError
from vu_core.report import PAGE
from vu_report.writing import write


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folder of a run, measurement, bench or search; or several runs or benches.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page; default: report.html in the folder. Several need it.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the page about a run, a measurement, a bench or a search, or about several runs or benches side by side.

    Example: vu report runs/uce-cat --open
    """
    if out is None and len(folders) > 1:
        raise ConfigError("a page about several folders has none of its own", hint="Say where: --out compare.html.")
    page = out or folders[0] / PAGE
    write(folders, page)
    typer.echo(str(page))
    if show:
        webbrowser.open(page.resolve().as_uri())
