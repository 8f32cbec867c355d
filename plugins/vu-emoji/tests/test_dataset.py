"""Concepts, prompts and neighbours of the testbed."""

from __future__ import annotations

import pytest
from vu_emoji.dataset import EVALUATED_WORDING, EmojiDataset

from vu_core import Concept, Request

DATA = EmojiDataset()
CONCEPTS = {concept.name: concept for concept in DATA.concepts()}
CAT, DOG, NOTO = CONCEPTS["cat"], CONCEPTS["dog"], CONCEPTS["noto"]


def test_concepts_are_unique():
    assert len(CONCEPTS) == len(DATA.concepts()) == 36
    assert {concept.kind for concept in CONCEPTS.values()} == {"object", "style"}


@pytest.mark.parametrize("concept", DATA.concepts(), ids=lambda concept: concept.name)
def test_prompts_are_aligned_within_a_kind(concept: Concept):
    first = CAT if concept.kind == "object" else NOTO

    def bare(one: Concept) -> list[list[str]]:
        words = [prompt.split() for prompt in DATA.prompts(one)]
        return [["_" if word == one.name else {"an": "a"}.get(word, word) for word in prompt] for prompt in words]

    assert bare(concept) == bare(first)
    assert all(concept.name in prompt.split() for prompt in DATA.prompts(concept))


@pytest.mark.parametrize("concept", DATA.concepts(), ids=lambda concept: concept.name)
def test_neighbours_are_all_others_of_the_kind(concept: Concept):
    found = DATA.neighbours(concept)
    assert sorted(c.name for c in found) == sorted(
        c.name for c in CONCEPTS.values() if c.kind == concept.kind and c != concept
    )


def test_nearest_neighbours():
    assert DATA.neighbours(CAT)[0] == DOG
    assert DATA.neighbours(CONCEPTS["bus"])[0] == CONCEPTS["car"]
    assert DATA.neighbours(CONCEPTS["mono"])[0] == CONCEPTS["flat"]


def test_the_evaluated_wording_is_one_of_the_captions():
    filled = EVALUATED_WORDING.format(object="cat", style="noto")
    catalogue = DATA._catalogue
    assert filled in {caption.text for caption in catalogue.captions("cat", "noto")}


def test_split_retains_the_others_of_the_kind_unless_told():
    data = DATA.split(Request(forget=(CAT,)))
    assert len(data.retain) == 29
    assert CAT not in data.retain
    assert {concept.kind for concept in data.retain} == {"object"}
    assert DATA.split(Request(forget=(CAT,), retain=(DOG,))).retain == (DOG,)


def test_prompts_to_retain_show_nothing_forgotten():
    data = DATA.split(Request(forget=(CAT, NOTO)))
    assert len(data.retain) == 34
    prompts = [prompt for concept in data.retain for prompt in data.dataset.prompts(concept)]
    assert not any({"cat", "noto"} & set(prompt.split()) for prompt in prompts)
    assert any("cat" in prompt.split() for prompt in data.dataset.prompts(CAT))
