"""Writing the sheet of digits from scikit-learn's copy of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from vu_core.files import atomic_path, write_text

_COLUMNS = 43
_LARGEST = 16


def write_pictures(assets: Path) -> None:
    """Write ``digits.png``, all digits side by side, and ``labels.json`` into ``assets``; needs scikit-learn.

    A pixel v of 0 to 16 becomes ``round(255 v / 16)``.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-not-found,import-untyped,unused-ignore]

    digits = load_digits()
    images = np.rint(digits.images * (255 / _LARGEST)).astype(np.uint8)
    rows = -(-len(images) // _COLUMNS)
    tiles = np.zeros((rows * _COLUMNS, 8, 8), np.uint8)
    tiles[: len(images)] = images
    sheet = tiles.reshape(rows, _COLUMNS, 8, 8).transpose(0, 2, 1, 3).reshape(rows * 8, _COLUMNS * 8)
    with atomic_path(assets / "digits.png") as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)
    write_text(assets / "labels.json", json.dumps(digits.target.tolist()) + "\n")
