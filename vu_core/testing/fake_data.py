"""A dataset of a few words and of pictures as small."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, get_args

from vu_core.interfaces import Data, Picture, Split
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    import torch

OBJECTS = ("cat", "dog", "fox", "apple", "car", "house")
STYLES = ("sketch", "pastel", "mosaic")

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "object": ("{}", "a picture of {}", "{} in the rain"),
    "style": ("{} style", "a picture in {} style"),
}


class FakeDataset:
    """Six objects and three styles; offers `HasPictures`: 8 x 8 noise, tinted by object and style.

    Example:
        >>> data = FakeDataset()
        >>> [concept.name for concept in data.neighbours(data.concepts()[0])]
        ['dog', 'fox', 'apple', 'car', 'house']
    """

    def concepts(self) -> list[Concept]:
        """Return the objects, then the styles."""
        named = {"object": OBJECTS, "style": STYLES}
        return [Concept(name=name, kind=kind) for kind, names in named.items() for name in names]

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Return the other concepts of its kind, in the order of `concepts`."""
        return [other for other in self.concepts() if other.kind == concept.kind and other != concept]

    def prompts(self, concept: Concept) -> list[str]:
        """Return two or three prompts that show ``concept``."""
        return [template.format(concept.text) for template in _TEMPLATES[concept.kind]]

    def pictures(self, split: Split) -> list[Picture]:
        """Return a picture of each object in each style."""
        return [
            Picture(
                id=f"{split}-{name}-{style}",
                caption=f"{name} drawn as {style}",
                attributes={"object": name, "style": style},
                load=partial(_pixels, split, name, style),
            )
            for name in OBJECTS
            for style in STYLES
        ]

    def split(self, request: Request) -> Data:
        """Return the request's concepts; those of the forgotten kinds are retained unless it names others."""
        kinds = {concept.kind for concept in request.forget}
        others = tuple(c for c in self.concepts() if c.kind in kinds and c not in request.forget)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)


def _pixels(split: Split, name: str, style: str) -> torch.Tensor:
    import torch

    number = get_args(Split).index(split) * len(OBJECTS) + OBJECTS.index(name)
    generator = torch.Generator().manual_seed(number * len(STYLES) + STYLES.index(style))
    tint = torch.tensor([16 * OBJECTS.index(name), 40 * STYLES.index(style), 0])
    return (torch.randint(0, 128, (3, 8, 8), generator=generator) + tint[:, None, None]).to(torch.uint8)
