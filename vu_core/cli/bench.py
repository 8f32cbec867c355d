"""``vu bench``: forget each concept of a protocol in turn, and say what that gives together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vu_core.benchplan import BenchPlan
    from vu_core.registry import Registry
    from vu_core.tracking import Trackers

app = typer.Typer()

_BENCHES = Path("runs")


@app.command("bench")
def bench_command(
    protocol: Annotated[str, typer.Argument(help="Name or TOML file; see 'vu list protocol'.")],
    unlearner: Annotated[list[str], typer.Option(help="Unlearner; repeat it or use commas.")],
    forget: Annotated[
        list[str] | None, typer.Option(help="Concepts, kinds of concepts, or all that the protocol shows.")
    ] = None,
    seeds: Annotated[list[str] | None, typer.Option(help="Seeds of the unlearners; default: 0.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the embedded model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Where concepts come from; default: the model's own.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in root=DIR.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Metric; default: the protocol's own.")] = None,
    scorer: Annotated[
        list[str] | None, typer.Option(help="Judge in place of the protocol's, role=name; see 'vu list scorer'.")
    ] = None,
    retrained: Annotated[
        list[str] | None, typer.Option(help="Folder of runs of 'retrain' that classifiers are held against.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The model's preset for the unlearners, or 'none'.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", help="An option of every unlearner, key=value, or of one, uce.key=value."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching model and data from a hub.")] = False,
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The bench's folder; default: one named after the protocol under runs/.")
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(envvar="VU_TRACKER", help="Write each run down in another tool; see 'vu list tracker'."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print bench.json and nothing else.")] = False,
) -> None:
    """Forget each concept of a protocol in turn and measure; the same command continues where it stopped.

    Example: vu bench emoji@1 --unlearner uce,fade --forget object
    """
    import re

    from vu_core.benchplan import ALL, plan_bench
    from vu_core.cli._arguments import DATA, SCORER, names, numbers, pairs
    from vu_core.registry import Registry
    from vu_core.tracking import find_trackers

    given = {
        "model": model,
        "dataset": dataset,
        "data": pairs(data, *DATA) or None,
        "metrics": names(metric),
        "retrained": tuple(retrained) if retrained else None,
        "scorers": pairs(scorer, *SCORER) or None,
        "preset": preset,
        "device": device,
        "dtype": dtype,
        "download": download or None,
        "revision": revision,
    }
    registry = Registry.discover()
    plan = plan_bench(
        protocol,
        names(unlearner) or (),
        registry,
        forget=names(forget) or (ALL,),
        seeds=numbers(seeds, "--seeds") or (0,),
        options=pairs(option, "-o takes key=value or unlearner.key=value", "-o uce.erase_scale=2"),
        common={key: value for key, value in given.items() if value is not None},
    )
    folder = out or _BENCHES / re.sub(r"[^\w.@-]+", "-", f"bench-{plan.evaluation.protocol.name}")
    if dry_run:
        _show_plan(plan, folder, registry, json_output=json_output)
    else:
        _carry_out(plan, folder, registry, find_trackers(names(tracker) or (), registry), json_output=json_output)


def _show_plan(plan: BenchPlan, folder: Path, registry: Registry, *, json_output: bool) -> None:
    from vu_core.bench import finished_outcomes
    from vu_core.cli._screen import measured_rows, show_rows

    done = finished_outcomes(plan, folder, registry)
    left = len(plan.runs) - len(done)
    each = len(plan.evaluation.samples)
    unlearners = [registry.get("unlearner", name) for name in plan.unlearners]
    measured = measured_rows(plan.evaluation)
    rows = {
        "unlearners": ", ".join(f"{entry.spec.name} ({entry.plugin} {entry.version})" for entry in unlearners),
        "model": f"{plan.model.name} ({plan.model.source})",
        "forget": ", ".join(concept.text for concept in plan.concepts),
        "seeds": ", ".join(map(str, plan.seeds)),
        "protocol": f"{plan.evaluation.protocol.name}: {each} pictures a run",
        **{key: measured[key] for key in measured if key not in ("protocol", "neighbours")},
        "runs": f"{len(plan.runs)}: {len(done)} there already, {left} to do",
        "pictures": f"{left * each} after unlearning, and {each} of the base model once for all runs",
        "time": _time_left([sum(outcome.seconds.values()) for outcome in done], left),
        "folder": str(folder),
    }
    show_rows(rows, json_output=json_output)


def _time_left(seconds: list[float], left: int) -> str:
    if not left:
        return "nothing is left to do"
    if not seconds:
        return "known after the first run"
    return f"about {sum(seconds) / len(seconds) * left / 60:.0f} minutes, from {len(seconds)} runs"


def _carry_out(plan: BenchPlan, folder: Path, registry: Registry, trackers: Trackers, *, json_output: bool) -> None:
    from vu_core import progress
    from vu_core.bench import carry_out
    from vu_core.cli import _bench_screen
    from vu_core.cli._screen import interruptible
    from vu_core.stages import Surface

    surface = Surface(track=progress.track, say=progress.say, trackers=trackers)
    with interruptible(f"the same command continues in {folder}"), progress.together():
        record = carry_out(plan, folder, registry, surface)
    if json_output:
        typer.echo(record.as_json(), nl=False)
    else:
        _bench_screen.show(record)
    if record.errors:
        raise typer.Exit(1)
