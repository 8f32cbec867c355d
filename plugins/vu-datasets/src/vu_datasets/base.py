"""What the datasets share: concepts and prompts from templates, pictures in splits, a request's forget and retain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from vu_core import Concept, ConfigError, Data, Request
from vu_core.interfaces import Picture, Split
from vu_datasets.config import FileOptions
from vu_datasets.files import Source
from vu_datasets.splits import TRAIN, assign, draw

SAMPLES, RANDOM, ANY = "samples", "random", ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture as its source gives it.

    Attributes:
        picture: The picture.
        split: The split that the source puts it in; empty where it has none.
        time: When it was made; None where the source does not say.
    """

    picture: Picture
    split: str = ""
    time: str | float | None = field(default=None)


class FileDataset:
    """A dataset whose pictures lie in files that the user has; they are looked for when first needed.

    Attributes:
        source: Where the files come from.
        templates: Prompts by kind of concept; those of `ANY` for kinds that are not listed.

    Args:
        config: Where they are and how they are split.
        download: Whether they may be fetched from the hub.
    """

    source: ClassVar[Source]
    templates: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self, config: FileOptions, download: bool = False) -> None:
        self.config = config
        self.download = download

    def named(self) -> list[Concept]:
        """Return the concepts that prompts can show."""
        raise NotImplementedError

    def found(self) -> list[Found]:
        """Return all pictures, in a fixed order."""
        raise NotImplementedError

    def concepts(self) -> list[Concept]:
        """Return all concepts; the set of samples, where there is one, comes last."""
        random = Concept(name=RANDOM, kind=SAMPLES)
        return [*self._named, *([random] if self.config.samples else [])]

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Return the others of its kind: first those that share most words with it, else in their order."""
        words = _words(concept)
        others = [other for other in self.concepts() if other.kind == concept.kind and other != concept]
        return sorted(others, key=lambda other: -len(words & _words(other)))

    def prompts(self, concept: Concept) -> list[str]:
        """Return prompts that show ``concept``, in wordings that no protocol draws; none for a set of samples."""
        if concept.kind == SAMPLES:
            return []
        templates = self.templates.get(concept.kind) or self.templates[ANY]
        return [template.format(concept.text) for template in templates]

    def pictures(self, split: Split) -> list[Picture]:
        """Return the pictures of a split, in the source's order.

        Raises:
            ConfigError: The files are not there, or not as they should be.
        """
        return self._pictures[split]

    def split(self, request: Request) -> Data:
        """Return the request's concepts; the others of the forgotten kinds are retained unless it names some."""
        kinds = {concept.kind for concept in request.forget}
        others = tuple(c for c in self.concepts() if c.kind in kinds and c not in request.forget)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)

    @cached_property
    def _named(self) -> list[Concept]:
        return self.named()

    @cached_property
    def _pictures(self) -> dict[Split, list[Picture]]:
        found = {one.picture.id: one for one in self.found()}
        if not found:
            raise ConfigError(f"dataset '{self.source.name}' has no pictures", hint=self.source.expected())
        times = {id_: one.time for id_, one in found.items() if one.time is not None}
        splits = assign({id_: one.split for id_, one in found.items()}, self.config, times)
        parts: dict[Split, list[Picture]] = {"train": [], "validation": [], "test": [], "membership": []}
        for id_, one in found.items():
            parts[splits[id_]].append(self._with_samples(one.picture, splits[id_]))
        return parts

    def _with_samples(self, picture: Picture, split: Split) -> Picture:
        """Mark a picture that belongs to the set of random samples to forget."""
        if split != TRAIN or draw(self.config.seed, SAMPLES, picture.id) >= self.config.samples:
            return picture
        return replace(picture, attributes={**picture.attributes, SAMPLES: RANDOM})


def unique(concepts: Sequence[Concept]) -> list[Concept]:
    """Return ``concepts``, whose names are all different.

    Raises:
        ConfigError: Two kinds have a concept of one name.
    """
    kinds: dict[str, str] = {}
    for concept in concepts:
        other = kinds.setdefault(concept.name, concept.kind)
        if other != concept.kind:
            raise ConfigError(
                f"'{concept.name}' is both a {other} and a {concept.kind}",
                hint="Results are named after concepts: leave one of the columns out, as in --data concepts=style.",
            )
    return list(concepts)


def _words(concept: Concept) -> set[str]:
    return set(concept.text.lower().replace("_", " ").split())
