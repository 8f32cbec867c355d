"""``vu sample``: pictures from a model, with or without edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("sample")
def sample_command(
    prompts: Annotated[list[str], typer.Argument(help="What to draw; each in quotes.")],
    model: Annotated[
        str, typer.Option(help="Name, folder or hub id; default: the one the edits were made for, or the embedded one.")
    ] = "",
    edit: Annotated[list[str] | None, typer.Option(help="A run's folder or an edit's file; repeatable.")] = None,
    edit_scale: Annotated[float, typer.Option(help="Strength of the edits: 0 is the base model.")] = 1.0,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Pictures a prompt, seeds from --seed on.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first picture of each prompt.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps; default: the model's.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Guidance; default: the model's.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="A diffusers scheduler class; default: the stored one.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to draw.")] = None,
    height: Annotated[int | None, typer.Option(min=8, help="Pixels; default: the model's.")] = None,
    width: Annotated[int | None, typer.Option(min=8, help="Pixels; default: the model's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from a hub.")] = False,
    revision: Annotated[str, typer.Option(help="Revision of a hub model.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("samples"),
) -> None:
    """Draw pictures from a model, with or without edits; one row a prompt in grid.png.

    Example: vu sample "a cat" "a dog" --edit runs/uce-cat
    """
    given = {
        "steps": steps,
        "guidance_scale": guidance_scale,
        "scheduler": scheduler,
        "negative_prompt": negative_prompt,
        "height": height,
        "width": width,
    }
    from vu_core import progress
    from vu_core.api import load_model
    from vu_core.context import RunContext
    from vu_core.drawing import GRID, draw_prompts, settings_of
    from vu_core.files import make_folder
    from vu_core.subjects import find_edits

    subject = find_edits(edit or (), model)
    edits = [one.scaled(edit_scale) for one in subject.edits]
    make_folder(out)
    loaded = load_model(subject.model, device=device, dtype=dtype, download=download, revision=revision)
    settings = settings_of(loaded, {key: value for key, value in given.items() if value is not None})
    context = RunContext(out_dir=out, track=progress.track)
    draw_prompts(loaded, edits, prompts, range(seed, seed + count), settings, context)
    drawn = len(prompts) * count
    typer.echo(f"{drawn} {'picture' if drawn == 1 else 'pictures'} and {GRID} in {out}")
