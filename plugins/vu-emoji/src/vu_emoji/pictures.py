"""The art as pictures to learn from: placements and backgrounds drawn from a seed of each split's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vu_core.interfaces import Picture, Split
from vu_emoji.art import Placement, PlacementRange, compose_cell
from vu_emoji.catalogue import Catalogue, with_articles

if TYPE_CHECKING:
    import torch

# Unlike those of the pipeline's and the judges' own training, so that no placement is repeated.
_SEEDS: dict[Split, int] = {"train": 7001, "validation": 7002, "test": 7003, "membership": 7004}
_PLAIN, _COLOURED = 4, 4


def list_pictures(catalogue: Catalogue, split: Split, wordings: Sequence[str]) -> list[Picture]:
    """Return the pictures of a split: each cell that the pipeline learned from, eight times.

    Half stand on the default background, the others on one of the rest, which the caption names. The
    cells kept from the pipeline to test composition are in no split.

    Args:
        catalogue: What there is to see.
        split: Decides placements, backgrounds and wordings.
        wordings: Templates of captions with ``{object}`` and ``{style}``.
    """
    rng = np.random.default_rng(_SEEDS[split])
    places = PlacementRange()
    others = [name for name in catalogue.background_names if name != catalogue.default_background]
    found = []
    for object_name, style in catalogue.cells("train"):
        for copy in range(_PLAIN + _COLOURED):
            background = catalogue.default_background if copy < _PLAIN else str(rng.choice(others))
            caption = str(rng.choice(wordings)).format(object=object_name, style=style)
            if background != catalogue.default_background:
                caption += catalogue.background_suffix.format(background=background)
            placement = places.sample(rng)
            rgb = catalogue.rgb(background)
            found.append(
                Picture(
                    id=f"{split}-{object_name}-{style}-{copy}",
                    caption=with_articles(caption),
                    attributes={"object": object_name, "style": style, "background": background},
                    load=partial(_compose, object_name, style, rgb, placement, catalogue.image_size),
                )
            )
    return found


def _compose(object: str, style: str, rgb: tuple[int, int, int], placement: Placement, size: int) -> torch.Tensor:
    """Return the drawing on its background: uint8 (3, size, size) RGB."""
    import torch

    image = compose_cell(object, style, rgb, placement, size)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
