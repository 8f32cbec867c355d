"""``vu retrain``: many retrained models at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vu_core.context import RunContext
    from vu_core.models import ModelPlan
    from vu_core.planning import UnlearnPlan


def retrain_command(
    forget: Annotated[list[str], typer.Option(help="Concept to forget; repeat it or use commas.")],
    out: Annotated[Path, typer.Option(help="Folder of the retrained models, for --retrained.")],
    count: Annotated[int, typer.Option(min=1, help="How many, of consecutive seeds.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    at_once: Annotated[int, typer.Option(min=1, help="How many are trained together: memory against time.")] = 32,
    model: Annotated[str, typer.Option(help="Name or folder; default: the embedded classifier.")] = "",
    dataset: Annotated[str, typer.Option(help="Whose pictures are learned; default: the model's own.")] = "",
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in samples=0.1.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the files' names as JSON and nothing else.")
    ] = False,
) -> None:
    """Train a classifier again without what is forgotten, many times at once; the same command continues.

    Example: vu retrain --forget 3 --count 100 --out retrained
    """
    from vu_core import progress
    from vu_core.cli import _screen
    from vu_core.cli._arguments import DATA, names, pairs
    from vu_core.context import RunContext
    from vu_core.models import plan_model
    from vu_core.planning import plan_unlearning, resolve_device
    from vu_core.registry import Registry
    from vu_core.retrained import RETRAIN
    from vu_core.runspec import run_spec

    asked = {"unlearner": RETRAIN, "forget": names(forget), "model": model, "dataset": dataset, "seed": seed}
    spec = run_spec({**asked, "data": pairs(data, *DATA), "device": device}, origin="vu retrain")
    registry = Registry.discover()
    chosen = plan_model(spec.model, registry, registry.get("unlearner", RETRAIN).spec.families)
    plan = plan_unlearning(spec, chosen, registry)
    there, missing = _files(out, range(seed, seed + count), plan, chosen.name)
    rows = {
        "model": chosen.name,
        "forget": ", ".join(spec.forget),
        "models": f"{count}: {len(there)} there already",
        "at once": str(at_once),
        "folder": str(out),
    }
    if dry_run:
        _screen.show_rows(rows, json_output=json_output)
        return
    ctx = RunContext(out_dir=out, device=resolve_device(device), track=progress.track)
    with _screen.interruptible("the same command continues"):
        _carry_out(chosen, plan, missing, at_once, ctx)
    found = [str(file) for _, file in sorted({**there, **missing}.items())]
    rows |= {"models": f"{count}, {len(missing)} of them new", "use": f"vu run ... --retrained {out}"}
    _screen.show_made(rows, found, ctx.warnings, json_output=json_output)


def _files(out: Path, seeds: range, plan: UnlearnPlan, model: str) -> tuple[dict[int, Path], dict[int, Path]]:
    """Return by seed the files in ``out`` of ``model`` retrained so, and those that are still to be made.

    Raises:
        RunError: A file to be made is there, and is of something else.
    """
    import re

    from vu_core import RunError
    from vu_core.editfiles import read_header
    from vu_core.retrained import find_others

    known = find_others([out], plan.request, plan.facts).retrained if out.is_dir() else ()
    headers = {file: header for file in known if (header := read_header(file)) is not None}
    made = {one.info["seed"]: file for file, one in headers.items() if one.info.get("model") == model}
    forgotten = re.sub(r"[^\w.-]+", "-", "-".join(concept.name for concept in plan.request.forget))
    missing = {seed: out / f"{forgotten}-{seed:03d}.safetensors" for seed in seeds if seed not in made}
    for file in missing.values():
        if file.exists():
            hint = "Choose another folder with --out."
            raise RunError(f"'{file}' is of another model, or of other pictures to forget", hint=hint)
    return {seed: made[seed] for seed in seeds if seed in made}, missing


def _carry_out(chosen: ModelPlan, plan: UnlearnPlan, files: dict[int, Path], at_once: int, ctx: RunContext) -> None:
    """Retrain a model for each seed of ``files``, and write each into its file."""
    from dataclasses import replace

    from vu_classify.retrain import retrain_together
    from vu_core.editfiles import write_edit
    from vu_core.files import make_folder
    from vu_core.models import load
    from vu_core.unlearning import stamped

    make_folder(ctx.out_dir)
    model = load(chosen, device=ctx.device, dtype="float32", download=False, revision="")
    for start in range(0, len(files), at_once):
        seeds = list(files)[start : start + at_once]
        edits = retrain_together(model, plan.request, plan.data, ctx, seeds)
        for seed, edit in zip(seeds, edits, strict=True):
            write_edit(stamped(edit, replace(plan, seed=seed), model), files[seed])
