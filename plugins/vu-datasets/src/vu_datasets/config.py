"""Options of the datasets: where their files are, and how their pictures are split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


def _share(default: float, of: str) -> float:
    share: float = field(default=default, metadata={"help": f"Share of the pictures {of}.", "ge": 0, "lt": 1})
    return share


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Where the files of a dataset are, and which of its pictures are in which split.

    A picture's split depends on the seed, its id and the shares alone, not on what else is there.
    """

    root: str = field(
        default="",
        metadata={
            "help": "Folder or file, or id of a data set on the hub; default: its folder in VU_DATA_DIR.",
            "place": True,
        },
    )
    split: Literal["source", "random", "temporal"] = field(
        default="source",
        metadata={
            "help": "The source's own splits, and random ones where it has none; random ones for all; or by time: "
            "the newest pictures are for testing."
        },
    )
    seed: int = field(default=0, metadata={"help": "Seed of random splits.", "ge": 0})
    validation: float = _share(0.1, "for validation, where the source has no such split")
    test: float = _share(0.1, "for testing, where the source has no such split")
    membership: float = _share(0.1, "that nothing learns from, for membership attacks")
    samples: float = _share(0.0, "to learn from that make up the concept 'samples:random', which prompts do not show")

    def __post_init__(self) -> None:
        if self.validation + self.test + self.membership >= 1:
            raise ValueError("validation, test and membership leave nothing to learn from: their sum must be below 1")


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
