"""``vu eval``: measure a model as it is, or before and after edits that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.registry import Registry
    from vu_core.subjects import Subject

app = typer.Typer()


@app.command("eval")
def eval_command(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="Runs' folders, edits' files (several add up), or a model; default: the embedded model."),
    ] = None,
    forget: Annotated[
        list[str] | None, typer.Option(help="What is counted as forgotten; default: what the edits were asked to.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name, folder or hub id; default: the one the edits were made for.")] = "",
    edit_scale: Annotated[float, typer.Option(help="Strength of the edits: 0 is the base model.")] = 1.0,
    dataset: Annotated[str, typer.Option(help="Where concepts come from; default: the run's, or the model's.")] = "",
    data: Annotated[list[str] | None, typer.Option(help="A dataset's option, key=value, as in root=DIR.")] = None,
    protocol: Annotated[str, typer.Option(help="Name or TOML file; default: the run's, or the model's.")] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Metric; default: the run's, or the protocol's own.")] = None,
    scorer: Annotated[
        list[str] | None, typer.Option(help="Judge in place of the protocol's, role=name; see 'vu list scorer'.")
    ] = None,
    retrained: Annotated[
        list[str] | None, typer.Option(help="Folder of runs of 'retrain' that a classifier is held against.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    download: Annotated[bool, typer.Option("--download", help="Allow fetching model and data from a hub.")] = False,
    revision: Annotated[str, typer.Option(help="Revision of a hub model.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for record, pictures, verdicts and report; default: none.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the record and nothing else.")] = False,
) -> None:
    """Measure a model as it is, or before and after edits; nothing is unlearned.

    Example: vu eval runs/uce-cat --protocol emoji@1
    """
    from dataclasses import replace

    from vu_core.cli._arguments import DATA, SCORER, names, pairs
    from vu_core.measuring import plan_measuring
    from vu_core.models import plan_model
    from vu_core.protocols import load_protocol
    from vu_core.registry import Registry
    from vu_core.subjects import find_subject

    registry = Registry.discover()
    subject = find_subject(what or (), model)
    subject = replace(subject, edits=tuple(edit.scaled(edit_scale) for edit in subject.edits))
    again = subject.run if not protocol else None
    named = again.protocol if again else protocol
    families = (load_protocol(named, registry).family,) if named and not subject.model else ()
    chosen = plan_model(subject.model, registry, families)
    plan = plan_measuring(
        chosen,
        subject.edits,
        registry,
        protocol=named,
        forget=names(forget) or (),
        dataset=dataset or (subject.run.dataset if subject.run else ""),
        data=pairs(data, *DATA) or (subject.run.data if subject.run else {}),
        metrics=names(metric) or (again.metrics if again else ()),
        scorers={**(again.scorers if again else {}), **pairs(scorer, *SCORER)},
        retrained=tuple(retrained or ()) or (again.retrained if again else ()),
        download=download,
    )
    if dry_run:
        _show_plan(plan, subject, out, json_output=json_output)
        return
    loading = {"device": device, "dtype": dtype, "download": download, "revision": revision}
    _carry_out(plan, chosen.name, subject, out, registry, loading, json_output=json_output)


def _show_plan(plan: EvaluationPlan, subject: Subject, out: Path | None, *, json_output: bool) -> None:
    from vu_core.cli import _screen

    edits = [f"{edit.unlearner or 'edit'} {edit.sha256()[:12]}" for edit in subject.edits]
    rows = {
        "model": subject.model or "the embedded model",
        "edits": ", ".join(edits) or "none: the model as it is",
        "forget": ", ".join(concept.text for concept in plan.request.forget) or "–",
        **_screen.measured_rows(plan, compared=bool(edits)),
        "folder": str(out or "none"),
    }
    _screen.show_rows(rows, json_output=json_output)


def _carry_out(
    plan: EvaluationPlan,
    model_name: str,
    subject: Subject,
    out: Path | None,
    registry: Registry,
    loading: dict[str, Any],
    *,
    json_output: bool,
) -> None:
    from contextlib import nullcontext
    from tempfile import TemporaryDirectory

    from vu_core import progress
    from vu_core.api import load_model
    from vu_core.cli import _screen
    from vu_core.measuring import check_folder, measure_model
    from vu_core.stages import Surface

    if out is not None:
        check_folder(out)
    model = load_model(model_name, **loading)
    surface = Surface(track=progress.track, say=progress.say)
    with nullcontext(out) if out else TemporaryDirectory(prefix="vu-") as folder:
        kept = out is not None
        with _screen.interruptible("the same command continues, as pictures drawn so far are kept"):
            record = measure_model(plan, model, subject.edits, Path(folder), registry, surface, kept=kept)
        if json_output:
            typer.echo(record.as_json(), nl=False)
        else:
            _screen.show_measured(record, kept=kept)
    if record.errors:
        raise typer.Exit(1)
