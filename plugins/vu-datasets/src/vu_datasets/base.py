"""A dataset whose pictures lie in files that the user has."""

from __future__ import annotations

from typing import ClassVar

from vu_core.picturedata import PictureDataset
from vu_datasets.config import FileOptions
from vu_datasets.files import Source


class FileDataset(PictureDataset):
    """A dataset whose pictures lie in files that the user has; they are looked for when first needed.

    Attributes:
        source: Where the files come from.

    Args:
        config: Where they are and how they are split.
        download: Whether they may be fetched from the hub.
    """

    source: ClassVar[Source]
    config: FileOptions

    def __init__(self, config: FileOptions, download: bool = False) -> None:
        super().__init__(config, download)
        self.name = self.source.name

    def expected(self) -> str:
        """Return a sentence that says what the files look like and where they come from."""
        return self.source.expected()
