"""``vu train``: a model trained on a dataset's pictures, in a folder that a loader reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vu_core.training import TrainingPlan

app = typer.Typer()


@app.command("train")
def train_command(
    loader: Annotated[str, typer.Argument(help="Name of a loader that trains, as classifier.")],
    dataset: Annotated[str, typer.Option(help="Whose pictures are learned; see 'vu list dataset'.")],
    out: Annotated[Path, typer.Option(help="The new model's folder.")],
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in root=DIR.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("-o", "--option", help="An option of the training, key=value.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and order.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the data from a hub.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training in --out.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print vu_training.json and nothing else.")] = False,
) -> None:
    """Train a model on a dataset's pictures; the same command gives the same weights, also when it was interrupted.

    Example: vu train classifier --dataset digits -o architecture=mlp -o epochs=40 --out digits-mlp
    """
    from vu_core.cli import _screen
    from vu_core.cli._arguments import DATA, pairs
    from vu_core.registry import Registry
    from vu_core.training import plan_training

    plan = plan_training(
        loader,
        Registry.discover(),
        dataset=dataset,
        data=pairs(data, *DATA),
        options=pairs(option, "-o takes key=value", "-o epochs=10"),
        seed=seed,
        device=device,
        download=download,
    )
    if dry_run:
        _screen.show_rows(_plan_rows(plan, out), json_output=json_output)
        return
    _carry_out(plan, out, resume=resume, json_output=json_output)


def _plan_rows(plan: TrainingPlan, out: Path) -> dict[str, str]:
    facts = plan.facts()
    return {
        "loader": f"{plan.loader.spec.name} ({plan.loader.plugin} {plan.loader.version})",
        "dataset": ", ".join([facts["dataset"], *(f"{key}={value}" for key, value in plan.data.items())]),
        "options": ", ".join(f"{key}={value}" for key, value in facts["options"].items()),
        "seed": str(plan.seed),
        "device": plan.device,
        "folder": str(out),
    }


def _carry_out(plan: TrainingPlan, out: Path, *, resume: bool, json_output: bool) -> None:
    from vu_core import progress
    from vu_core.cli import _screen
    from vu_core.stages import Surface
    from vu_core.training import train_model

    with _screen.interruptible("the same command with --resume continues"):
        facts = train_model(plan, out, Surface(track=progress.track, say=progress.say), resume=resume)
    rows = {**_measured(facts), "seconds": str(facts["seconds"]), "folder": str(out)}
    _screen.show_made(rows, facts, facts["warnings"], json_output=json_output)


def _measured(facts: dict[str, Any]) -> dict[str, str]:
    """Return a row for each number that the trainer measured."""
    rows = {}
    for name, found in facts.get("measured", {}).items():
        low, high = found["interval"]
        rows[name] = f"{found['value']:.1f} {found['unit']} [{low:.1f}, {high:.1f}] (n={found['n']})"
    return rows
