"""Street View House Numbers: photographs of single digits."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from vu_core import RunError
from vu_datasets.files import Source
from vu_datasets.labelled import CLASS, LabelledDataset, Part

CLASSES = tuple("0123456789")

_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
_ZERO = 10  # The label of the digit 0.


class Svhn(LabelledDataset):
    """Ten digits; the source's extra pictures are left out."""

    source = Source(
        name="svhn",
        layout="train_32x32.mat and test_32x32.mat (format 2, cropped digits; needs scipy), or a Hugging Face data set "
        "with an image column and label",
        url="http://ufldl.stanford.edu/housenumbers",
        hub="ufldl-stanford/svhn",
    )
    classes: ClassVar = {CLASS: CLASSES}
    columns: ClassVar = {CLASS: "label"}

    def parts(self, root: Path) -> list[Part]:
        """Return the two parts of the published files."""
        if not (root / _FILES["train"]).is_file():
            return []
        return [self._part(split, root / name) for split, name in _FILES.items()]

    def _part(self, split: str, path: Path) -> Part:
        try:
            from scipy.io import loadmat  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise RunError(f"reading '{path}' needs scipy", hint="pip install vu-datasets[svhn]") from error
        try:
            content = loadmat(path, variable_names=("X", "y"))
            images, labels = content["X"], content["y"].ravel()
            if images.dtype.name != "uint8" or images.shape[:3] != (32, 32, 3):
                raise ValueError(f"its pictures are {images.dtype} {images.shape}")
        except (OSError, KeyError, ValueError, TypeError, NotImplementedError) as error:
            raise self.source.odd(path, f"it is no file of SVHN: {error}") from error
        digits = [0 if label == _ZERO else int(label) for label in labels]
        return Part(split=split, images=images.transpose(3, 2, 0, 1), labels={CLASS: digits})
