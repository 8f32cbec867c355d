"""Fashion-MNIST: grey pictures of clothes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any, ClassVar

from vu_datasets.files import Source
from vu_datasets.labelled import CLASS, LabelledDataset, Part

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_STEMS = {"train": "train", "test": "t10k"}
_PLACES = ("", "raw", "FashionMNIST/raw")
_BYTES, _DIMENSIONS = 8, {"images-idx3-ubyte": 3, "labels-idx1-ubyte": 1}


class FashionMnist(LabelledDataset):
    """Ten classes of clothes."""

    source = Source(
        name="fashion-mnist",
        layout="train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k, each plain or .gz, there or in "
        "FashionMNIST/raw, as torchvision keeps them; or a Hugging Face data set with an image column and label",
        url="https://github.com/zalandoresearch/fashion-mnist",
        hub="zalando-datasets/fashion_mnist",
        system="/usr/share/datasets/fashion-mnist",
    )
    classes: ClassVar = {CLASS: CLASSES}
    columns: ClassVar = {CLASS: "label"}

    def parts(self, root: Path) -> list[Part]:
        """Return the two parts of the published files."""
        folder = next((root / place for place in _PLACES if _file(root / place, "train-images-idx3-ubyte")), None)
        if folder is None:
            return []
        found = []
        for split, stem in _STEMS.items():
            images, labels = (self._read(folder, f"{stem}-{kind}", size) for kind, size in _DIMENSIONS.items())
            found.append(Part(split=split, images=images, labels={CLASS: labels.tolist()}))
        return found

    def _read(self, folder: Path, name: str, dimensions: int) -> Any:
        """Return the array of bytes in an IDX file."""
        import numpy as np

        path = _file(folder, name)
        if path is None:
            raise self.source.odd(folder, f"it has no {name}")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            zeros, kind, count = struct.unpack_from(">HBB", content)
            shape = struct.unpack_from(f">{dimensions}I", content, 4)
            if (zeros, kind, count) != (0, _BYTES, dimensions):
                raise ValueError(f"it is no IDX file of bytes in {dimensions} dimensions")
            return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
        except (OSError, EOFError, ValueError, struct.error) as error:
            raise self.source.odd(path, str(error)) from error


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
