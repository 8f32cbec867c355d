"""Pictures with labels, in memory: those that a classifier forgets, retains and is validated on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from vu_core import Data, Request, RequestError, RunError
from vu_core.context import RunContext
from vu_core.interfaces import HasPictures, Picture
from vu_core.types import Concept
from vu_train.images import BROKEN


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images and what they show.

    Attributes:
        images: uint8 (N, 3, H, W) RGB, on the CPU; or floating-point, in units in which pixels are in [0, 1].
        labels: int64 (N,), positions among the model's classes.
        ids: Names of the pictures, for messages.
    """

    images: torch.Tensor
    labels: torch.Tensor
    ids: tuple[str, ...]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.ids)

    def at(self, positions: torch.Tensor) -> LabelledImages:
        """Return those at ``positions``, int64 (n,), in this order."""
        ids = tuple(self.ids[position] for position in positions.tolist())
        return LabelledImages(images=self.images[positions], labels=self.labels[positions], ids=ids)

    def labelled(self, labels: torch.Tensor) -> LabelledImages:
        """Return the same images under other ``labels``, int64 (N,)."""
        return replace(self, labels=labels)

    def and_also(self, other: LabelledImages) -> LabelledImages:
        """Return these images followed by ``other``."""
        images, labels = (torch.cat(pair) for pair in ((self.images, other.images), (self.labels, other.labels)))
        return LabelledImages(images=images, labels=labels, ids=self.ids + other.ids)


class Labelled:
    """What a classifier may learn from, each set read when it is first asked for; made by `load_labelled`.

    The sets are parts of the dataset's splits ``"train"`` and ``"validation"``; from ``"test"`` and
    ``"membership"`` nothing is read.
    """

    def __init__(self, model: Any, request: Request, data: Data, ctx: RunContext) -> None:
        dataset: object = data.dataset
        if not isinstance(dataset, HasPictures):
            raise RequestError(
                "a classifier learns from a dataset's pictures, and this run has none",
                hint="Name a dataset with pictures: --dataset NAME; 'vu list dataset' shows which there are.",
            )
        if request.replace_with:
            raise RequestError(
                "a classifier forgets without putting anything in a concept's place",
                hint="Leave --replace-with out.",
            )
        self._model, self._request, self._data, self._ctx = model, request, data, ctx
        self._dataset = dataset
        # Said here, also to methods that read nothing of what is forgotten; no pixel is read for it.
        self._forgotten = [one for one in dataset.pictures("train") if _shows(one, request.forget)]
        if not self._forgotten:
            raise RequestError(f"no picture to learn from shows {_any_of(request.forget)}", hint=self._hint())

    @cached_property
    def forget(self) -> LabelledImages:
        """The training pictures that show what is forgotten, D_f.

        Raises:
            RequestError: One has a label that the model does not know, or another size.
            RunError: One cannot be read.
        """
        return self._read(self._forgotten, "forget")

    @cached_property
    def retain(self) -> LabelledImages:
        """The other training pictures, D_r: those of the concepts to retain where the request names some.

        What the model has forgotten already is not among them.

        Raises:
            RequestError: There is none, or one has a label that the model does not know, or another size.
            RunError: One cannot be read.
        """
        away, kept = (*self._request.forget, *self._data.gone), self._request.retain
        found = [
            one for one in self._dataset.pictures("train") if not _shows(one, away) and (not kept or _shows(one, kept))
        ]
        if not found:
            raise RequestError("no picture to learn from is left to retain", hint="Forget less, or retain more.")
        return self._read(found, "retain")

    @cached_property
    def validation(self) -> LabelledImages:
        """The pictures of the split ``"validation"``, D_v.

        Raises:
            RequestError: There is none, or one has a label that the model does not know, or another size.
            RunError: One cannot be read.
        """
        found = self._dataset.pictures("validation")
        if not found:
            raise RequestError(
                "the dataset has no pictures to validate on", hint="Set some apart: --data validation=0.1"
            )
        return self._read(found, "validation")

    def validation_of_forgotten(self) -> LabelledImages:
        """Return the validation pictures that show what is forgotten; all of them where none does, as for samples."""
        shown = [_shows(one, self._request.forget) for one in self._dataset.pictures("validation")]
        return self.validation.at(torch.tensor(shown).nonzero()[:, 0]) if any(shown) else self.validation

    def _read(self, pictures: Sequence[Picture], what: str) -> LabelledImages:
        model = self._model
        return read_labelled(pictures, model.kind, model.classes, model.picture_size, self._ctx, what=what)

    def _hint(self) -> str:
        kinds = {concept.kind for concept in self._request.forget}
        shown = {one.attributes[kind] for one in self._dataset.pictures("train") for kind in kinds & {*one.attributes}}
        return f"They show: {', '.join(sorted(shown))}." if shown else f"They have no {' and no '.join(sorted(kinds))}."


def load_labelled(model: Any, request: Request, data: Data, ctx: RunContext) -> Labelled:
    """Return what ``model`` may learn from for ``request``; no picture is read before its set is asked for.

    Args:
        model: Offers `Classifies`: a picture's label is its attribute of the model's kind.
        request: What is forgotten.
        data: Its dataset offers `HasPictures`.
        ctx: Shows how far reading is.

    Raises:
        RequestError: There is no dataset with pictures, none of them shows what is forgotten, or the request wants
            something put in a concept's place.
    """
    return Labelled(model, request, data, ctx)


def read_labelled(
    pictures: Iterable[Picture],
    kind: str,
    classes: Sequence[str],
    size: tuple[int, int],
    ctx: RunContext,
    *,
    what: str = "",
) -> LabelledImages:
    """Return ``pictures`` with their labels.

    Args:
        pictures: Of a dataset.
        kind: Which attribute is the label.
        classes: What it may be; labels are positions in it.
        size: Height and width that every picture has, in pixels.
        ctx: Shows how far it is.
        what: What the pictures are for, in a word: ``"forget"``.

    Raises:
        RequestError: A picture has a label that is not among ``classes``, or another size.
        RunError: A picture cannot be read.
    """
    place = {name: position for position, name in enumerate(classes)}
    images, labels, ids = [], [], []
    for picture in ctx.progress(list(pictures), label=f"read pictures {what}".rstrip()):
        name = picture.attributes.get(kind, "")
        if name not in place:
            shown = f"shows the {kind} '{name}'" if name else f"has no {kind}"
            raise RequestError(
                f"the picture '{picture.id}' {shown}, which the model does not know",
                hint=f"It knows: {', '.join(classes)}. Use the dataset that it was trained on.",
            )
        images.append(_pixels(picture, size))
        labels.append(place[name])
        ids.append(picture.id)
    stacked = torch.stack(images) if images else torch.empty(0, 3, *size, dtype=torch.uint8)
    return LabelledImages(images=stacked, labels=torch.tensor(labels, dtype=torch.int64), ids=tuple(ids))


def _pixels(picture: Picture, size: tuple[int, int]) -> torch.Tensor:
    try:
        image = picture.read()
    except BROKEN as error:
        raise RunError(f"the picture '{picture.id}' cannot be read: {error}") from error
    if tuple(image.shape) != (3, *size):
        raise RequestError(
            f"the picture '{picture.id}' has the shape {tuple(image.shape)}, the model reads {(3, *size)}",
            hint="Use the dataset that the model was trained on, at the same size.",
        )
    return image


def _shows(picture: Picture, concepts: Sequence[Concept]) -> bool:
    return any(picture.shows(concept) for concept in concepts)


def _any_of(concepts: Sequence[Concept]) -> str:
    return " or ".join(f"'{concept.name}'" for concept in concepts)
