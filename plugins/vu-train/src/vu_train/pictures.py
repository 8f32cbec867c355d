"""From what a user names as data to the pictures that are forgotten and retained."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vu_core import Concept, Data, Request, RequestError, RunError
from vu_core.context import RunContext
from vu_core.interfaces import HasPictures, Picture
from vu_core.types import FORGET, RETAIN
from vu_train.captions import PLACE, names
from vu_train.drawn import draw_pictures
from vu_train.files import Found, read_source
from vu_train.images import BROKEN, fit_image
from vu_train.randomness import seed_of
from vu_train.settings import DataSettings

_NAMED = 8


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture as it is trained on.

    Attributes:
        picture: Where it comes from.
        caption: What it is trained with: the picture's own, or the template of `DataSettings.caption`.
        overwrite: The caption that overwrites it, where the data gives one of its own.
        size: Height and width that `read` fits it to, in pixels.
    """

    picture: Picture
    caption: str
    overwrite: str | None = None
    size: tuple[int, int]

    @property
    def id(self) -> str:
        """The picture's name."""
        return self.picture.id

    def read(self) -> torch.Tensor:
        """Return its pixels: uint8 (3, H, W) RGB of the right size.

        Raises:
            OSError: Its file is missing or damaged.
        """
        return fit_image(self.picture.read(), self.size)


def load_pictures(
    model: Any,
    request: Request,
    data: Data,
    settings: DataSettings,
    ctx: RunContext,
    *,
    sets: Collection[str] = (FORGET, RETAIN),
) -> dict[str, tuple[Example, ...]]:
    """Return the pictures to forget and to retain, under ``"forget"`` and ``"retain"``; all can be read.

    A picture of a folder or file shows a concept when one of its columns names it, or, when it has no
    columns, its caption does. It is forgotten when it shows a forgotten concept; else retained when it
    shows a retained one, or when none was named.

    Args:
        model: Offers `Diffuses`; and `Samples` where it draws the pictures itself.
        request: What to forget.
        data: What may be used; its dataset may offer `HasPictures`.
        settings: Where pictures come from and what to do with unfit ones.
        ctx: For folder, progress and warnings: what was left out or cropped is counted there.
        sets: Which of the two are wanted.

    Raises:
        RequestError: A wanted set has no picture.
        RunError: The source does not exist, or a picture has no caption, cannot be read or has an odd
            size where that is refused.
    """
    side = settings.resolution
    size = (side, side) if side else model.picture_size
    found = _find(model, request, data, settings, ctx, size, sets)
    groups: dict[tuple[str, str], list[Example]] = {}
    for one in found:
        role, concept = _role(one, request, data)
        if role is not None and role in sets:
            caption = _caption(one.picture, concept, settings.caption)
            example = Example(picture=one.picture, caption=caption, overwrite=one.overwrite, size=size)
            groups.setdefault((role, _subject(one.picture, concept)), []).append(example)
    chosen: dict[str, list[Example]] = {role: [] for role in (FORGET, RETAIN) if role in sets}
    for (role, subject), examples in groups.items():
        chosen[role] += _some(examples, settings.pictures_each, seed_of(ctx.seed, "choose", role, subject))
    wanted = {FORGET: request.forget, RETAIN: data.retain}
    for role, examples in chosen.items():
        if not examples:
            raise RequestError(
                f"none of the {len(found)} pictures shows {_any_of(wanted[role])}", hint=_what_there_is(found)
            )
    usable = _usable([example for examples in chosen.values() for example in examples], settings, ctx)
    kept = {role: tuple(one for one in examples if one.id in usable) for role, examples in chosen.items()}
    emptied = next((role for role in kept if not kept[role]), None)
    if emptied:
        raise RequestError(f"no picture to {emptied} is left after those that had to be left out")
    return kept


def _find(
    model: Any,
    request: Request,
    data: Data,
    settings: DataSettings,
    ctx: RunContext,
    size: tuple[int, int],
    sets: Collection[str],
) -> list[Found]:
    source = settings.pictures
    dataset: object = data.dataset
    if source not in ("auto", "dataset", "model"):
        return read_source(Path(source).expanduser(), ctx)
    if source != "model" and isinstance(dataset, HasPictures):
        return [Found(picture=picture) for picture in dataset.pictures("train")]
    if source == "dataset":
        raise RequestError(
            "pictures=dataset was asked for, but this run's dataset has no pictures",
            hint="Use pictures=model, or name a folder.",
        )
    if RETAIN in sets and not data.retain:
        raise RequestError(
            "the model is to draw the pictures to learn from, but no concept to retain is known",
            hint="Name some with --retain.",
        )
    concepts = [*request.forget, *(data.retain if RETAIN in sets else ())]
    return [Found(picture=picture) for picture in draw_pictures(model, concepts, data, settings, ctx, size)]


def _role(found: Found, request: Request, data: Data) -> tuple[str | None, Concept | None]:
    """Return whether a picture is forgotten, retained or neither (None), and the concept that decides it."""
    forgotten = next((concept for concept in request.forget if _shows(found.picture, concept)), None)
    retained = next((concept for concept in data.retain if _shows(found.picture, concept)), None)
    if found.role:
        return found.role, forgotten if found.role == FORGET else retained
    if forgotten:
        return FORGET, forgotten
    return (RETAIN, retained) if retained or not data.retain else (None, None)


def _subject(picture: Picture, concept: Concept | None) -> str:
    """Return what a picture counts as where only so many of each concept are taken."""
    return concept.text if concept else next(iter(picture.attributes.values()), "")


def _some(examples: list[Example], most: int | None, seed: int) -> list[Example]:
    """Return at most ``most`` examples, chosen by ``seed``, in their order."""
    if most is None or len(examples) <= most:
        return examples
    chosen = random.Random(seed).sample(range(len(examples)), most)
    return [examples[index] for index in sorted(chosen)]


def _shows(picture: Picture, concept: Concept) -> bool:
    if picture.shows(concept):
        return True
    if not picture.attributes:
        return names(picture.caption, concept)
    return concept.kind not in picture.attributes and concept.name in picture.attributes.values()


def _caption(picture: Picture, concept: Concept | None, template: str) -> str:
    """Return the caption of a picture.

    Raises:
        RunError: It has none, and there is no template that fits.
    """
    if template:
        text = _subject(picture, concept)
        if text or PLACE not in template:
            return template.replace(PLACE, text)
        raise RunError(f"what '{picture.id}' shows is not known, so '{template}' cannot be its caption")
    if not picture.caption.strip():
        raise RunError(
            f"the picture '{picture.id}' has no caption",
            hint="Give one template for all: -o caption='a photo of {concept}'.",
        )
    return picture.caption


def _usable(examples: Sequence[Example], settings: DataSettings, ctx: RunContext) -> set[str]:
    """Return the ids of the pictures that can be used; count the others in the warnings, or refuse them."""
    unread: dict[str, str] = {}
    odd: dict[str, str] = {}
    for example in ctx.progress(examples, label="check pictures"):
        try:
            height, width = example.picture.read().shape[1:]
        except BROKEN as error:
            unread[example.id] = str(error) or type(error).__name__
            continue
        if (height, width) != example.size:
            odd[example.id] = f"{height} x {width}"
    wanted = " x ".join(map(str, examples[0].size))
    _refuse_or_count(unread, len(examples), "cannot be read", settings.broken, "broken", ctx)
    action = settings.odd_sizes
    _refuse_or_count(odd, len(examples), f"are not {wanted} pixels large", action, "odd_sizes", ctx)
    left_out = {*unread, *(odd if action == "skip" else ())}
    return {example.id for example in examples} - left_out


def _refuse_or_count(
    which: Mapping[str, str], total: int, what: str, action: str, option: str, ctx: RunContext
) -> None:
    if not which:
        return
    named = ", ".join(f"'{id_}' ({reason})" for id_, reason in list(which.items())[:_NAMED])
    more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
    sentence = f"{len(which)} of {total} pictures {what}: {named}{more}"
    if action == "refuse":
        raise RunError(sentence, hint=f"Mend or remove them, or leave them out with -o {option}=skip.")
    done = "they were scaled and cropped" if action == "crop" else "they were left out"
    ctx.warnings.append(f"{sentence}; {done}")


def _any_of(concepts: Sequence[Concept]) -> str:
    return " or ".join(f"'{concept.name}'" for concept in concepts) or "anything else"


def _what_there_is(found: Sequence[Found]) -> str:
    counts = Counter(value for one in found for value in one.picture.attributes.values())
    listed = ", ".join(f"{value} ({count})" for value, count in counts.most_common(_NAMED))
    return f"They show: {listed}." if listed else "Their captions do not name it; give a column that does."
