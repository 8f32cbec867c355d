"""CIFAR-10 and CIFAR-100: small photographs, from their binary files.

The form for Python is not read: it is pickle, and reading a pickle can run any code in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vu_core import Concept, ConfigError
from vu_datasets.files import Source
from vu_datasets.labelled import CLASS, LabelledDataset, Part

SUPERCLASS = "superclass"
SIDE = 32

CLASSES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUPERCLASSES: Mapping[str, tuple[str, ...]] = {
    "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet pepper"),
    "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple tree", "oak tree", "palm tree", "pine tree", "willow tree"),
    "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup truck", "train"),
    "vehicles 2": ("lawn mower", "rocket", "streetcar", "tank", "tractor"),
}
"""The classes of each superclass of CIFAR-100."""
CLASSES_100 = tuple(sorted(name for names in SUPERCLASSES.values() for name in names))
"""In the order of their numbers, which is that of the alphabet."""


class _Cifar(LabelledDataset):
    """What both have in common: records of label bytes and 3 x 32 x 32 pixel bytes.

    Attributes:
        files: By split, the names of the binary files.
        folders: Where they may lie below the root.
        pickles: Of the form for Python.
        labels: The kinds of the label bytes, in their order.
    """

    files: ClassVar[Mapping[str, tuple[str, ...]]]
    folders: ClassVar[tuple[str, ...]]
    pickles: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...]]

    def parts(self, root: Path) -> list[Part]:
        """Return the two parts of the binary files."""
        names = [name for names in self.files.values() for name in names]
        folder = next((root / inner for inner in self.folders if (root / inner / names[0]).is_file()), None)
        if folder is None:
            self._refuse_pickles(root)
            return []
        lacking = [name for name in names if not (folder / name).is_file()]
        if lacking:
            raise self.source.odd(folder, f"it has no {', '.join(lacking)}")
        return [self._part(split, [folder / name for name in names]) for split, names in self.files.items()]

    def _part(self, split: str, files: list[Path]) -> Part:
        import numpy as np

        head, size = len(self.labels), len(self.labels) + 3 * SIDE * SIDE
        records = []
        for file in files:
            content = np.fromfile(file, np.uint8)
            if len(content) % size or not len(content):
                raise self.source.odd(file, f"its {len(content)} bytes are no records of {size}")
            records.append(content.reshape(-1, size))
        together = np.concatenate(records)
        return Part(
            split=split,
            images=together[:, head:].reshape(-1, 3, SIDE, SIDE),
            labels={kind: together[:, place].tolist() for place, kind in enumerate(self.labels)},
        )

    def _refuse_pickles(self, root: Path) -> None:
        found = next((root / name for name in self.pickles if (root / name).is_file()), None)
        if found:
            raise ConfigError(
                f"'{found}' is the form of {self.source.name} for Python: pickle, and reading a pickle can run any "
                "code in it",
                hint=f"Take the binary version of {self.source.url}, or a table of .parquet files. {self.expected()}",
            )


class Cifar10(_Cifar):
    """Ten classes of photographs."""

    source = Source(
        name="cifar10",
        layout="data_batch_1.bin to data_batch_5.bin and test_batch.bin, there or in cifar-10-batches-bin (the binary "
        "version), or a Hugging Face data set with an image column and label",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        hub="uoft-cs/cifar10",
    )
    classes: ClassVar = {CLASS: CLASSES_10}
    columns: ClassVar = {CLASS: "label"}
    files: ClassVar = {
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    }
    folders: ClassVar = ("", "cifar-10-batches-bin")
    pickles: ClassVar = ("data_batch_1", "cifar-10-batches-py/data_batch_1", "cifar-10-python.tar.gz")
    labels: ClassVar = (CLASS,)


class Cifar100(_Cifar):
    """A hundred classes of photographs, five in each of twenty superclasses: forget one of either."""

    source = Source(
        name="cifar100",
        layout="train.bin and test.bin, there or in cifar-100-binary (the binary version), or a Hugging Face data set "
        "with an image column, fine_label and coarse_label",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        hub="uoft-cs/cifar100",
    )
    classes: ClassVar = {CLASS: CLASSES_100, SUPERCLASS: tuple(SUPERCLASSES)}
    columns: ClassVar = {CLASS: "fine_label", SUPERCLASS: "coarse_label"}
    files: ClassVar = {"train": ("train.bin",), "test": ("test.bin",)}
    folders: ClassVar = ("", "cifar-100-binary")
    pickles: ClassVar = ("train", "cifar-100-python/train", "cifar-100-python.tar.gz")
    labels: ClassVar = (SUPERCLASS, CLASS)

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Return the others of its kind; of a class, those of its superclass come first."""
        near = next((names for names in SUPERCLASSES.values() if concept.name in names), ())
        return sorted(super().neighbours(concept), key=lambda other: other.name not in near)
