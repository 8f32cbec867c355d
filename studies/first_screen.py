"""Draw the two pictures that the README opens with, from the runs that its first lines name.

vu run uce --forget cat --quick && vu run salun --forget 3
python studies/first_screen.py runs/uce-cat runs/salun-3 --out docs/assets
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from safetensors.numpy import load_file
from vu_digits.config import DigitsOptions
from vu_digits.dataset import Digits

from vu_core.evaluation import AFTER, BEFORE
from vu_core.evidence_drawn import IMAGES
from vu_core.report import font
from vu_core.verdicts import read_verdicts

OBJECTS, STYLES = ("cat", "dog", "rocket"), ("noto", "twemoji", "blob")
DIGITS, EACH = ("3", "5", "8"), 6
TILE, GAP, LABEL, HEAD = 66, 6, 66, 24
INK, QUIET, RED, PAPER = "#1b1b1f", "#6b6b76", "#b3261e", "#ffffff"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture, and what is written below it."""

    picture: Image.Image
    below: str = ""


def sheet(rows: Sequence[tuple[str, Sequence[Tile]]], heads: Sequence[str], below: int) -> Image.Image:
    """Return tiles in rows, the first of which is what was forgotten, under heads that share the width evenly."""
    width = LABEL + len(rows[0][1]) * (TILE + GAP)
    found = Image.new("RGB", (width, HEAD + len(rows) * (TILE + below + GAP)), PAPER)
    pen = ImageDraw.Draw(found)
    for i, head in enumerate(heads):
        pen.text((LABEL + i * (width - LABEL) // len(heads), 4), head, fill=INK, font=font(13))
    for row, (name, tiles) in enumerate(rows):
        top, forgotten = HEAD + row * (TILE + below + GAP), row == 0
        pen.text((2, top + TILE // 2 - 16), name, fill=RED if forgotten else INK, font=font(15))
        role = "forget" if forgotten else "retain"
        pen.text((2, top + TILE // 2 + 2), role, fill=RED if forgotten else QUIET, font=font(11))
        for column, tile in enumerate(tiles):
            left = LABEL + column * (TILE + GAP)
            found.paste(tile.picture, (left, top))
            pen.text((left, top + TILE + 1), tile.below, fill=RED if forgotten else INK, font=font(12))
    return found


def drawn(run: Path) -> Image.Image:
    """Return pictures of a text-to-image run before and after, some objects in some styles."""
    rows = [
        (name, [Tile(picture=_opened(run, when, f"{name}-{style}-0")) for when in (BEFORE, AFTER) for style in STYLES])
        for name in OBJECTS
    ]
    return sheet(rows, ("before", "after, same prompts and noise"), below=0)


def answered(run: Path) -> Image.Image:
    """Return test pictures of a classifier's run, and what was answered before and after, and by a retrained model."""
    rows = [(f"a {digit}", list(_of_digit(run, digit))[:EACH]) for digit in DIGITS]
    return sheet(rows, ("answered before to after (by a model retrained without 3)",), below=16)


def _opened(run: Path, when: str, name: str) -> Image.Image:
    with Image.open(run / IMAGES / when / f"{name}.png") as picture:
        return picture.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)


def _of_digit(run: Path, digit: str) -> Iterator[Tile]:
    pictures = {one.id: one for one in Digits(DigitsOptions()).pictures("test")}
    retrained = load_file(run / "answers" / "retrained-0.safetensors")["logits"].argmax(1)
    for place, verdict in enumerate(read_verdicts(run)):
        if verdict.attributes["class"] == digit and verdict.sample in pictures:
            image = Image.fromarray(pictures[verdict.sample].read().permute(1, 2, 0).numpy())
            answers = f"{verdict.before['class']} to {verdict.after['class']} ({retrained[place]})"
            yield Tile(picture=image.resize((TILE, TILE), Image.Resampling.NEAREST), below=answers)


def main() -> None:
    """Write ``first-screen-uce.png`` and ``first-screen-salun.png``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uce", type=Path)
    parser.add_argument("salun", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/assets"))
    asked = parser.parse_args()
    for name, made in (("uce", drawn(asked.uce)), ("salun", answered(asked.salun))):
        made.save(asked.out / f"first-screen-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
