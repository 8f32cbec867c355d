"""From what a user calls a concept to the concept that a dataset knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vu_core.errors import RequestError, did_you_mean
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    from vu_core.interfaces import Dataset

NEIGHBOURS_EACH = 3


def find_concepts(
    texts: Iterable[str], dataset: Dataset | None, known: Mapping[str, Concept] | None = None
) -> tuple[Concept, ...]:
    """Return the concepts that ``texts`` mean; see `find_concept`.

    Args:
        texts: Each ``name`` or ``kind:name``.
        dataset: Where to look; None when any text is a concept.
        known: What some ``kind:name`` stand for; with a dataset it must be what the dataset says, too.

    Raises:
        RequestError: The dataset does not have one, has it in several kinds, or with another text.
    """
    found = []
    for text in texts:
        given = (known or {}).get(text)
        if given is None or dataset is not None:
            concept = find_concept(text, dataset)
            if given not in (None, concept):
                raise RequestError(
                    f"the dataset's '{text}' has the text '{concept.text}', '{given.text}' was given",
                    hint="Take the concept from the dataset, or give its name.",
                )
        found.append(given or concept)
    return tuple(found)


def qualified(concept: Concept) -> str:
    """Return ``kind:name``, as `find_concept` reads it."""
    return f"{concept.kind}:{concept.name}"


def find_concept(text: str, dataset: Dataset | None) -> Concept:
    """Return the concept that ``text``, ``name`` or ``kind:name``, means.

    Without a dataset, or with one that has captions alone, any text is a concept, of kind ``object`` unless
    it says otherwise.

    Raises:
        RequestError: The dataset does not have it, or has it in several kinds.
    """
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = "", text
    kind, name = kind.strip(), name.strip()
    known = dataset.concepts() if dataset else ()
    if not known:
        return Concept(name=name, kind=kind or "object")
    found = [concept for concept in known if concept.name == name and kind in ("", concept.kind)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(f"'{name}' is ambiguous", hint=f"Write {' or '.join(f'{c.kind}:{c.name}' for c in found)}.")
    by_kind: dict[str, list[str]] = {}
    for concept in known:
        by_kind.setdefault(concept.kind, []).append(concept.name)
    listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())
    suggestion = did_you_mean(name, [concept.name for concept in known])
    raise RequestError(
        f"the dataset has no concept '{text}'. {suggestion}".strip(),
        hint=f"It has {listed}.",
    )


def neighbours_of(request: Request, dataset: Dataset) -> tuple[Concept, ...]:
    """Return the concepts most likely to be damaged: the nearest few of each forgotten one that are kept."""
    nearest: dict[str, Concept] = {}
    for concept in request.forget:
        others = [other for other in dataset.neighbours(concept) if other not in request.forget]
        nearest.update((other.name, other) for other in others[:NEIGHBOURS_EACH])
    return tuple(nearest.values())
