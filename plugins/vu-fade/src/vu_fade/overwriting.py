"""Which caption the teacher reads for each picture of a forgotten concept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vu_train.captions import names, replace_concept
from vu_train.pictures import Example

from vu_core import Concept, Data, Request, RequestError


def overwriting_captions(examples: Sequence[Example], request: Request, data: Data) -> dict[str, str]:
    """Return the overwriting caption s* of each example, by the example's id.

    It is the caption that the data gives for this picture, where it gives one. Otherwise it is the picture's own
    caption with the words of every forgotten concept that it names replaced by those of its replacement, so that
    training, overwriting and drawing share one wording. Where the request names no replacement, it is the dataset's
    nearest concept that is not forgotten; without a dataset there is none, and the caption is empty: the picture is
    matched to no text at all.

    Args:
        examples: Pictures of forgotten concepts.
        request: What is forgotten, and what replaces it.
        data: Its dataset knows neighbours.

    Raises:
        RequestError: A caption shows none of the forgotten concepts, or all neighbours of one are forgotten too.
    """
    return {example.id: _overwriting(example, request, data) for example in examples}


def replacement_of(index: int, request: Request, data: Data) -> Concept | None:
    """Return what replaces ``request.forget[index]``; None for nothing, the empty caption.

    Raises:
        RequestError: All its neighbours are forgotten too.
    """
    named = request.replacement(index)
    if named is not None or data.dataset is None:
        return named
    concept = request.forget[index]
    for neighbour in data.dataset.neighbours(concept):
        if neighbour not in (*request.forget, *data.gone):
            return neighbour
    raise RequestError(f"every neighbour of '{concept.name}' is forgotten too", hint="Name one with --replace-with.")


def _overwriting(example: Example, request: Request, data: Data) -> str:
    if example.overwrite is not None:
        return example.overwrite
    caption = example.caption
    for index in _named(example, request):
        replacement = replacement_of(index, request, data)
        if replacement is None:
            return ""
        caption = replace_concept(caption, request.forget[index], replacement)
    return caption


def _named(example: Example, request: Request) -> list[int]:
    """Return which forgotten concepts are to be replaced in the example's caption; the only one when there is one."""
    if len(request.forget) == 1:
        return [0]
    for shows in (partial(names, example.caption), example.picture.shows):
        found = [index for index, concept in enumerate(request.forget) if shows(concept)]
        if found:
            return found
    listed = ", ".join(f"'{concept.name}'" for concept in request.forget)
    raise RequestError(
        f"picture '{example.id}' is to be forgotten but shows none of {listed}: '{example.caption}'",
        hint="Name the concept in its caption, or give its overwriting caption in the data.",
    )
