"""The shipped judges on the art, and on what shows nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from vu_emoji.art import compose_cell
from vu_emoji.catalogue import load_catalogue
from vu_emoji.judges import JUDGES, NETWORKS, OTHER, EmojiClassifier, glances, judge_images, load_judge
from vu_emoji.sampling import load_pipeline
from vu_emoji.unfinished import half_denoised


@pytest.fixture(scope="module")
def art() -> torch.Tensor:
    """Every cell on white, float32 (180, 3, 64, 64) in [0, 1]."""
    cells = load_catalogue().cells()
    images = [np.asarray(compose_cell(*cell, (255, 255, 255))) for cell in cells]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def begun() -> torch.Tensor:
    """A sample of each object, stopped after 2 steps, float32 (30, 3, 64, 64) in [0, 1]."""
    names = load_catalogue().object_names
    return half_denoised(load_pipeline(), [f"a {name}" for name in names], range(len(names)), (2,))[:, 0]


def share_of_other(name: str, images: torch.Tensor) -> float:
    return float(np.mean([verdict.name == OTHER for verdict in judge_images(load_judge(name), images)]))


@pytest.mark.parametrize("name", JUDGES)
def test_judges_know_the_art(art: torch.Tensor, name: str) -> None:
    verdicts = judge_images(load_judge(name), art)
    place = ("object", "style").index(JUDGES[name])
    right = [verdict.name == cell[place] for verdict, cell in zip(verdicts, load_catalogue().cells(), strict=True)]
    assert np.mean(right) > 0.97


@pytest.mark.parametrize("name", JUDGES)
def test_nothing_is_other(name: str) -> None:
    flat = torch.rand(16, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 64, 64)
    assert share_of_other(name, flat) > 0.9


@pytest.mark.parametrize("name", JUDGES)
def test_a_sample_that_has_hardly_begun_is_other(begun: torch.Tensor, name: str) -> None:
    assert share_of_other(name, begun) > 0.9


@pytest.mark.parametrize("kind", ["object", "style"])
def test_the_second_judge_is_another_network(kind: str) -> None:
    first, second = load_judge(kind), load_judge(f"{kind}-b")
    assert type(first.body) is not type(second.body)
    assert first.classes == second.classes


def test_verdicts_do_not_depend_on_the_batch(art: torch.Tensor) -> None:
    judge = load_judge("style")
    names = [[v.name for v in judge_images(judge, art[:9], batch=size)] for size in (4, 9)]
    assert names[0] == names[1]


@pytest.mark.parametrize(("network", "temperature"), list(product(NETWORKS, (1.0, 2.0))))
def test_the_temperature_divides_the_logits(network: str, temperature: float) -> None:
    torch.manual_seed(0)
    judge = EmojiClassifier(["cat", "dog", OTHER], network, 8).eval()
    images = torch.rand(3, 3, 64, 64)
    plain = judge.head(judge.features(images))
    judge.temperature = temperature
    torch.testing.assert_close(judge(images) * temperature, plain)


def test_glances_are_the_picture_moved_and_mirrored() -> None:
    corner = torch.zeros(1, 3, 8, 8)
    corner[..., 4, 4] = 1
    places = [tuple(int(place[0]) for place in one[0, 0].nonzero(as_tuple=True)) for one in glances(corner)]
    assert places == [(4, 4), (4, 6), (6, 4), (4, 3), (4, 1), (6, 3)]


def test_a_judge_that_glances_averages_its_logits() -> None:
    torch.manual_seed(0)
    judge = EmojiClassifier(["cat", "dog", OTHER], "depthwise", 8, 0.5, glances=True).eval()
    images = torch.rand(3, 3, 64, 64)
    logits = torch.stack([judge.head(judge.features(one)) for one in glances(images)])
    torch.testing.assert_close(judge(images), logits.mean(0) / 0.5)
