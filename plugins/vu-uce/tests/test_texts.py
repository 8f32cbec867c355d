from __future__ import annotations

import pytest
from vu_uce.config import UceConfig
from vu_uce.texts import preserve_scale, texts_of

from vu_core.errors import ConfigError, RequestError
from vu_core.interfaces import Data
from vu_core.types import Concept, Request

CAT, DOG, NOTO = Concept(name="cat"), Concept(name="dog"), Concept(name="noto", kind="style")


def edited(request, data=None, **options):
    data = data or Data(forget=request.forget, retain=request.retain)
    texts = texts_of(request, data, UceConfig(**options))
    return {(item.prompt, *item.guides): count for item, count in texts.edited.items()}


@pytest.mark.parametrize(
    ("concept", "tokens", "guide"),
    [(CAT, "last", ""), (NOTO, "last", "art"), (CAT, "aligned-tail", " "), (NOTO, "aligned-tail", " ")],
)
def test_published_guides(concept, tokens, guide):
    assert edited(Request(forget=(concept,)), tokens=tokens) == {(concept.text, guide): 1}


def test_a_replacement_is_the_guide():
    request = Request(forget=(CAT, DOG), replace_with=(Concept(name="fox"), Concept(name="cow", text="brown cow")))
    assert edited(request) == {("cat", "fox"): 1, ("dog", "brown cow"): 1}


def test_the_neighbour_is_the_nearest_that_is_not_forgotten(dataset):
    request = Request(forget=(CAT, DOG))
    assert edited(request, dataset.split(request), guide="neighbour") == {("cat", "red fox"): 1, ("dog", "red fox"): 1}


def test_neighbours_need_a_dataset_and_one_that_is_left(dataset):
    with pytest.raises(ConfigError, match="guide=neighbour needs a dataset"):
        edited(Request(forget=(CAT,)), guide="neighbour")
    request = Request(forget=tuple(concept for concept in dataset.concepts() if concept.kind == "style"))
    with pytest.raises(RequestError, match="every neighbour of 'noto' is forgotten too"):
        edited(request, dataset.split(request), guide="neighbour")


@pytest.mark.parametrize(("tokens", "empty"), [("last", ""), ("aligned-tail", " ")])
def test_moderation_is_towards_the_empty_prompt(tokens, empty):
    assert edited(Request(forget=(NOTO,)), tokens=tokens, technique="moderate") == {("noto", empty): 1}


def test_published_expansion():
    phrases = edited(Request(forget=(CAT,), replace_with=(DOG,)), prompts="expanded")
    nouns = ("image", "photo", "portrait", "picture", "painting")
    assert phrases == {("cat", "dog"): 1, **{(f"{noun} of cat", f"{noun} of dog"): 1 for noun in nouns}}
    styles = edited(Request(forget=(NOTO,)), prompts="expanded")
    assert ("painting by noto", "painting by art") in styles and ("style of noto", "style of art") in styles


def test_the_datasets_prompts_are_paired(dataset):
    request = Request(forget=(CAT,), replace_with=(DOG,))
    expected = {("a cat here", "a dog here"): 1, ("one cat", "one dog"): 1}
    assert edited(request, dataset.split(request), prompts="dataset") == expected


def test_a_free_guide_takes_the_concepts_place_in_the_datasets_prompts(dataset):
    request = Request(forget=(CAT,))
    assert edited(request, dataset.split(request), prompts="dataset") == {
        ("a cat here", "a here"): 1,
        ("one cat", "one"): 1,
    }
    dataset.prompts = lambda concept: ["no such word"]
    with pytest.raises(ConfigError, match="do not all hold the words 'cat'"):
        edited(request, dataset.split(request), prompts="dataset")


def test_a_guide_of_another_kind_is_not_paired_with_the_concepts_prompts(dataset):
    request = Request(forget=(CAT,), replace_with=(NOTO,))
    own = dataset.prompts
    dataset.prompts = lambda concept: [*own(concept), f"any {concept.text}"] if concept == NOTO else own(concept)
    assert edited(request, dataset.split(request), prompts="dataset") == {
        ("a cat here", "a noto here"): 1,
        ("one cat", "one noto"): 1,
    }


def test_prompts_that_cannot_be_paired_are_refused(dataset):
    request = Request(forget=(CAT,), replace_with=(DOG,))
    own = dataset.prompts
    dataset.prompts = lambda concept: [*own(concept), "any dog"] if concept == DOG else own(concept)
    with pytest.raises(ConfigError, match="2 prompts of 'cat' and 3 of 'dog'"):
        edited(request, dataset.split(request), prompts="dataset")


def test_debias_pairs_a_concept_with_all_attributes():
    options = {"technique": "debias", "attributes": ("male", "female"), "attribute_weights": (0.1, -0.1)}
    assert edited(Request(forget=(Concept(name="doctor"),)), **options) == {("doctor", "male", "female"): 1}


def test_equal_texts_are_counted():
    request = Request(forget=(CAT, Concept(name="cat again", text="cat")), replace_with=(DOG,))
    assert edited(request) == {("cat", "dog"): 2}


@pytest.mark.parametrize(
    ("preserve", "tokens", "expected"),
    [
        ("request", "last", {"tree": 1}),
        ("request", "aligned-tail", {"": 1, "tree": 1}),
        ("none", "last", {}),
        ("none", "aligned-tail", {"": 1}),
    ],
)
def test_what_is_preserved(dataset, preserve, tokens, expected):
    request = Request(forget=(CAT,), retain=(Concept(name="tree"),))
    config = UceConfig(preserve=preserve, tokens=tokens)
    assert texts_of(request, dataset.split(request), config).preserved == expected


def test_the_datasets_choice_is_preserved_when_asked_for(dataset):
    request = Request(forget=(CAT,))
    assert not texts_of(request, dataset.split(request), UceConfig()).preserved
    preserved = texts_of(request, dataset.split(request), UceConfig(preserve="dataset", prompts="dataset")).preserved
    assert "a dog here" in preserved and "one tree" in preserved and "one cat" not in preserved


@pytest.mark.parametrize(
    ("options", "count", "expected"),
    [
        ({}, 5, 1.0),
        ({"tokens": "aligned-tail"}, 4, 0.25),
        ({"tokens": "aligned-tail"}, 50, 0.1),
        ({"preserve_scale": 0.0}, 4, 0.0),
    ],
)
def test_published_preserve_scales(options, count, expected):
    assert preserve_scale(UceConfig(**options), {f"text {i}": 1 for i in range(count)}) == expected


def test_bad_requests_are_refused():
    with pytest.raises(RequestError, match="text of concept 'void' is blank"):
        edited(Request(forget=(Concept(name="void", text="  "),)))
    with pytest.raises(RequestError, match="'moderate' takes no replacement, 'dog' was given"):
        edited(Request(forget=(CAT,), replace_with=(DOG,)), technique="moderate")


@pytest.mark.parametrize(
    "options",
    [
        {"technique": "debias"},
        {"attributes": ("male",), "attribute_weights": (1.0,)},
        {"technique": "debias", "attributes": ("male", "female"), "attribute_weights": (1.0,)},
    ],
)
def test_attributes_belong_to_debias(options):
    with pytest.raises(ConfigError, match="attribute"):
        UceConfig(**options)
