"""Datasets made of an array: what is drawn for a split or a set of samples, and what a list names."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from vu_core import Concept, ConfigError, DataError
from vu_core.picturedata import ANY, PictureDataset, array_pictures
from vu_core.pictures import read_sheet
from vu_core.splits import SplitOptions

IMAGES = np.arange(60 * 4 * 5, dtype=np.uint32).astype(np.uint8).reshape(60, 4, 5)


class Squares(PictureDataset):
    name = "squares"
    templates: ClassVar = {ANY: ("{}",)}

    def named(self):
        return [Concept(name=name, kind="class") for name in ("even", "odd")]

    def found(self):
        shown = [{"class": ("even", "odd")[number % 2]} for number in range(60)]
        learned = array_pictures(IMAGES[:40], shown[:40], captions=[""] * 40, prefix="train", split="train")
        return learned + array_pictures(IMAGES[40:], shown[40:], captions=[""] * 20, prefix="test", split="test")


def test_pictures_are_those_of_the_array():
    dataset = Squares(SplitOptions(validation=0, membership=0))
    pictures = {one.id: one for one in dataset.pictures("train")}
    assert list(pictures)[:2] == ["train-00000", "train-00001"] and len(pictures) == 40
    pixels = pictures["train-00003"].read()
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 4, 5)
    assert all(np.array_equal(colour, IMAGES[3]) for colour in pixels)
    assert pictures["train-00003"].attributes == {"class": "odd"}


def test_a_picture_that_is_changed_leaves_the_dataset_as_it_is():
    picture = Squares(SplitOptions()).pictures("test")[0]
    picture.read().zero_()
    assert picture.read().any()


def test_listed_and_random_samples_stand_beside_each_other(tmp_path):
    (tmp_path / "list.txt").write_text("1\n2\ntrain-00003\n")
    options = SplitOptions(validation=0, membership=0, samples=0.5, indices=str(tmp_path / "list.txt"))
    dataset = Squares(options)
    random, listed = dataset.concepts()[-2:]
    assert (random.name, listed.name) == ("random", "listed")
    train = dataset.pictures("train")
    assert [one.id for one in train if one.shows(listed)] == ["train-00001", "train-00002", "train-00003"]
    assert 5 < sum(one.shows(random) for one in train) < 35
    assert not any(one.shows(random) or one.shows(listed) for one in dataset.pictures("test"))


def test_a_list_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Squares(SplitOptions(indices=str(tmp_path / "absent"))).pictures("train")
    (tmp_path / "list.json").write_text("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]")
    options = SplitOptions(validation=0.5, membership=0, indices=str(tmp_path / "list.json"))
    with pytest.raises(ConfigError, match=r"of the 10 listed pictures are not learned from.*--data validation=0"):
        Squares(options).pictures("train")
    (tmp_path / "list.json").write_text("[40]")
    with pytest.raises(ConfigError, match=r"no picture 40 to learn from. Numbers are places from 0 to 39"):
        Squares(SplitOptions(indices=str(tmp_path / "list.json"))).pictures("train")


def test_a_sheet_holds_its_pictures_row_by_row(tmp_path):
    from PIL import Image

    tiles = np.concatenate([IMAGES[:5], np.zeros((1, 4, 5), np.uint8)])
    Image.fromarray(tiles.reshape(2, 3, 4, 5).transpose(0, 2, 1, 3).reshape(8, 15)).save(tmp_path / "sheet.png")
    assert np.array_equal(read_sheet(tmp_path / "sheet.png", (4, 5), 5), IMAGES[:5])
