"""A dataset of a few words."""

from __future__ import annotations

from collections.abc import Mapping

from vu_core.interfaces import Data
from vu_core.types import Concept, Request

OBJECTS = ("cat", "dog", "fox", "apple", "car", "house")
STYLES = ("sketch", "pastel", "mosaic")

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "object": ("{}", "a picture of {}", "{} in the rain"),
    "style": ("{} style", "a picture in {} style"),
}


class FakeDataset:
    """Six objects and three styles.

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

    def split(self, request: Request) -> Data:
        """Return the request's concepts; those of the forgotten kinds are retained unless it names others."""
        kinds = {concept.kind for concept in request.forget}
        others = tuple(c for c in self.concepts() if c.kind in kinds and c not in request.forget)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)
