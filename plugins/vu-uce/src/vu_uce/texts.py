"""From a request to texts: which prompt turns into which, and which prompts are preserved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from vu_core.errors import ConfigError, RequestError
from vu_core.interfaces import Data, Dataset
from vu_core.types import Concept, Request
from vu_uce.config import UceConfig

STYLE_PHRASES = ("painting by {}", "art by {}", "artwork by {}", "picture by {}", "style of {}")
OBJECT_PHRASES = ("image of {}", "photo of {}", "portrait of {}", "picture of {}", "painting of {}")


@dataclass(frozen=True, order=True)
class Substitution:
    """A prompt of a forgotten concept and the prompts its new output is made of.

    Attributes:
        prompt: Shows the forgotten concept.
        guides: The guide's prompt; with ``debias``, one prompt for each attribute.
    """

    prompt: str
    guides: tuple[str, ...]


@dataclass(frozen=True)
class Texts:
    """The texts of one edit, each with how often it occurs; sorted, so that order has no influence.

    Attributes:
        edited: Substitutions.
        preserved: Prompts whose outputs are preserved.
    """

    edited: Mapping[Substitution, int]
    preserved: Mapping[str, int]


def texts_of(request: Request, data: Data, config: UceConfig) -> Texts:
    """Return the texts that ``request`` stands for under ``config``.

    Raises:
        RequestError: A concept's text is blank, or a replacement was given to a technique that takes none.
        ConfigError: An option needs a dataset that is not there, or prompts do not fit each other.
    """
    _check(request, config)
    edited: Counter[Substitution] = Counter()
    for index, concept in enumerate(request.forget):
        guides = _guides(request, index, data, config)
        prompts = _prompts(concept, config, data.dataset)
        columns = [_guide_prompts(guide, concept, prompts, config, data.dataset) for guide in guides]
        rows = zip(*columns, strict=True)
        edited.update(Substitution(prompt, row) for prompt, row in zip(prompts, rows, strict=True))
    return Texts(edited=dict(sorted(edited.items())), preserved=dict(sorted(_preserved(request, data, config).items())))


def preserve_scale(config: UceConfig, preserved: Mapping[str, int]) -> float:
    """Return the weight of a preserved row: the option, or the published value of the token rule."""
    if config.preserve_scale is not None:
        return config.preserve_scale
    if config.tokens == "last":
        return 1.0
    return max(0.1, 1 / sum(preserved.values()))


def _check(request: Request, config: UceConfig) -> None:
    for concept in chain(request.forget, request.retain):
        if not concept.text.strip():
            raise RequestError(f"the text of concept '{concept.name}' is blank", hint="Give it the words of a prompt.")
    if request.replace_with and config.technique in ("moderate", "debias"):
        raise RequestError(
            f"technique '{config.technique}' takes no replacement, '{request.replace_with[0].name}' was given",
            hint="Leave the replacement out, or use -o technique=replace.",
        )


def _guides(request: Request, index: int, data: Data, config: UceConfig) -> tuple[Concept | str, ...]:
    """Return what ``forget[index]`` turns into: one guide, or all attributes; a str is free text."""
    concept = request.forget[index]
    empty = "" if config.tokens == "last" else " "
    if config.technique == "debias":
        return config.attributes
    if config.technique == "moderate":
        return (empty,)
    replacement = request.replacement(index)
    if replacement is not None:
        return (replacement,)
    if config.guide == "neighbour":
        return (_neighbour(concept, request, data),)
    return ("art" if concept.kind == "style" and config.tokens == "last" else empty,)


def _neighbour(concept: Concept, request: Request, data: Data) -> Concept:
    forgotten = {other.name for other in (*request.forget, *data.gone)}
    dataset = _dataset(data.dataset, "guide=neighbour")
    for neighbour in dataset.neighbours(concept):
        if neighbour.name not in forgotten:
            return neighbour
    raise RequestError(f"every neighbour of '{concept.name}' is forgotten too", hint="Name one with --replace-with.")


def _prompts(concept: Concept, config: UceConfig, dataset: Dataset | None) -> list[str]:
    if config.prompts == "dataset":
        return list(_dataset(dataset, "prompts=dataset").prompts(concept))
    phrases = _phrases(concept) if config.prompts == "expanded" else ()
    return [concept.text, *(phrase.format(concept.text) for phrase in phrases)]


def _guide_prompts(
    guide: Concept | str, concept: Concept, prompts: Sequence[str], config: UceConfig, dataset: Dataset | None
) -> list[str]:
    """Return one prompt of ``guide`` for each of the prompts of the forgotten ``concept``.

    Those of two concepts of one kind belong together, one by one. Of other guides the words stand in for the concept's.
    """
    text = guide if isinstance(guide, str) else guide.text
    if config.prompts != "dataset":
        phrases = _phrases(concept) if config.prompts == "expanded" else ()
        return [text, *(phrase.format(text) for phrase in phrases)]
    known = _dataset(dataset, "prompts=dataset")
    if isinstance(guide, Concept) and guide.kind == concept.kind and guide in known.concepts():
        paired = list(known.prompts(guide))
        if len(paired) != len(prompts):
            raise ConfigError(
                f"the dataset has {len(prompts)} prompts of '{concept.name}' and {len(paired)} of '{guide.name}'",
                hint="As many are needed, to pair them; or use -o prompts=name.",
            )
        return paired
    if any(concept.text not in prompt for prompt in prompts):
        raise ConfigError(
            f"the dataset's prompts of '{concept.name}' do not all hold the words '{concept.text}'",
            hint="Replace it with a concept of the dataset, or use -o prompts=name.",
        )
    return [" ".join(prompt.replace(concept.text, text).split()) for prompt in prompts]


def _preserved(request: Request, data: Data, config: UceConfig) -> Counter[str]:
    concepts = {"request": request.retain, "dataset": data.retain, "none": ()}[config.preserve]
    always = [""] if config.tokens == "aligned-tail" else []
    if config.prompts == "dataset":
        return Counter(chain(always, *(_prompts(concept, config, data.dataset) for concept in concepts)))
    return Counter(chain(always, (concept.text for concept in concepts)))


def _phrases(concept: Concept) -> tuple[str, ...]:
    return STYLE_PHRASES if concept.kind == "style" else OBJECT_PHRASES


def _dataset(dataset: Dataset | None, option: str) -> Dataset:
    if dataset is None:
        raise ConfigError(f"{option} needs a dataset, and this run has none", hint="Name one with --dataset.")
    return dataset
