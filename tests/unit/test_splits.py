"""Splits: disjoint, complete, the shares asked for, and a picture's place its own affair."""

from __future__ import annotations

import pytest

from vu_core.errors import ConfigError
from vu_core.splits import SplitOptions, assign, draw_samples

IDS = [f"{number}.jpg" for number in range(4000)]


def test_shares_are_those_asked_for():
    found = assign(dict.fromkeys(IDS, ""), SplitOptions(validation=0.2, test=0.1, membership=0.3))
    shares = {split: sum(one == split for one in found.values()) / len(IDS) for split in set(found.values())}
    # Four standard errors of 4000 draws.
    for split, share in {"validation": 0.2, "test": 0.1, "membership": 0.3, "train": 0.4}.items():
        assert abs(shares[split] - share) < 4 * (share * (1 - share) / len(IDS)) ** 0.5


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_s_split_does_not_depend_on_the_others(seed):
    options = SplitOptions(seed=seed)
    together = assign(dict.fromkeys(IDS, ""), options)
    for ids in (IDS[:1], IDS[::-7], ["another.jpg", *IDS[5:50]]):
        apart = assign(dict.fromkeys(ids, ""), options)
        assert all(apart[id_] == together[id_] for id_ in ids if id_ in together)


def test_the_source_s_splits_stay_and_what_it_lacks_is_drawn_from_the_rest():
    sources = {id_: "test" if number % 4 == 0 else "train" for number, id_ in enumerate(IDS)}
    found = assign(sources, SplitOptions())
    assert [id_ for id_, split in found.items() if split == "test"] == IDS[::4]
    assert {"train", "validation", "membership"} == {found[id_] for id_, split in sources.items() if split == "train"}


def test_the_membership_set_is_of_the_same_kind_as_what_is_learned():
    """With a split by time it comes from the same years as the training pictures."""
    times = {id_: float(number) for number, id_ in enumerate(IDS)}
    found = assign(dict.fromkeys(IDS, ""), SplitOptions(split="temporal", membership=0.4), times)
    held_out = [times[id_] for id_, split in found.items() if split == "membership"]
    learned = [times[id_] for id_, split in found.items() if split == "train"]
    assert max(held_out) < 3200 and abs(sum(held_out) / len(held_out) - sum(learned) / len(learned)) < 150


# 60 pictures of three classes, before 7 for testing, and what the released lines, run on their classes, draw from them.
CLASSES = {str(number): number * 7 % 3 if number % 5 else 2 for number in range(60)}
SOURCES = {**dict.fromkeys(CLASSES, "train"), **{f"test {number}": "test" for number in range(7)}}
RELEASED = {
    1: ([12, 25, 31, 40], [2, 11, 28, 36, 44, 49]),
    2: ([11, 38, 43, 48], [2, 20, 33, 34, 47, 50]),
    7: ([33, 47, 58, 59], [0, 7, 14, 52, 55, 57]),
}


@pytest.mark.parametrize("seed", RELEASED)
def test_splits_of_each_class_are_those_that_the_released_code_draws(seed):
    options = SplitOptions(split="salun", seed=seed, validation=0.1, samples=0.1)
    found = assign(SOURCES, options, classes=CLASSES)
    learned = [id_ for id_, split in found.items() if split == "train"]
    validation, samples = ([str(place) for place in places] for places in RELEASED[seed])
    assert [id_ for id_, split in found.items() if split == "validation"] == validation
    assert sorted(draw_samples(learned, options), key=int) == samples
    assert set(found.values()) == {"train", "validation", "test"}, "nothing is kept for membership attacks"


def test_splits_of_each_class_need_classes_and_pictures_for_testing():
    options = SplitOptions(split="salun", seed=2)
    for sources, classes in ((SOURCES, {}), (dict.fromkeys(CLASSES, "train"), CLASSES)):
        with pytest.raises(ConfigError, match="of one class a picture, with pictures for testing"):
            assign(sources, options, classes=classes)
    with pytest.raises(ValueError, match="a seed above 0"):
        SplitOptions(split="salun")


def test_samples_are_drawn_each_for_itself_or_by_number():
    many = SplitOptions(samples=0.1, seed=3)
    assert draw_samples(IDS[::2], many) == draw_samples(IDS, many) & set(IDS[::2])
    assert len(draw_samples(IDS, SplitOptions(split="salun", samples=0.1, seed=3))) == 400
    assert not draw_samples(IDS, SplitOptions())
