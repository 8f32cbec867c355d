"""What every dataset keeps: concepts, neighbours, prompts and splits."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import partial
from typing import Any, TypeVar, get_args

from vu_core.interfaces import Data, HasPictures, Split
from vu_core.testing.cases import Check, Component, expect
from vu_core.testing.checks.spec import example_config
from vu_core.types import Concept, Request

T = TypeVar("T")

_ARTICLE = re.compile(r"\ban\b")
_TRIED = 40
_READ = 8


def check_concepts(component: Component) -> None:
    """Concepts have unique names, and their kinds are those of the spec."""
    concepts = list(_dataset(component).concepts())
    declared = sorted(component.spec.kinds)
    expect(bool(concepts) or not declared, "it has no concepts", "Return them from concepts().")
    wrong = [concept for concept in concepts if not isinstance(concept, Concept)]
    expect(not wrong, f"concepts() returns {wrong[:1]!r}", "Return vu_core.Concept objects.")
    repeated = [name for name, count in Counter(concept.name for concept in concepts).items() if count > 1]
    fix = "Results are named after concepts: give each a name of its own, and the words of prompts as text."
    expect(not repeated, f"the name {', '.join(map(repr, repeated))} is given twice", fix)
    kinds = sorted({concept.kind for concept in concepts})
    expect(
        not declared or kinds == declared,
        f"its concepts are of kinds {kinds}, the spec says {declared}",
        "Correct spec.kinds.",
    )


def check_neighbours(component: Component) -> None:
    """Neighbours are the other concepts of a concept's kind, each once."""
    dataset = _dataset(component)
    concepts = list(dataset.concepts())
    fix = "neighbours(concept) returns the other concepts of its kind, all of them, the most similar first."
    for concept in _some(concepts):
        found = list(dataset.neighbours(concept))
        others = [other for other in concepts if other.kind == concept.kind and other != concept]
        problem = f"the neighbours of '{concept.name}' are {_names(found)}, the others of its kind {_names(others)}"
        expect(Counter(found) == Counter(others), problem, fix)


def check_prompts(component: Component) -> None:
    """Prompts show their concept, and the i-th prompts of two concepts of one kind differ in that alone."""
    dataset = _dataset(component)
    fix = "Make prompts(concept) from one list of templates a kind, with the concept's text in each."
    first: dict[str, Concept] = {}
    for concept in dataset.concepts():
        prompts = list(dataset.prompts(concept))
        expect(bool(prompts), f"'{concept.name}' has no prompts", fix)
        hidden = [prompt for prompt in prompts if concept.text.lower() not in prompt.lower()]
        expect(not hidden, f"the prompt {hidden[:1]!r} of '{concept.name}' lacks '{concept.text}'", fix)
        model = first.setdefault(concept.kind, concept)
        wanted = list(dataset.prompts(model))
        same = f"'{model.name}' has {len(wanted)} prompts, '{concept.name}' has {len(prompts)}"
        expect(len(prompts) == len(wanted), same, fix)
        for one, other in zip(wanted, prompts, strict=True):
            expect(_aligned(one, model.text, other, concept.text), f"{one!r} and {other!r} differ in more", fix)


def check_repeatable(component: Component) -> None:
    """Two instances say the same, whatever the global random state."""
    found = []
    for seed in (1, 2):
        state = random.getstate()
        random.seed(seed)
        found.append(_said(_dataset(component)))
        random.setstate(state)
    fix = "Return concepts, neighbours and prompts in a fixed order, drawn from no global random state or set."
    for what in found[0]:
        expect(found[0][what] == found[1][what], f"{what} differ from one instance to the next", fix)


def check_split(component: Component) -> None:
    """What may be learned from: all that is forgotten, none of it retained, and all that the request retains."""
    dataset = _dataset(component)
    for request in _requests(dataset.concepts()):
        data = dataset.split(request)
        asked = _names(request.forget)
        expect(isinstance(data, Data), f"split returns a {type(data).__name__}", "Return vu_core.Data.")
        fix = "Return Data(forget=request.forget, retain=..., dataset=...)."
        expect(data.forget == request.forget, f"to forget {asked}, split gives {_names(data.forget)}", fix)
        both = set(data.forget) & set(data.retain)
        expect(not both, f"{_names(both)} is both forgotten and retained", "Leave what is forgotten out of retain.")
        fix = "Return request.retain where it is given, and concepts of this dataset where it is not."
        if request.retain:
            expect(
                data.retain == request.retain, f"of {_names(request.retain)}, {_names(data.retain)} is retained", fix
            )
        unknown = set(data.retain) - set(dataset.concepts())
        expect(not unknown, f"{_names(unknown)} is retained, but no concept of the dataset", fix)
        expect(bool(data.retain), f"to forget {asked}, nothing is retained", fix)


def check_training_pictures(component: Component) -> None:
    """Pictures to learn from, where it has any: uint8, of known concepts, each in one split, the same each time."""
    import torch

    dataset = _dataset(component)
    concepts = {(concept.kind, concept.name) for concept in dataset.concepts()}
    if not isinstance(dataset, HasPictures):
        return
    kinds = {kind for kind, _ in concepts}
    seen: set[str] = set()
    for split in get_args(Split):
        pictures = list(dataset.pictures(split))
        fix = "Return them in a fixed order, with ids that tell them apart; no picture is in two splits."
        ids = [picture.id for picture in pictures]
        same = ids == [picture.id for picture in _dataset(component).pictures(split)]
        expect(same, f"the pictures of '{split}' differ from one instance to the next", fix)
        twice = next((id_ for id_, count in Counter(ids).items() if count > 1 or id_ in seen), None)
        expect(twice is None, f"picture '{twice}' of '{split}' is given twice, or in another split, too", fix)
        seen.update(ids)
        shown = {pair for picture in pictures for pair in picture.attributes.items() if pair[0] in kinds}
        fix = "Name a picture's concepts by kind, as concepts() does."
        expect(shown <= concepts, f"pictures show {sorted(shown - concepts)}, which are no concepts", fix)
        for picture in _some(pictures)[:_READ]:
            pixels = picture.read()
            form = f"picture '{picture.id}' is {pixels.dtype} {tuple(pixels.shape)}"
            right = pixels.dtype == torch.uint8 and pixels.ndim == 3 and pixels.shape[0] == 3
            expect(right, form, "Read it as uint8 (3, H, W) RGB on the CPU.")


def _dataset(component: Component) -> Any:
    config = example_config(component)
    return component.load()() if config is None else component.load()(config=config, download=False)


def _requests(concepts: Any) -> list[Request]:
    """Return requests of one concept of each kind, and of two with others retained."""
    kinds: dict[str, list[Concept]] = {}
    for concept in concepts:
        kinds.setdefault(concept.kind, []).append(concept)
    large = [of_kind for of_kind in kinds.values() if len(of_kind) > 1]
    found = [Request(forget=(of_kind[0],)) for of_kind in large]
    found += [Request(forget=(of_kind[-1],), retain=(of_kind[0],)) for of_kind in large]
    return found + [Request(forget=tuple(of_kind[:2])) for of_kind in large if len(of_kind) > 2]


def _some(items: list[T]) -> list[T]:
    """Return all items, or some dozens spread evenly where there are many."""
    return items[:: max(len(items) // _TRIED, 1)]


def _said(dataset: Any) -> dict[str, Any]:
    concepts = list(dataset.concepts())
    some = _some(concepts)
    return {
        "concepts": concepts,
        "neighbours": [list(dataset.neighbours(concept)) for concept in some],
        "prompts": [list(dataset.prompts(concept)) for concept in some],
        "splits": [(data.forget, data.retain) for data in map(dataset.split, _requests(concepts))],
    }


def _aligned(one: str, text: str, other: str, other_text: str) -> bool:
    """Return whether two prompts differ in the concept's text alone, its article and capitals aside."""
    parts = one.lower().split(text.lower())
    text, other, other_text = text.lower(), other.lower(), other_text.lower()
    # The text may also occur where it is no concept, as "art" does in "art style".
    spots = range(1, len(parts))
    filled = [other_text.join(parts), *(text.join(parts[:i]) + other_text + text.join(parts[i:]) for i in spots)]
    return _plain(other) in map(_plain, filled)


def _plain(prompt: str) -> str:
    return _ARTICLE.sub("a", prompt)


def _names(concepts: Any) -> str:
    return ", ".join(concept.name for concept in concepts) or "nothing"


_check = partial(Check, subject="dataset")

CHECKS = (
    _check(check_concepts),
    _check(check_neighbours),
    _check(check_prompts),
    _check(check_repeatable),
    _check(check_split),
    _check(check_training_pictures),
)
