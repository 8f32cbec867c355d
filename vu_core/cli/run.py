"""``vu run``: make a model forget, measure what it forgot and what it kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_RUNS = Path("runs")


@app.command("run")
def run_command(
    unlearner: Annotated[str, typer.Argument(help="Name of the unlearner; see 'vu list unlearner'.")] = "",
    forget: Annotated[list[str] | None, typer.Option(help="Concept to forget; repeat it or use commas.")] = None,
    retain: Annotated[list[str] | None, typer.Option(help="Concept to keep; default: the dataset's choice.")] = None,
    replace_with: Annotated[
        list[str] | None, typer.Option(help="Concept put in its place: one for all, or one for each.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the embedded model.")] = None,
    after: Annotated[
        str | None, typer.Option(help="Folder of an earlier run, whose edits are in the model already.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Where concepts come from; default: the model's own.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in root=DIR.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Name or TOML file; default: the model's own.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Metric; default: the protocol's own.")] = None,
    scorer: Annotated[
        list[str] | None, typer.Option(help="Judge in place of the protocol's, role=name; see 'vu list scorer'.")
    ] = None,
    retrained: Annotated[
        list[str] | None, typer.Option(help="Folder of runs of 'retrain' that a classifier is held against.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The model's preset for the unlearner, or 'none'.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("-o", "--option", help="An unlearner's option, key=value.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness of the unlearner.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching model and data from a hub.")] = False,
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="A run.toml to repeat.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: a new one under runs/.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Use the model's quick protocol.")] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(envvar="VU_TRACKER", help="Write the run down in another tool; see 'vu list tracker'."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, or the last like it.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print record.json and nothing else.")] = False,
) -> None:
    """Make a model forget a concept, and measure what it forgot and what it kept.

    Example: vu run uce --forget cat
    """
    from vu_core.cli._arguments import DATA, SCORER, names, pairs

    given = {
        "unlearner": unlearner or None,
        "forget": names(forget),
        "retain": names(retain),
        "replace_with": names(replace_with),
        "model": model,
        "after": after,
        "dataset": dataset,
        "protocol": protocol,
        "metrics": names(metric),
        "retrained": tuple(retrained) if retrained else None,
        "preset": preset,
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "download": download or None,
        "revision": revision,
    }
    values = {key: value for key, value in given.items() if value is not None}
    tables = {
        "options": pairs(option, "-o takes key=value", "-o erase_scale=2"),
        "data": pairs(data, *DATA),
        "scorers": pairs(scorer, *SCORER),
    }
    spec = _spec(values, tables, config, out if resume else None)
    modes = {"quick": quick, "dry_run": dry_run, "resume": resume, "json_output": json_output}
    _carry_out(spec, out, names(tracker) or (), **modes)


def _carry_out(
    spec: Any, out: Path | None, tracker: Sequence[str], *, quick: bool, dry_run: bool, resume: bool, json_output: bool
) -> None:
    from vu_core import progress
    from vu_core.cli import _screen
    from vu_core.models import load
    from vu_core.planning import plan_run
    from vu_core.registry import Registry
    from vu_core.runner import open_folder, run
    from vu_core.stages import Surface
    from vu_core.tracking import find_trackers

    registry = Registry.discover()
    plan = plan_run(spec, registry, quick=quick)
    trackers = find_trackers(tracker, registry)
    folder = out or (_last_like(plan) if resume else _new_folder(plan))
    if dry_run:
        _screen.show_rows(_screen.plan_rows(plan, folder), json_output=json_output)
        return
    asked = plan.spec
    model = load(plan.model, device=asked.device, dtype=asked.dtype, download=asked.download, revision=asked.revision)
    open_folder(folder, plan, resume=resume)
    surface = Surface(track=progress.track, say=progress.say, trackers=trackers)
    if plan.spec.preset != "none":
        progress.say(f"preset '{plan.spec.preset}' of model '{plan.model.name}'; --preset none uses published values")
    with _screen.interruptible(f"continue with: vu run --resume --out {folder}"):
        record = run(plan, model, folder, registry, surface)
    if json_output:
        typer.echo(record.as_json(), nl=False)
    else:
        _screen.show_result(plan, record)
    if record.errors:
        raise typer.Exit(1)


def _spec(values: dict[str, Any], tables: dict[str, dict[str, str]], config: Path | None, resumed: Path | None) -> Any:
    from dataclasses import asdict

    from vu_core.errors import ConfigError, RunError
    from vu_core.runspec import RUN_FILE, read_run_file, run_spec

    if resumed is not None and config is None and "unlearner" not in values:
        config = resumed / RUN_FILE
        if not config.is_file():
            raise RunError(f"'{resumed}' holds no run to continue", hint="Give --out the folder of a run.")
    if config is not None:
        base = asdict(read_run_file(config))
        merged = {key: {**base[key], **given} for key, given in tables.items()}
        return run_spec({**base, **values, **merged}, origin="the command line")
    if "unlearner" not in values:
        raise ConfigError("no unlearner was named", hint="As in 'vu run uce --forget cat'; see 'vu list unlearner'.")
    return run_spec({"forget": (), **values, **tables}, origin="the command line")


def _new_folder(plan: Any) -> Path:
    import re

    unlearning = plan.unlearning
    forget = "-".join(concept.name for concept in unlearning.request.forget[:3])
    stem = re.sub(r"[^\w.-]+", "-", f"{unlearning.unlearner.spec.name}-{forget}")
    number = 1
    while (folder := _RUNS / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return folder


def _last_like(plan: Any) -> Path:
    from vu_core.errors import RunError, VuError
    from vu_core.runner import open_folder
    from vu_core.runspec import RUN_FILE

    files = sorted(_RUNS.glob(f"*/{RUN_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for file in files:
        try:
            open_folder(file.parent, plan, resume=True)
        except VuError:
            continue
        return file.parent
    raise RunError(f"no run like this one is under '{_RUNS}'", hint="Start it without --resume, or name its --out.")
