"""The interference matrix as a picture: which concept suffers when which is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.files import atomic_path
from vu_core.report import font

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from vu_core.interference import Cell, Interference
    from vu_core.types import Concept

_CELL, _EDGE, _HEAD, _LETTER = 30, 14, 64, 13
_PAPER, _INK, _QUIET, _EMPTY, _GRID = "#ffffff", "#1b1b1f", "#6b6b76", "#e6e6ea", "#ececf0"
_LOST, _GAINED = (178, 24, 43), (33, 102, 172)
_FULL = 100.0
_DARK = 0.55
_NOTED = 0.5  # Changes that round to zero are not written into their cells.


def write_heatmap(path: Path, found: Interference, title: str) -> None:
    """Draw the matrix of ``found`` under ``title``.

    Rows are what was forgotten, columns what was measured. A cell says how many percentage points of its
    column's accuracy changed: red was lost, blue was gained, white is unchanged. What was itself forgotten has a
    frame, neighbours of it have a dot.

    Raises:
        RunError: The file cannot be written.
    """
    left = _EDGE + max(_width(concept.name) for concept in found.forget) + 8
    top = _HEAD + max(_width(concept.name) for concept in found.measured) + 8
    sheet = _blank(left + _CELL * len(found.measured) + _EDGE, top + _CELL * len(found.forget) + _EDGE, title)
    for row, forget in enumerate(found.forget):
        _label(sheet, (left - 8, top + row * _CELL + _CELL // 2), forget.name, anchor="rm")
        for column, measured in enumerate(found.measured):
            corner = (left + column * _CELL, top + row * _CELL)
            _draw_cell(sheet, corner, found.cells.get((forget, measured)))
    for column, measured in enumerate(found.measured):
        _upright(sheet, (left + column * _CELL + _CELL // 2, top - 6), measured)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="png")


def _blank(width: int, height: int, title: str) -> Picture:
    from PIL import Image, ImageDraw

    explained = "Change of accuracy in percentage points: red lost, blue gained. Rows: forgotten; columns: measured."
    width = max(width, 2 * _EDGE + _width(explained), 2 * _EDGE + _width(title, 16))
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_EDGE, 10), title, fill=_INK, font=font(16))
    pen.text((_EDGE, 34), explained, fill=_QUIET, font=font(_LETTER))
    return sheet


def _draw_cell(sheet: Picture, corner: tuple[int, int], cell: Cell | None) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(sheet)
    x, y = corner
    box = (x, y, x + _CELL - 2, y + _CELL - 2)
    if cell is None:
        pen.rectangle(box, fill=_EMPTY)
        return
    share = min(abs(cell.change) / _FULL, 1.0)
    itself = cell.forget == cell.measured
    pen.rectangle(box, fill=_colour(cell.change, share), outline=_INK if itself else _GRID, width=2 if itself else 1)
    ink = _PAPER if share > _DARK else _INK
    if abs(cell.change) >= _NOTED:
        pen.text((x + _CELL // 2 - 1, y + _CELL // 2), f"{cell.change:+.0f}", fill=ink, font=font(11), anchor="mm")
    if cell.neighbour:
        pen.ellipse((x + _CELL - 9, y + 3, x + _CELL - 6, y + 6), fill=ink)


def _colour(change: float, share: float) -> tuple[int, int, int]:
    full = _LOST if change < 0 else _GAINED
    red, green, blue = (round(255 + (tone - 255) * share) for tone in full)
    return red, green, blue


def _label(sheet: Picture, where: tuple[int, int], text: str, *, anchor: str) -> None:
    from PIL import ImageDraw

    ImageDraw.Draw(sheet).text(where, text, fill=_INK, font=font(_LETTER), anchor=anchor)


def _upright(sheet: Picture, where: tuple[int, int], concept: Concept) -> None:
    """Write a column's name from its foot upwards."""
    from PIL import Image

    length, height = _width(concept.name) + 2, _LETTER + 6
    strip = Image.new("RGB", (length, height), _PAPER)
    _label(strip, (0, height // 2), concept.name, anchor="lm")
    turned: Any = strip.rotate(90, expand=True)
    sheet.paste(turned, (where[0] - height // 2, where[1] - length))


def _width(text: str, size: int = _LETTER) -> int:
    return int(font(size).getlength(text)) + 1
