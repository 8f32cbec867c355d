"""A dataset's own pictures, about which a protocol asks a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vu_core.errors import ConfigError
from vu_core.interfaces import HasPictures
from vu_core.types import Sample


@dataclass(frozen=True, kw_only=True)
class AskedPictures:
    """The dataset's pictures that a classifier is asked about.

    Attributes:
        splits: The splits of the dataset that they are in.
    """

    splits: tuple[Literal["train", "validation", "test"], ...]

    def __post_init__(self) -> None:
        if len(set(self.splits)) != len(self.splits) or not self.splits:
            raise ValueError(f"splits is {list(self.splits)}: name at least one, and each once")

    def samples(self, dataset: object) -> Iterator[Sample]:
        """Yield every picture of these splits, in the dataset's order; each is a cluster of its own.

        Raises:
            ConfigError: ``dataset`` offers no pictures.
        """
        if not isinstance(dataset, HasPictures):
            raise ConfigError(
                "the protocol asks about a dataset's pictures, but there is no dataset that offers any",
                hint="Name one with --dataset; see 'vu list dataset'.",
            )
        for split in self.splits:
            for picture in dataset.pictures(split):
                yield Sample(
                    id=picture.id,
                    prompt=picture.caption,
                    seed=0,
                    attributes=picture.attributes,
                    cluster=picture.id,
                    split=split,
                )
