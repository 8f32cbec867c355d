"""``vu report``: the page about a run or a bench, for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, a measurement or a bench.")],
    out: Annotated[Path | None, typer.Option(help="The page; default: report.html in the folder.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the page about a run, a measurement or a bench that is there already.

    Example: vu report runs/uce-cat --open
    """
    import webbrowser

    from vu_core.registry import Registry
    from vu_core.report import PAGE

    page = out or folder / PAGE
    Registry.discover().ask("vu_report", folders=(folder,), page=page)
    typer.echo(str(page))
    if show:
        webbrowser.open(page.resolve().as_uri())
