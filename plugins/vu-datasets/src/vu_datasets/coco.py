"""COCO captions: photographs with sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from vu_core import Concept
from vu_core.interfaces import Picture
from vu_core.picturedata import ANY, Found
from vu_core.pictures import read_image
from vu_datasets.base import FileDataset
from vu_datasets.config import CocoOptions
from vu_datasets.files import Source
from vu_datasets.images import moment

_PARTS = {"train": "train", "val": "test"}


class CocoCaptions(FileDataset):
    """Photographs with captions; any text is a concept.

    COCO's training part is what may be learned from. Its ``val`` part, whose captions protocols draw and whose
    photographs they compare with, is the split for testing.

    Args:
        config: Where the files are, which release, how they are split.
        download: Of no effect: there is no copy on the hub in this form.
    """

    source = Source(
        name="coco-captions",
        layout="annotations/captions_train2014.json and captions_val2014.json, with the photographs in train2014/ and "
        "val2014/ (or 2017 with --data year=2017)",
        url="https://cocodataset.org",
    )
    templates: ClassVar = {ANY: ("{}", "a picture of {}", "a photo of {}")}

    def __init__(self, config: CocoOptions, download: bool = False) -> None:
        super().__init__(config, download)
        self._year = config.year

    def named(self) -> list[Concept]:
        """Return none: captions alone say what the photographs show."""
        return []

    def found(self) -> list[Found]:
        """Return the photographs of each part that is there, each with the first of its captions."""
        root = self.source.find(self.config.root, download=self.download)
        files = {part: root / "annotations" / f"captions_{part}{self._year}.json" for part in _PARTS}
        present = {part: file for part, file in files.items() if file.is_file()}
        if not present:
            raise self.source.odd(root, f"there is no {' or '.join(str(f.relative_to(root)) for f in files.values())}")
        return [one for part, file in present.items() for one in self._part(root, part, file)]

    def _part(self, root: Path, part: str, file: Path) -> list[Found]:
        tables = self._tables(root, file)
        captions: dict[Any, str] = {}
        try:
            for entry in sorted(tables["annotations"], key=lambda entry: entry["id"]):
                captions.setdefault(entry["image_id"], " ".join(entry["caption"].split()))
            return [
                Found(
                    picture=Picture(
                        id=f"{part}-{image['id']}",
                        caption=captions.get(image["id"], ""),
                        load=partial(read_image, root / f"{part}{self._year}" / image["file_name"]),
                    ),
                    split=_PARTS[part],
                    time=moment(image["date_captured"]) if "date_captured" in image else None,
                )
                for image in tables["images"]
            ]
        except (KeyError, TypeError) as error:
            raise self.source.odd(root, f"an entry of '{file.name}' has no {error}") from error

    def _tables(self, root: Path, file: Path) -> Mapping[str, Any]:
        try:
            tables = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self.source.odd(root, f"'{file.name}' is not JSON: {error}") from error
        lacking = [name for name in ("images", "annotations") if not isinstance(tables, dict) or name not in tables]
        if lacking:
            raise self.source.odd(root, f"'{file.name}' has no '{lacking[0]}'")
        found: Mapping[str, Any] = tables
        return found
