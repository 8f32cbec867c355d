"""The shipped judges on the art."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from vu_emoji.art import compose_cell
from vu_emoji.catalogue import load_catalogue
from vu_emoji.judges import OTHER, judge_images, load_judge


@pytest.fixture(scope="module")
def art() -> torch.Tensor:
    """Every cell on white, float32 (180, 3, 64, 64) in [0, 1]."""
    cells = load_catalogue().cells()
    images = [np.asarray(compose_cell(*cell, (255, 255, 255))) for cell in cells]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(("kind", "place"), [("object", 0), ("style", 1)])
def test_judges_know_the_art(art: torch.Tensor, kind: str, place: int) -> None:
    verdicts = judge_images(load_judge(kind), art)
    cells = load_catalogue().cells()
    right = [verdict.name == cell[place] for verdict, cell in zip(verdicts, cells, strict=True)]
    assert np.mean(right) > 0.97


def test_nothing_is_other() -> None:
    flat = torch.rand(16, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 64, 64)
    verdicts = judge_images(load_judge("object"), flat)
    assert np.mean([verdict.name == OTHER for verdict in verdicts]) > 0.9


def test_verdicts_do_not_depend_on_the_batch(art: torch.Tensor) -> None:
    judge = load_judge("style")
    names = [[v.name for v in judge_images(judge, art[:9], batch=size)] for size in (4, 9)]
    assert names[0] == names[1]
