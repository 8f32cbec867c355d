"""Splits: disjoint, complete, the shares asked for, and a picture's place its own affair."""

from __future__ import annotations

import pytest

from vu_core.splits import SplitOptions, assign

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
