"""What the kit asks metrics to measure: every object in every style, and what is forgotten of them."""

from __future__ import annotations

from itertools import product

from vu_core.interfaces import MODEL
from vu_core.testing.cases import Component
from vu_core.testing.fake_data import OBJECTS, STYLES
from vu_core.types import Concept, Request, Sample

REQUEST = Request(forget=(Concept(name="cat"),), replace_with=(Concept(name="dog"),))
NEIGHBOURS = (Concept(name="dog"), Concept(name="fox"))

_SEEDS = 3
# Where a classifier is measured, its pictures lie in these splits by turns.
_SPLITS = ("train", "train", "test", "train", "validation", "test")


def samples_for(component: Component) -> list[Sample]:
    """Return every object in every style, often enough for the metric; where a classifier is measured, with splits."""
    cells = list(product(OBJECTS, STYLES))
    splits = _SPLITS if MODEL in component.spec.scorers else ("",)
    # One check excludes a quarter of them; what is left must be enough.
    seeds = max(_SEEDS, 2 * len(splits), -(-2 * component.spec.min_samples // len(cells)))
    return [
        Sample(
            id=f"{thing}-{style}-{seed}",
            prompt=f"a {thing} in {style} style",
            seed=seed,
            attributes={"object": thing, "style": style},
            cluster=f"{thing}-{style}" if splits == ("",) else f"{thing}-{style}-{seed}",
            split=splits[seed % len(splits)],
        )
        for seed in range(seeds)
        for thing, style in cells
    ]
