"""``vu apply``: write a model folder with an edit in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("apply")
def apply_command(
    edit: Annotated[list[Path], typer.Argument(help="A run's folder or an edit's file; several add up.")],
    out: Annotated[Path, typer.Option(help="The new model folder; must not exist.")],
    model: Annotated[str, typer.Option(help="Name, folder or hub id; default: the embedded model.")] = "",
    edit_scale: Annotated[float, typer.Option(help="Strength of the edits: 0 is the base model.")] = 1.0,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from a hub.")] = False,
    revision: Annotated[str, typer.Option(help="Revision of a hub model.")] = "",
) -> None:
    """Write a copy of a model's folder with edits in its weights; the original is left alone.

    Example: vu apply runs/uce-cat --out emoji-without-cat
    """
    from vu_core.api import load_model
    from vu_core.chains import edits_of
    from vu_core.merging import write_merged
    from vu_core.models import plan_of

    edits = [one.scaled(edit_scale) for path in edit for one in edits_of(path)]
    loaded = load_model(model, device="cpu", download=download, revision=revision)
    plan_of(loaded).check_capability("TensorSource")
    changed = write_merged(loaded, edits, out)
    typer.echo(f"{changed} tensors changed; the model is in {out}")
