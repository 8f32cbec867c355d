"""What datasets of pictures share: concepts and prompts from templates, splits, sets of samples, forget and retain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vu_core.errors import ConfigError, DataError
from vu_core.interfaces import Data, Picture, Split
from vu_core.splits import SALUN, SAMPLES, TEST, TRAIN, VALIDATION, SplitOptions, assign, draw_samples
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    import torch

RANDOM, LISTED, ANY = "random", "listed", ""


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


class PictureDataset:
    """A dataset of pictures; `named` and `found` say which, and nothing is read before it is needed.

    Attributes:
        name: Of the dataset, for messages.
        templates: Prompts by kind of concept; those of `ANY` for kinds that are not listed.

    Args:
        config: How its pictures are split, and which make up a set of samples to forget.
        download: Whether files may be fetched over the network.
    """

    name: str
    templates: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self, config: SplitOptions, download: bool = False) -> None:
        self.config = config
        self.download = download

    def named(self) -> list[Concept]:
        """Return the concepts that prompts can show."""
        raise NotImplementedError

    def found(self) -> list[Found]:
        """Return all pictures, in a fixed order."""
        raise NotImplementedError

    def concepts(self) -> list[Concept]:
        """Return all concepts; the sets of samples, where there are any, come last."""
        sets = {RANDOM: self.config.samples > 0, LISTED: bool(self.config.indices)}
        return [*self._named, *(Concept(name=name, kind=SAMPLES) for name, there in sets.items() if there)]

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
            ConfigError: The files are not as they should be, or the listed pictures are none to learn from.
            DataError: The files are not there.
        """
        return self._pictures[split]

    def split(self, request: Request) -> Data:
        """Return the request's concepts; the others of the forgotten kinds are retained unless it names some."""
        kinds = {concept.kind for concept in request.forget}
        others = tuple(c for c in self.concepts() if c.kind in kinds and c not in request.forget)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)

    def expected(self) -> str:
        """Return a sentence that says what its files look like; empty where it brings them itself."""
        return ""

    @cached_property
    def _named(self) -> list[Concept]:
        return self.named()

    @cached_property
    def _pictures(self) -> dict[Split, list[Picture]]:
        found = {one.picture.id: one for one in self.found()}
        if not found:
            raise ConfigError(f"dataset '{self.name}' has no pictures", hint=self.expected())
        times = {id_: one.time for id_, one in found.items() if one.time is not None}
        classes = self._classes(found) if self.config.split == SALUN else {}
        splits = assign({id_: one.split for id_, one in found.items()}, self.config, times, classes)
        learned = [id_ for id_, split in splits.items() if split == TRAIN]
        sets = dict.fromkeys(draw_samples(learned, self.config), RANDOM)
        sets |= dict.fromkeys(self._listed(found, splits), LISTED)
        parts: dict[Split, list[Picture]] = {"train": [], "validation": [], "test": [], "membership": []}
        for id_, one in found.items():
            parts[splits[id_]].append(_marked(one.picture, sets[id_]) if id_ in sets else one.picture)
        return parts

    def _classes(self, found: Mapping[str, Found]) -> dict[str, int]:
        """Return the number of each picture's class, where it has one: its place among concepts of the first kind."""
        kind = self._named[0].kind if self._named else ANY
        names = [concept.name for concept in self._named if concept.kind == kind]
        numbers = {name: number for number, name in enumerate(names)}
        shown = {id_: one.picture.attributes.get(kind) for id_, one in found.items()}
        return {id_: numbers[name] for id_, name in shown.items() if name in numbers}

    def _listed(self, found: Mapping[str, Found], splits: Mapping[str, Split]) -> frozenset[str]:
        """Return the ids of the pictures that the file `SplitOptions.indices` names.

        Raises:
            ConfigError: One of them is no picture, or none that is learned from.
            DataError: The file cannot be read.
        """
        if not self.config.indices:
            return frozenset()
        source = [id_ for id_, one in found.items() if one.split not in (VALIDATION, TEST)]
        entries = _read_indices(Path(self.config.indices).expanduser())
        ids = [_id_of(entry, source, found, self.name) for entry in entries]
        elsewhere = [id_ for id_ in ids if splits[id_] != TRAIN]
        if elsewhere:
            raise ConfigError(
                f"{len(elsewhere)} of the {len(ids)} listed pictures are not learned from: "
                f"'{elsewhere[0]}' is in the split '{splits[elsewhere[0]]}'",
                hint="Leave them out of the list, or leave all in 'train': --data validation=0 --data membership=0.",
            )
        return frozenset(ids)


def _marked(picture: Picture, name: str) -> Picture:
    """Return a picture that belongs to the set of samples ``name``."""
    return replace(picture, attributes={**picture.attributes, SAMPLES: name})


def array_pictures(
    images: Any, attributes: Sequence[Mapping[str, str]], *, captions: Sequence[str], prefix: str, split: str = ""
) -> list[Found]:
    """Return a picture for each image of an array; ids are ``"<prefix>-00000"`` and so on.

    Args:
        images: uint8 (N, H, W), grey, or (N, 3, H, W) RGB, of numpy.
        attributes: What each shows, by kind.
        captions: Of each.
        prefix: Begins the ids.
        split: The split that the source puts all of them in.
    """
    return [
        Found(
            picture=Picture(
                id=f"{prefix}-{number:05d}",
                caption=caption,
                attributes=shown,
                load=partial(_pixels, images, number),
            ),
            split=split,
        )
        for number, (shown, caption) in enumerate(zip(attributes, captions, strict=True))
    ]


def _pixels(images: Any, number: int) -> torch.Tensor:
    import torch

    pixels = torch.tensor(images[number])
    return pixels.expand(3, -1, -1).contiguous() if pixels.ndim == 2 else pixels.contiguous()


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


def _read_indices(path: Path) -> list[str | int]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of pictures '{path}' cannot be read: {error}") from error
    try:
        entries = json.loads(text)
    except ValueError:
        entries = [int(line) if line.isdecimal() else line for line in map(str.strip, text.splitlines()) if line]
    entries = entries if isinstance(entries, list) else [entries]
    wrong = [entry for entry in entries if isinstance(entry, bool) or not isinstance(entry, str | int)]
    if wrong or not entries:
        raise ConfigError(
            f"'{path}' lists {f'{wrong[0]!r}, which is neither a number nor an id' if wrong else 'no pictures'}",
            hint="It is a JSON list, or has one entry a line: 17, or a picture's id.",
        )
    return entries


def _id_of(entry: str | int, source: Sequence[str], found: Mapping[str, Found], name: str) -> str:
    if isinstance(entry, int) and 0 <= entry < len(source):
        return source[entry]
    if isinstance(entry, str) and entry in found:
        return entry
    raise ConfigError(
        f"dataset '{name}' has no picture {entry!r} to learn from",
        hint=f"Numbers are places from 0 to {len(source) - 1}; ids look like '{next(iter(found))}'.",
    )


def _words(concept: Concept) -> set[str]:
    return set(concept.text.lower().replace("_", " ").split())
