"""What a run leaves for people: the contact sheet and the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.costs import with_costs
from vu_core.editfiles import LORA_FILE
from vu_core.files import atomic_path, write_text
from vu_core.tables import as_markdown, no_reference_line
from vu_core.types import Concept, Sample

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from vu_core.evaluationplan import EvaluationPlan
    from vu_core.planning import Plan
    from vu_core.records import Record
    from vu_core.sampling import Folder

CONTACT_SHEET = "contact-sheet.png"
CARD = "README.md"
PAGE = "report.html"  # Written by a plugin.

_ROWS, _COLUMNS, _TILE, _GAP, _LABEL = 8, 6, 112, 4, 150
_PAPER, _INK, _QUIET, _FORGET_INK = "#ffffff", "#1b1b1f", "#6b6b76", "#b3261e"


def write_contact_sheet(folder: Path, plan: EvaluationPlan, before: Folder, after: Folder | None) -> Path:
    """Draw before and after side by side, same prompts and noise, and return the picture's path.

    Rows are concepts: the forgotten ones first, then their neighbours, then others. Without pictures
    after, those before stand alone.

    Raises:
        RunError: The file cannot be written.
    """
    sides = [("before", before), ("after, same prompts and noise", after)] if after else [("as it is", before)]
    rows = [(concept, shown) for concept in _row_concepts(plan) if (shown := _shown(plan, concept))]
    rows = rows or [(Concept(name="all prompts"), _some(plan.samples))]
    sheet = _blank(len(rows), len(sides))
    _head(sheet, [title for title, _ in sides])
    for index, (concept, samples) in enumerate(rows):
        forgotten = concept in plan.request.forget
        _row(sheet, index, concept, samples, [pictures for _, pictures in sides], forgotten=forgotten)
    path = folder / CONTACT_SHEET
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="png")
    return path


def grid(pictures: Sequence[Any], columns: int) -> Picture:
    """Return ``pictures``, each uint8 (3, H, W) RGB and of one size, as one image, row by row."""
    from PIL import Image

    tiles = [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pictures]
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), _PAPER)
    for i, tile in enumerate(tiles):
        sheet.paste(tile, ((i % columns) * (width + _GAP), (i // columns) * (height + _GAP)))
    return sheet


def loading_lines(folder: Path, source: str) -> list[str]:
    """Return the lines of plain diffusers that load a run's edit onto its model, without vu.

    There are none where the run left no LoRA for it: the edit has another form, or was made after others.

    Args:
        folder: Of the run.
        source: Folder or hub id of the model.
    """
    if not (folder / LORA_FILE).is_file():
        return []
    model, edit = (json.dumps(text, ensure_ascii=False) for text in (source, str(folder)))
    return [
        "from diffusers import DiffusionPipeline",
        f"pipe = DiffusionPipeline.from_pretrained({model})",
        f"pipe.load_lora_weights({edit})",
    ]


def write_card(folder: Path, plan: Plan, record: Record) -> Path:
    """Write the run's ``README.md``, a model card in Markdown, and return its path.

    Raises:
        RunError: The file cannot be written.
    """
    forget = ", ".join(concept.name for concept in plan.unlearning.request.forget)
    unlearner = plan.unlearning.unlearner
    measured = plan.evaluation.protocol if plan.evaluation else None
    drawn = measured is None or not measured.pictures
    lines = [
        "---",
        f"library_name: {'diffusers' if drawn else 'pytorch'}",
        f"tags: [machine-unlearning, {'concept-erasure' if drawn else 'image-classification'}]",
        "---",
        "",
        f"# {plan.model.name} without {forget}",
        "",
        f"Made by `{unlearner.spec.name}` ({unlearner.plugin} {unlearner.version}) "
        f"with preset `{plan.spec.preset}`; repeat it with `vu run -c run.toml`.",
        "",
        *([f"![before and after]({CONTACT_SHEET})", ""] if drawn else []),
        *as_markdown(with_costs(record)),
        "",
        f"{_explained(record)}; protocol `{plan.spec.protocol}`, seed {plan.spec.seed}. "
        "All numbers, versions and hashes are in `record.json`.",
    ]
    if record.warnings:
        lines += ["", "## Warnings", "", *(f"- {sentence}" for sentence in record.warnings)]
    if loading := loading_lines(folder, plan.model.source):
        lines += ["", "## Use it with plain diffusers and peft", "", "```python", *loading, "```"]
    path = folder / CARD
    write_text(path, "\n".join(lines) + "\n")
    return path


def _explained(record: Record) -> str:
    """Return what the table's last columns are."""
    if any(result.reference is not None for result in record.results):
        return f"Retrained: mean of {len(record.retrained)} models that never learned what is forgotten"
    return "; ".join(filter(None, ("Intervals are 95 %, of the change", no_reference_line(record.results))))


def _row_concepts(plan: EvaluationPlan) -> list[Concept]:
    forgotten = plan.request.forget
    kinds = {concept.kind for concept in forgotten} or set(plan.protocol.kinds[:1])
    others = [concept for concept in plan.dataset.concepts() if concept.kind in kinds]
    unique = dict.fromkeys([*forgotten, *plan.neighbours, *reversed(others)])
    drawn = [concept for concept in unique if any(sample.shows(concept) for sample in plan.samples)]
    return drawn[: max(_ROWS, len(forgotten) + 2)]


def _shown(plan: EvaluationPlan, concept: Concept) -> list[Sample]:
    return _some([sample for sample in plan.samples if sample.shows(concept)])


def _some(samples: Sequence[Sample]) -> list[Sample]:
    """Return as many samples as a row holds, spread evenly."""
    step = max(1, len(samples) // _COLUMNS)
    return list(samples[::step][:_COLUMNS])


def _blank(rows: int, sides: int) -> Picture:
    from PIL import Image

    width = _left(sides) - 3 * _GAP
    return Image.new("RGB", (width, 30 + rows * (_TILE + _GAP) + _GAP), _PAPER)


def _left(side: int) -> int:
    return _LABEL + side * (_COLUMNS * (_TILE + _GAP) + 3 * _GAP)


def _head(sheet: Picture, titles: Sequence[str]) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(sheet)
    for side, title in enumerate(titles):
        pen.text((_left(side), 7), title, fill=_INK, font=font(14))


def _row(
    sheet: Picture,
    index: int,
    concept: Concept,
    samples: Sequence[Sample],
    sides: Sequence[Folder],
    *,
    forgotten: bool,
) -> None:
    from PIL import Image, ImageDraw

    top = 30 + index * (_TILE + _GAP)
    pen = ImageDraw.Draw(sheet)
    pen.text((8, top + _TILE // 2 - 18), concept.text, fill=_FORGET_INK if forgotten else _INK, font=font(16))
    role = "forget" if forgotten else "retain"
    pen.text((8, top + _TILE // 2 + 4), role, fill=_FORGET_INK if forgotten else _QUIET, font=font(12))
    for side, pictures in enumerate(sides):
        for column, sample in enumerate(samples):
            left = _left(side) + column * (_TILE + _GAP)
            try:
                with Image.open(pictures.path(sample)) as picture:
                    tile = picture.convert("RGB").resize((_TILE, _TILE), Image.Resampling.LANCZOS)
            except OSError:
                pen.text((left + 4, top + _TILE // 2 - 6), "no picture", fill=_FORGET_INK, font=font(12))
            else:
                sheet.paste(tile, (left, top))


def font(size: int) -> Any:
    """Return the font of all that is drawn, in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
