"""``vu retrain``: many retrained models at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
    from vu_core.cli import _screen
    from vu_core.cli._arguments import DATA, names, pairs
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
    missing = [one for one in range(seed, seed + count) if one not in _seeds_in(out, plan)]
    if dry_run:
        rows = {
            "model": chosen.name,
            "forget": ", ".join(spec.forget),
            "models": f"{count}: {count - len(missing)} there already",
            "at once": str(at_once),
            "folder": str(out),
        }
        _screen.show_rows(rows, json_output=json_output)
        return
    parts = [missing[start : start + at_once] for start in range(0, len(missing), at_once)]
    _carry_out(chosen, plan, parts, out, resolve_device(device), json_output=json_output)


def _seeds_in(folder: Path, plan: UnlearnPlan) -> set[Any]:
    """Return the seeds of the models in ``folder`` that were retrained without the same of the same data."""
    from vu_core.editfiles import read_header
    from vu_core.retrained import find_others

    files = find_others([folder], plan.request, plan.facts).retrained if folder.is_dir() else ()
    return {header.info.get("seed") for header in map(read_header, files) if header is not None}


def _carry_out(
    chosen: ModelPlan, plan: UnlearnPlan, parts: list[list[int]], out: Path, device: str, *, json_output: bool
) -> None:
    import json
    import re
    from dataclasses import replace

    from vu_classify.retrain import retrain_together
    from vu_core import progress
    from vu_core.cli import INTERRUPTED, _screen
    from vu_core.context import RunContext
    from vu_core.editfiles import write_edit
    from vu_core.files import make_folder
    from vu_core.models import load
    from vu_core.unlearning import stamped

    make_folder(out)
    _screen.interrupt_on_terminate()
    forgotten = re.sub(r"[^\w.-]+", "-", "-".join(concept.name for concept in plan.request.forget))
    written = []
    try:
        model = load(chosen, device=device, dtype="float32", download=False, revision="")
        ctx = RunContext(out_dir=out, device=device, track=progress.track)
        for seeds in parts:
            edits = retrain_together(model, plan.request, plan.data, ctx, seeds)
            for seed, edit in zip(seeds, edits, strict=True):
                file = out / f"{forgotten}-{seed:03d}.safetensors"
                write_edit(stamped(edit, replace(plan, seed=seed), model), file)
                written.append(str(file))
    except KeyboardInterrupt:
        progress.say("interrupted; the same command continues")
        raise typer.Exit(INTERRUPTED) from None
    if json_output:
        typer.echo(json.dumps(written, indent=2))
        return
    typer.echo(f"{len(written)} retrained models in {out}; hold a run against them with --retrained {out}")
    for warning in ctx.warnings:
        typer.echo(f"warning: {warning}")
