"""Names, captions and splits of the emoji testbed. Light: the standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

Split = Literal["all", "train", "held-out"]
Cell = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ObjectConcept:
    """One drawable object and its place in the emojibase taxonomy."""

    name: str
    code_point: str
    label: str
    group: str
    subgroup: str


@dataclass(frozen=True, kw_only=True)
class Style:
    """One emoji set: the word used for it in captions, where its art comes from, its licence."""

    name: str
    title: str
    package: str
    version: str
    licence: str
    author: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Background:
    """A plain background colour with the word used for it in captions."""

    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A caption and the facts that it states; an unstated fact is None."""

    text: str
    object: str | None = None
    style: str | None = None
    background: str | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything that ``assets/concepts.json`` says."""

    objects: tuple[ObjectConcept, ...]
    styles: tuple[Style, ...]
    backgrounds: tuple[Background, ...]
    default_background: str
    held_out: frozenset[Cell]
    templates: dict[str, tuple[str, ...]]
    background_suffix: str
    art_size: int
    image_size: int
    annotations: dict[str, str]

    @property
    def object_names(self) -> tuple[str, ...]:
        """The objects' names, in the order of the judge's classes."""
        return tuple(item.name for item in self.objects)

    @property
    def style_names(self) -> tuple[str, ...]:
        """The styles' names, in the order of the judge's classes."""
        return tuple(item.name for item in self.styles)

    @property
    def background_names(self) -> tuple[str, ...]:
        """The backgrounds' names."""
        return tuple(item.name for item in self.backgrounds)

    def cells(self, split: Split = "all") -> tuple[Cell, ...]:
        """Returns the (object, style) cells of a split.

        Args:
            split: ``train`` are the cells that the pipeline learned from, ``held-out`` the
                ones kept from it to test composition.

        Example:
            >>> from vu_emoji.catalogue import load_catalogue
            >>> len(load_catalogue().cells())
            180
        """
        every = ((o, s) for o in self.object_names for s in self.style_names)
        if split == "all":
            return tuple(every)
        return tuple(cell for cell in every if (cell in self.held_out) == (split == "held-out"))

    def rgb(self, background: str | None = None) -> tuple[int, int, int]:
        """Returns a background's colour; of the default background when none is named.

        Raises:
            KeyError: there is no background of that name.
        """
        wanted = background or self.default_background
        for item in self.backgrounds:
            if item.name == wanted:
                return item.rgb
        raise KeyError(f"unknown background {wanted!r}; known: {', '.join(self.background_names)}")

    def caption(
        self,
        object: str | None = None,
        style: str | None = None,
        background: str | None = None,
        *,
        template: int = 0,
    ) -> str:
        """Returns a caption that states the given facts; empty when there are none.

        Args:
            object: an object's name, or None to leave it open.
            style: a style's name, or None to leave it open.
            background: a background's name, or None for the default one.
            template: which of the wordings for these facts to use.

        Example:
            >>> from vu_emoji.catalogue import load_catalogue
            >>> load_catalogue().caption("apple", "noto", "blue")
            'a noto apple on a blue background'
        """
        if object and style:
            kind = "both"
        elif object:
            kind = "object"
        elif style:
            kind = "style"
        else:
            return ""
        text = self.templates[kind][template].format(object=object or "", style=style or "")
        if background:
            text += self.background_suffix.format(background=background)
        return with_articles(text)

    def captions(self, object: str, style: str) -> Iterator[Caption]:
        """Yields every caption that is true of a cell, on the default and on named backgrounds."""
        facts = {"both": (object, style), "object": (object, None), "style": (None, style)}
        for kind, (object_fact, style_fact) in facts.items():
            for template in range(len(self.templates[kind])):
                for background in (None, *self.background_names):
                    yield Caption(
                        text=self.caption(object_fact, style_fact, background, template=template),
                        object=object_fact,
                        style=style_fact,
                        background=background,
                    )

    def neighbours(self, object: str, count: int | None = None) -> tuple[str, ...]:
        """Returns the objects nearest in the taxonomy: same subgroup first, then same group.

        Args:
            object: the object whose neighbours are wanted.
            count: at most so many; all of them when None.

        Raises:
            KeyError: there is no object of that name.
        """
        by_name = {item.name: item for item in self.objects}
        me = by_name[object]
        others = [item for item in self.objects if item.name != object and item.group == me.group]
        others.sort(key=lambda item: item.subgroup != me.subgroup)
        return tuple(item.name for item in others[:count])


def with_articles(text: str) -> str:
    """Returns the text with ``a`` turned into ``an`` before a vowel.

    Example:
        >>> from vu_emoji.catalogue import with_articles
        >>> with_articles("a picture of a apple")
        'a picture of an apple'
    """
    words = text.split(" ")
    for i in range(len(words) - 1):
        if words[i] == "a" and words[i + 1][:1] in set("aeiou"):
            words[i] = "an"
    return " ".join(words)


def assets() -> Path:
    """Returns the folder of the shipped art, pipeline and judges."""
    return Path(str(files("vu_emoji"))) / "assets"


def parse_catalogue(data: dict[str, Any]) -> Catalogue:
    """Returns the catalogue held by the parsed JSON of ``concepts.json``."""
    return Catalogue(
        objects=tuple(ObjectConcept(**item) for item in data["objects"]),
        styles=tuple(Style(**item) for item in data["styles"]),
        backgrounds=tuple(Background(name=item["name"], rgb=tuple(item["rgb"])) for item in data["backgrounds"]),
        default_background=data["default_background"],
        held_out=frozenset((cell[0], cell[1]) for cell in data["held_out"]),
        templates={kind: tuple(texts) for kind, texts in data["templates"].items()},
        background_suffix=data["background_suffix"],
        art_size=data["art_size"],
        image_size=data["image_size"],
        annotations=data["annotations"],
    )


@cache
def load_catalogue() -> Catalogue:
    """Returns the shipped catalogue."""
    return parse_catalogue(json.loads((assets() / "concepts.json").read_text(encoding="utf-8")))
