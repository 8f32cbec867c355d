"""The model card: a table for people, and the same numbers in the hub's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from vu_core.costs import with_costs
from vu_core.editfiles import EDIT_FILE, LORA_FILE
from vu_core.records import RECORD_FILE, Record
from vu_core.report import CONTACT_SHEET
from vu_core.tables import as_markdown, damage_line, pooled, short_name

TAGS = ("machine-unlearning", "concept-erasure")

_TASK = "text-to-image"


def card_text(
    record: Record,
    public: Mapping[str, Any],
    repository: str,
    *,
    license_name: str = "",
    lora: bool = True,
    sheet: bool = True,
) -> str:
    """Return the model card of a run: metadata as the hub reads it, then Markdown.

    Args:
        record: The run's.
        public: The same as JSON values, without a path of this machine.
        repository: Where it goes: ``"org/name"``.
        license_name: As the hub names it; empty to state none.
        lora: Whether plain diffusers can load the edit.
        sheet: Whether a contact sheet goes up too.
    """
    # A folder may be called org/name too, but has no commit.
    base = public["model"]["name"] if record.model["revision"] else None
    data = ModelCardData(
        base_model=base,
        base_model_relation="adapter" if base and lora else None,
        library_name="diffusers" if lora else "vu",
        license=license_name or None,
        model_name=repository.partition("/")[2],
        pipeline_tag=_TASK,
        tags=[*TAGS, "lora"] if lora else list(TAGS),
        eval_results=list(eval_results(record)) or None,
    )
    body = "\n".join(_body(record, public, repository, base, lora=lora, sheet=sheet))
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def eval_results(record: Record) -> Iterator[EvalResult]:
    """Yield the pooled numbers after unlearning in the hub's format; group, interval and n stand beside each."""
    if record.protocol is None:
        return
    for result in pooled(record.results):
        if result.after is None:
            continue
        interval = result.after_interval
        facts = {
            "before": result.before,
            "interval_95": [interval.low, interval.high] if interval else None,
            "n": result.n,
            "n_excluded": result.n_excluded,
            "unit": result.unit,
        }
        yield EvalResult(
            task_type=_TASK,
            dataset_type=record.protocol["name"],
            dataset_name=record.protocol["name"],
            dataset_split=result.group,
            metric_type=short_name(result.metric),
            metric_name=result.metric,
            metric_value=result.after,
            metric_args={name: value for name, value in facts.items() if value not in (None, "")},
        )


def _body(
    record: Record, public: Mapping[str, Any], repository: str, base: str | None, *, lora: bool, sheet: bool
) -> Iterator[str]:
    unlearner, model = public["unlearner"], public["model"]["name"]
    forgotten, earlier = (", ".join(public["request"][part]) for part in ("forget", "earlier"))
    yield f"# {model} without {forgotten}"
    yield ""
    yield (
        f"An edit that makes {model} forget {forgotten}, made by `{unlearner['name']}` "
        f"({unlearner['plugin']} {unlearner['version']}) with preset `{unlearner['preset']}`, seed {public['seed']}. "
        "The base model is not part of it."
    )
    if earlier:
        yield ""
        yield (
            f"It was made after edits that made {model} forget {earlier}. They are not part of it: get them, and apply "
            "them first. All numbers are of the model with them."
        )
    if sheet:
        yield from ("", f"![before and after, same prompts and noise]({CONTACT_SHEET})")
    if record.results:
        yield from ("", *as_markdown(with_costs(record)), "", damage_line(record.results, record.request["neighbours"]))
    if record.protocol is not None:
        yield from ("", f"Intervals are 95 %, of the change; protocol `{record.protocol['name']}`.")
    if public["warnings"]:
        yield from ("", "## Warnings", "", *(f"- {sentence}" for sentence in public["warnings"]))
    yield from ("", "## Use it", "")
    if lora:
        yield from (
            "With plain diffusers and peft:",
            "",
            "```python",
            "from diffusers import DiffusionPipeline",
            "",
            f'pipe = DiffusionPipeline.from_pretrained("{base or f"path/to/{model}"}")',
            f'pipe.load_lora_weights("{repository}", weight_name="{LORA_FILE}")',
            "```",
            "",
        )
    yield from ("```sh", f"vu pull {repository}", "```", "")
    yield f"`{EDIT_FILE}` holds the edit, `{RECORD_FILE}` all numbers, versions, hashes and options."
