"""Values worked out by hand, and what is counted where."""

import pytest
import torch
from vu_core import Batch, Concept, Request, Sample

from vu_example.metric import ContrastMetric

REQUEST = Request(forget=(Concept(name="cat"),))
STRIPES = torch.zeros(3, 4, 4, dtype=torch.uint8)
STRIPES[:, :, ::2] = 255


def sample(thing: str, seed: int) -> Sample:
    return Sample(id=f"{thing}-{seed}", prompt=f"a {thing}", seed=seed, attributes={"object": thing})


def batch(thing: str, picture: torch.Tensor) -> Batch:
    return Batch(samples=[sample(thing, 0)], images=picture[None], scores={})


def test_stripes_have_all_the_contrast_there_is_and_a_plain_picture_has_none() -> None:
    metric = ContrastMetric(request=REQUEST)
    metric.update(batch("cat", torch.full_like(STRIPES, 90)))
    metric.update(batch("dog", STRIPES))
    metric.exclude(sample("dog", 1), "no picture")
    forget, retain = metric.compute()
    assert (forget.group, forget.value, forget.n) == ("forget", pytest.approx(0, abs=1e-9), 1)
    assert (retain.group, retain.value, retain.n, retain.n_excluded) == ("retain", pytest.approx(50), 1, 1)


def test_green_counts_most() -> None:
    metric = ContrastMetric(request=REQUEST)
    metric.update(batch("cat", STRIPES * torch.tensor([0, 1, 0], dtype=torch.uint8)[:, None, None]))
    assert metric.compute()[0].value == pytest.approx(100 * 0.7152 / 2)
