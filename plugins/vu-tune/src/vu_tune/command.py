"""``vu tune``: search an unlearner's options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vu_core.registry import Registry
    from vu_tune.search import Setting, TunePlan

_FOLDERS = Path("runs")


def tune_command(
    unlearner: Annotated[str, typer.Argument(help="Name of the unlearner; see 'vu list unlearner'.")],
    protocol: Annotated[str, typer.Option(help="By which settings are measured: name or TOML file.")],
    forget: Annotated[list[str], typer.Option(help="Concepts to tune on, each forgotten in a run of its own.")],
    search: Annotated[list[str], typer.Option(help="Option to search: name=low:high, name=low:high:log, name=a,b.")],
    objective: Annotated[list[str], typer.Option(help="What is sought, metric:group; several give a front.")],
    trials: Annotated[int, typer.Option(min=1, help="Settings to try.")] = 20,
    seeds: Annotated[list[str] | None, typer.Option(help="Seeds of the unlearner; default: 0.")] = None,
    search_seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    report: Annotated[
        list[str] | None, typer.Option(help="Concepts to report the best settings on; none may be tuned on.")
    ] = None,
    report_protocol: Annotated[str, typer.Option(help="By which they are reported; default: the same.")] = "",
    option: Annotated[list[str] | None, typer.Option("-o", "--option", help="An option that stays, key=value.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the embedded model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Where concepts come from; default: the model's own.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in root=DIR.")] = None,
    retrained: Annotated[
        list[str] | None, typer.Option(help="Folder of runs of 'retrain' that classifiers are held against.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The model's preset to start from, or 'none'.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    out: Annotated[Path | None, typer.Option(help="The search's folder; default: one under runs/.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print tuning.json and nothing else.")] = False,
) -> None:
    """Search an unlearner's options; the same command continues where it stopped.

    With several objectives, such as forgetting and keeping, it finds the settings that no other one beats.

    Example: vu tune uce --protocol emoji-quick@1 --forget cat,dog --search erase_scale=0.1:20:log
    --objective ua_recognised:forget --objective ira:retain
    """
    from vu_core.cli._arguments import DATA, names, numbers, pairs
    from vu_core.registry import Registry
    from vu_tune.objectives import read_objectives
    from vu_tune.search import TunePlan, check_plan, concepts_of
    from vu_tune.space import read_space

    given = {
        "model": model,
        "dataset": dataset,
        "data": pairs(data, *DATA) or None,
        "retrained": tuple(retrained) if retrained else None,
        "preset": preset,
        "device": device,
        "dtype": dtype,
    }
    registry = Registry.discover()
    asked: dict[str, Any] = {
        "unlearner": unlearner,
        "protocol": protocol,
        "seeds": tuple(numbers(seeds, "--seeds") or (0,)),
        "space": read_space(search, registry.get("unlearner", unlearner).config_class()),
        "trials": trials,
        "seed": search_seed,
        "options": pairs(option, "-o takes key=value", "-o steps=200"),
        "common": {key: value for key, value in given.items() if value is not None},
        "report": tuple(names(report) or ()),
        "report_protocol": report_protocol,
    }
    plan = TunePlan(**asked, forget=tuple(names(forget) or ()), objectives=())
    bench = check_plan(plan, registry)
    sought = read_objectives(names(objective) or (), bench.evaluation.metrics)
    plan = TunePlan(**asked, forget=concepts_of(bench), objectives=sought)
    folder = out or _FOLDERS / f"tune-{unlearner}".replace(":", "-")
    if dry_run:
        _show_plan(plan, folder, json_output=json_output)
    else:
        _carry_out(plan, folder, registry, json_output=json_output)


def _show_plan(plan: TunePlan, folder: Path, *, json_output: bool) -> None:
    from vu_core.cli._screen import show_rows
    from vu_tune.search import settings_in

    there = settings_in(plan, folder)
    rows = {
        "unlearner": plan.unlearner,
        "search": "; ".join(map(str, plan.space)),
        "objectives": "; ".join(map(str, plan.objectives)),
        "tuned on": f"{', '.join(plan.forget)}; seeds {', '.join(map(str, plan.seeds))}; {plan.protocol}",
        "reported on": ", ".join(plan.report) or "nothing",
        "settings": f"{plan.trials}: {len(there)} there already",
        "runs": f"at most {plan.trials * len(plan.forget) * len(plan.seeds)}, and those of the report",
        "folder": str(folder),
    }
    show_rows(rows, json_output=json_output)


def _carry_out(plan: TunePlan, folder: Path, registry: Registry, *, json_output: bool) -> None:
    from vu_core import progress
    from vu_core.cli._screen import interruptible
    from vu_core.stages import Surface
    from vu_tune.search import TUNING_FILE, search

    with interruptible(f"the same command continues in {folder}"), progress.together():
        found = search(plan, folder, registry, Surface(track=progress.track, say=progress.say))
    if json_output:
        typer.echo((folder / TUNING_FILE).read_text(encoding="utf-8"), nl=False)
    else:
        _show(plan, found, folder)
    if not any(setting.best for setting in found):
        raise typer.Exit(1)


def _show(plan: TunePlan, found: list[Setting], folder: Path) -> None:
    """Print the best settings, and what they come to on concepts that they were not tuned on."""
    from rich.console import Console

    from vu_tune.search import TUNING_FILE
    from vu_tune.space import as_text

    console = Console(highlight=False)
    console.print(_table(plan, found))
    states = [setting.state for setting in found]
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed"))
    console.print(f"{len(found)} settings: {counted}; tuned on {', '.join(plan.forget)}", markup=False)
    if not plan.report:
        console.print("These numbers chose the setting and flatter it: report it on others (--report).", markup=False)
    for setting in found:
        if setting.best:
            console.print(f"\nvu run {plan.unlearner} {as_text({**plan.options, **setting.options})} --forget ...")
            for line in _report_lines(plan, setting):
                console.print(line, markup=False)
    console.print(f"\nall settings   {folder / TUNING_FILE}", markup=False, soft_wrap=True)


def _table(plan: TunePlan, found: list[Setting]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("", *(dimension.name for dimension in plan.space)):
        table.add_column(name)
    for objective in plan.objectives:
        table.add_column(f"{objective.metric}\n{objective.group}", justify="right")
    for setting in sorted((one for one in found if one.best), key=lambda one: one.values):
        chosen = [_text(setting.options[dimension.name]) for dimension in plan.space]
        table.add_row(str(setting.number), *chosen, *(f"{value:.1f}" for value in setting.values))
    return table


def _report_lines(plan: TunePlan, setting: Setting) -> list[str]:
    from vu_core.tables import number, short_name

    wanted = {(objective.metric, objective.group) for objective in plan.objectives}
    rows = [row for row in setting.report if (short_name(row["metric"]), row["group"]) in wanted]
    return [
        f"  on {', '.join(plan.report)}: {short_name(row['metric'])} on {row['group']} "
        f"{number(row['after'], row['unit'])}{_ends(row['after_interval'], row['unit'])} (n={row['n']})"
        for row in rows
    ]


def _ends(interval: Any, unit: str) -> str:
    from vu_core.tables import number

    return f" [{number(interval['low'], unit)}, {number(interval['high'], unit)}]" if interval else ""


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
