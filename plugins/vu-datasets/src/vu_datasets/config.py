"""Options of the datasets: where their files are, and how their pictures are split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vu_core.splits import SplitOptions, share


@dataclass(frozen=True, kw_only=True)
class FileOptions(SplitOptions):
    """Where the files of a dataset are, and which of its pictures are in which split."""

    root: str = field(
        default="",
        metadata={
            "help": "Folder or file, or id of a data set on the hub; default: its folder in VU_DATA_DIR.",
            "place": True,
        },
    )


@dataclass(frozen=True, kw_only=True)
class ClassOptions(FileOptions):
    """Options of a benchmark of classification: its test part is the source's."""

    membership: float = share(0.0, "that nothing learns from, for membership attacks")


@dataclass(frozen=True, kw_only=True)
class ImagesOptions(FileOptions):
    """Options of any folder or table of pictures."""

    concepts: tuple[str, ...] | None = field(
        default=None,
        metadata={
            "help": "Columns that say what a picture shows; each is a kind of concept. Empty for captions alone; "
            "default: label, where there is such a column."
        },
    )
    caption: str = field(default="text", metadata={"help": "Column of the captions; pictures may lack one."})
    time: str = field(default="", metadata={"help": "Column by which split=temporal orders: numbers or ISO dates."})


@dataclass(frozen=True, kw_only=True)
class LfwOptions(FileOptions):
    """Options of Labeled Faces in the Wild."""

    min_pictures: int = field(
        default=10, metadata={"help": "People with fewer pictures are no concepts; their pictures stay.", "ge": 1}
    )


@dataclass(frozen=True, kw_only=True)
class CocoOptions(FileOptions):
    """Options of COCO captions."""

    year: Literal["2014", "2017"] = field(default="2014", metadata={"help": "Which release."})
