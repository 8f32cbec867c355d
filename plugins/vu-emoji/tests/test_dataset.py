"""Concepts, prompts and neighbours of the testbed."""

from __future__ import annotations

import pytest
import torch
from vu_emoji.dataset import EVALUATED_WORDING, EmojiDataset

from vu_core import Concept, Request
from vu_core.interfaces import HasPictures, Split

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


SPLITS: tuple[Split, ...] = ("train", "validation", "test", "membership")


def test_pictures_are_the_same_each_time_and_no_picture_is_in_two_splits():
    pixels: dict[bytes, str] = {}
    for split in SPLITS:
        pictures = DATA.pictures(split)
        assert len({picture.id for picture in pictures}) == len(pictures) == 174 * 8
        assert [picture.id for picture in DATA.pictures(split)] == [picture.id for picture in pictures]
        for picture in pictures[::40]:
            read = picture.read()
            assert read.shape == (3, 64, 64) and read.dtype == torch.uint8
            assert torch.equal(read, picture.read())
            assert pixels.setdefault(read.numpy().tobytes(), picture.id) == picture.id


def test_captions_are_prompts_of_what_the_picture_shows():
    held_out = DATA._catalogue.held_out
    concepts = {(concept.kind, concept.name): set(DATA.prompts(concept)) for concept in DATA.concepts()}
    for picture in DATA.pictures("train"):
        shown, style, background = (picture.attributes[kind] for kind in ("object", "style", "background"))
        assert (shown, style) not in held_out
        prompt = picture.caption.removesuffix(f" on a {background} background")
        assert (prompt == picture.caption) == (background == "white")
        assert prompt in concepts["object", shown] & concepts["style", style]
        assert "image in" not in prompt, "the wording that the protocols draw"


def test_the_background_that_a_caption_names_is_the_picture_s():
    for picture in DATA.pictures("validation")[::97]:
        corner = tuple(picture.read()[:, 0, 0].tolist())
        assert corner == DATA._catalogue.rgb(picture.attributes["background"])


def test_pictures_show_concepts_of_both_kinds():
    cats = [picture for picture in DATA.pictures("train") if picture.shows(CAT)]
    assert len(cats) == 6 * 8 and any(picture.shows(NOTO) for picture in cats)
    assert isinstance(DATA, HasPictures)
