"""Labelled images: which picture is in which set, what is read when, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from vu_train.batches import Batches, crop_flip, endless
from vu_train.labelled import LabelledImages, load_labelled

from vu_core import Concept, Data, Request, RequestError, RunError
from vu_core.context import RunContext
from vu_core.testing import FakeDataset
from vu_core.testing.fake_models import FakeClassifier

CAT, DOG, SKETCH = Concept(name="cat"), Concept(name="dog"), Concept(name="sketch", kind="style")


class Poisoned(FakeDataset):
    """Raises when a picture is read that `readable` does not allow."""

    def __init__(self, readable):
        self.readable = readable

    def pictures(self, split):
        def poison(picture):
            return picture if self.readable(split, picture) else replace(picture, load=self.refuse)

        return [poison(picture) for picture in super().pictures(split)]

    def refuse(self):
        raise AssertionError("this picture must not be read")


def labelled(ctx, forget=(CAT,), retain=(), dataset=None, gone=()):
    request = Request(forget=forget, retain=retain)
    data = replace((dataset or FakeDataset()).split(request), gone=gone)
    return load_labelled(FakeClassifier(), request, data, ctx)


@pytest.fixture
def ctx(tmp_path):
    return RunContext(out_dir=tmp_path)


def test_the_sets_are_those_of_the_request(ctx):
    found = labelled(ctx)
    assert found.forget.ids == tuple(f"train-cat-{style}" for style in ("sketch", "pastel", "mosaic"))
    assert found.forget.labels.tolist() == [0, 0, 0]
    assert len(found.retain) == 15
    assert not {*found.retain.ids} & {*found.forget.ids}
    assert found.retain.images.dtype == torch.uint8
    assert all(id_.startswith("validation-") for id_ in found.validation.ids)
    assert found.validation_of_forgotten().ids == tuple(id_ for id_ in found.validation.ids if "cat" in id_)


def test_what_is_forgotten_may_cut_across_the_classes(ctx):
    found = labelled(ctx, forget=(SKETCH,))
    assert found.forget.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(found.retain) == 12


def test_named_concepts_are_retained_alone_and_what_is_gone_is_not(ctx):
    assert {id_.split("-")[1] for id_ in labelled(ctx, retain=(DOG,)).retain.ids} == {"dog"}
    assert not [id_ for id_ in labelled(ctx, gone=(DOG,)).retain.ids if "dog" in id_]


def test_no_set_is_read_before_it_is_asked_for(ctx):
    forget = labelled(ctx, dataset=Poisoned(lambda split, one: split == "train" and one.shows(CAT)))
    assert len(forget.forget) == 3
    retain = labelled(ctx, dataset=Poisoned(lambda split, one: split == "train" and not one.shows(CAT)))
    assert len(retain.retain) == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forget": (Concept(name="zebra"),)}, "shows 'zebra'.*apple, car, cat"),
        ({"forget": (Concept(name="a", kind="samples"),)}, "They have no samples"),
        ({"retain": (Concept(name="zebra"),)}, "left to retain"),
    ],
)
def test_empty_sets_are_refused(ctx, change, message):
    with pytest.raises(RequestError) as caught:
        _ = labelled(ctx, **change).retain
    assert re.search(message, f"{caught.value} {caught.value.hint}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": {"style": "sketch"}}, "has no object"),
        ({"attributes": {"object": "yak", "style": "sketch"}}, "shows the object 'yak'"),
        ({"load": lambda: torch.zeros(3, 9, 8, dtype=torch.uint8)}, r"\(3, 9, 8\)"),
    ],
)
def test_pictures_that_do_not_fit_the_model_are_refused(ctx, change, message):
    class Odd(FakeDataset):
        def pictures(self, split):
            return [replace(one, **change) for one in super().pictures(split)]

    with pytest.raises(RequestError, match=message):
        _ = labelled(ctx, forget=(SKETCH,), dataset=Odd()).forget


def test_an_unreadable_picture_is_named(ctx):
    class Broken(FakeDataset):
        def pictures(self, split):
            return [replace(one, load=self.fail) for one in super().pictures(split)]

        def fail(self):
            raise OSError("truncated")

    with pytest.raises(RunError, match="'train-cat-sketch' cannot be read: truncated"):
        _ = labelled(ctx, dataset=Broken()).forget


def test_requests_that_a_classifier_cannot_meet_are_refused(ctx):
    with pytest.raises(RequestError, match="learns from a dataset's pictures"):
        load_labelled(FakeClassifier(), Request(forget=(CAT,)), Data(forget=(CAT,), retain=()), ctx)
    request = Request(forget=(CAT,), replace_with=(DOG,))
    with pytest.raises(RequestError, match="without putting anything"):
        load_labelled(FakeClassifier(), request, FakeDataset().split(request), ctx)


def some_images(n=7, side=8):
    images = torch.randint(256, (n, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return LabelledImages(images=images, labels=torch.arange(n), ids=tuple(map(str, range(n))))


def test_batches_hold_each_image_once_in_an_order_of_their_place():
    images, network = some_images(), torch.nn.Linear(1, 1).double()
    batches = Batches(images, 3, network, (0, "retain", 1))
    first = [batch.ids for batch in batches]
    assert [len(ids) for ids in first] == [3, 3, 1]
    assert len(batches) == 3
    assert sorted(id_ for ids in first for id_ in ids) == sorted(images.ids)
    assert first == [batch.ids for batch in batches]
    assert first != [batch.ids for batch in Batches(images, 3, network, (0, "retain", 2))]
    batch = next(iter(batches))
    assert batch.images.dtype == torch.float64
    assert torch.equal(batch.images, images.images[batch.positions].double() / 255)
    assert batch.labels.tolist() == batch.positions.tolist()


def test_endless_batches_go_round_in_new_orders():
    stream = endless(some_images(4), 4, torch.nn.Linear(1, 1), (0, "forget"))
    rounds = [next(stream).ids for _ in range(4)]
    assert {tuple(sorted(ids)) for ids in rounds} == {("0", "1", "2", "3")}
    assert len({*rounds}) > 1


def test_augmentation_shifts_and_mirrors_and_fills_with_black():
    image = torch.arange(1, 65, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(200, 3, 8, 8)
    seen = set()
    for found in crop_flip(image, torch.Generator().manual_seed(0)):
        plane = found[0].int()
        rows, columns = (
            [
                (dy, dx, mirrored)
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                for mirrored in (False, True)
                if torch.equal(plane, shifted(image[0, 0].int(), dy, dx, mirrored))
            ],
            found,
        )
        assert len(rows) == 1
        assert torch.equal(columns[0], columns[2])
        seen.add(rows[0])
    assert len(seen) == 18


def shifted(plane, dy, dx, mirrored):
    """The plane seen through a window that is moved by (dy, dx), then mirrored; written out pixel by pixel."""
    found = torch.zeros_like(plane)
    for y in range(8):
        for x in range(8):
            if 0 <= y + dy < 8 and 0 <= x + dx < 8:
                found[y, 7 - x if mirrored else x] = plane[y + dy, x + dx]
    return found
