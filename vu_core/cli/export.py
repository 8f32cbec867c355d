"""``vu export``: edits in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("export")
def export_command(
    edit: Annotated[list[str], typer.Argument(help="Runs' folders or edits' files; several add up.")],
    to: Annotated[
        str, typer.Option(help="diffusers-lora, diffusers-pipeline (a whole model), kohya or safetensors-dense.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The new file or model folder; default: named after edit and format.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name, folder or hub id; default: the one the edits were made for.")] = "",
    edit_scale: Annotated[float, typer.Option(help="Strength of the edits: 0 is the base model.")] = 1.0,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from a hub.")] = False,
    revision: Annotated[str, typer.Option(help="Revision of a hub model.")] = "",
) -> None:
    """Write edits in a form that other tools read; the model they were made for is left alone.

    Example: vu export runs/uce-cat --to diffusers-pipeline --out emoji-without-cat
    """
    from vu_core.api import export, load_model
    from vu_core.exporting import find_format
    from vu_core.subjects import find_edits

    chosen = find_format(to)
    subject = find_edits(edit, model)
    edits = [one.scaled(edit_scale) for one in subject.edits]
    base = None
    if chosen.needs_model:
        base = load_model(subject.model, device="cpu", download=download, revision=revision)
    where = export(edits, out or Path(f"{_stem(edit)}-{to}{chosen.suffix}"), to=to, model=base)
    changed = {parameter for one in edits for parameter in one.parameters()}
    typer.echo(f"{where}: {chosen.summary}; {len(changed)} parameters changed")


def _stem(given: list[str]) -> str:
    return "-".join(Path(text).resolve().name.removesuffix(".safetensors") for text in given)
