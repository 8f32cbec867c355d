"""Writing the sheets of pictures from the files of Fashion-MNIST."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from PIL import Image

from vu_core.files import atomic_path, write_text
from vu_fashion.dataset import CLASSES, EACH, SIZE

_FILES = {"train": "train", "test": "t10k"}
_COLUMNS = 100


def write_pictures(source: Path, assets: Path) -> None:
    """Write ``train.png``, ``test.png`` and ``labels.json`` into ``assets``.

    Args:
        source: Folder of the four published files, as ``train-images-idx3-ubyte.gz``.
        assets: Where the sheets go, the first `EACH` pictures of each class in the source's order.

    Raises:
        OSError: A file is missing.
    """
    chosen: dict[str, list[int]] = {}
    for part, stem in _FILES.items():
        labels = _read(source / f"{stem}-labels-idx1-ubyte.gz", 8)
        images = _read(source / f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, *SIZE)
        places = np.sort(
            np.concatenate([np.flatnonzero(labels == label)[: EACH[part]] for label in range(len(CLASSES))])
        )
        rows = len(places) // _COLUMNS
        tiles = images[places].reshape(rows, _COLUMNS, *SIZE).transpose(0, 2, 1, 3)
        with atomic_path(assets / f"{part}.png") as temporary:
            Image.fromarray(tiles.reshape(rows * SIZE[0], -1)).save(temporary, format="PNG", optimize=True)
        chosen[part] = labels[places].tolist()
    write_text(assets / "labels.json", json.dumps(chosen) + "\n")


def _read(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=header)
