"""The art's concepts, their prompts and what resembles what, as vu asks for them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from vu_core import Concept, Data, Request
from vu_core.interfaces import Picture, Split
from vu_emoji.catalogue import load_catalogue, with_articles

OBJECT, STYLE, BOTH = "object", "style", "both"
EVALUATED_WORDING = "a {object} image in {style} style"


class EmojiDataset:
    """30 objects and 6 styles.

    Args:
        without: Names of concepts that no prompt mentions besides the one it is about. `split` leaves
            out what is being forgotten, so that a prompt to preserve a style shows no forgotten object.

    Example:
        >>> data = EmojiDataset()
        >>> cat = data.concepts()[0]
        >>> data.prompts(cat)[:2]
        ['cat', 'a cat']
        >>> [concept.name for concept in data.neighbours(cat)[:2]]
        ['dog', 'fox']
    """

    def __init__(self, without: Collection[str] = ()) -> None:
        self._catalogue = load_catalogue()
        self._without = frozenset(without)

    def concepts(self) -> list[Concept]:
        """Return the objects, then the styles, in the order of the judges' classes."""
        names = {OBJECT: self._catalogue.object_names, STYLE: self._catalogue.style_names}
        return [Concept(name=name, kind=kind) for kind in (OBJECT, STYLE) for name in names[kind]]

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Return the other concepts of its kind, the most similar first.

        Objects are near in the emoji taxonomy: same subgroup, then same group, then the others. Styles
        are near when their drawings of the same object differ little, pixel by pixel.

        Raises:
            KeyError: The concept is none of this dataset.
        """
        if concept.kind == OBJECT:
            near = self._catalogue.neighbours(concept.name)
            others = [name for name in self._catalogue.object_names if name not in (concept.name, *near)]
            names = [*near, *others]
        else:
            distances = _style_distances()
            others = [name for name in self._catalogue.style_names if name != concept.name]
            names = sorted(others, key=lambda name: distances[concept.name, name])
        return [Concept(name=name, kind=concept.kind) for name in names]

    def prompts(self, concept: Concept) -> list[str]:
        """Return prompts that show ``concept``: alone, and with every concept of the other kind.

        The i-th prompts of two concepts of one kind differ in the concept alone (and its article). The
        wording that the protocols draw is left out.
        """
        objects, styles = self._catalogue.object_names, self._catalogue.style_names
        other, names = (STYLE, styles) if concept.kind == OBJECT else (OBJECT, objects)
        templates = self._catalogue.templates
        alone = [template.format_map({concept.kind: concept.text}) for template in templates[concept.kind]]
        together = [
            template.format_map({concept.kind: concept.text, other: name})
            for name in names
            if name not in self._without
            for template in templates[BOTH]
            if template != EVALUATED_WORDING
        ]
        return [with_articles(prompt) for prompt in (*alone, *together)]

    def pictures(self, split: Split) -> list[Picture]:
        """Return the art of the pipeline's own training cells, composed anew for each split: see `vu_emoji.pictures`.

        Captions are prompts of `prompts` for the object and for the style, and name the background where
        it is not the default one.
        """
        from vu_emoji.pictures import list_pictures

        wordings = [template for template in self._catalogue.templates[BOTH] if template != EVALUATED_WORDING]
        return list_pictures(self._catalogue, split, wordings)

    def split(self, request: Request) -> Data:
        """Return what an unlearner may use: other wordings and none of the pictures of the protocols.

        Without ``request.retain``, all other concepts of the forgotten ones' kinds are retained.
        """
        kinds = {concept.kind for concept in request.forget}
        others = tuple(c for c in self.concepts() if c.kind in kinds and c not in request.forget)
        return Data(
            forget=request.forget,
            retain=request.retain or others,
            dataset=EmojiDataset(without=[concept.name for concept in request.forget]),
        )


@cache
def _style_distances() -> dict[tuple[str, str], float]:
    """Return the mean absolute difference of two styles' drawings of one object, in [0, 255]."""
    import numpy as np

    from vu_emoji.art import compose_cell

    catalogue = load_catalogue()
    drawings = {
        style: np.stack([np.asarray(compose_cell(name, style, (255, 255, 255))) for name in catalogue.object_names])
        for style in catalogue.style_names
    }
    return {
        (one, two): float(np.abs(drawings[one].astype(np.float64) - drawings[two]).mean())
        for one in drawings
        for two in drawings
    }
