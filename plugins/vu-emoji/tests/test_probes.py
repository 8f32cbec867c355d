"""Pictures for training and testing the judges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vu_emoji.catalogue import load_catalogue
from vu_emoji.probes import NONSENSE, Labelled, compose_art, compose_others, degrade, nonsense
from vu_emoji.sampling import load_pipeline, sample
from vu_emoji.unfinished import blurred, gaussian, half_denoised, seeds_of

CATALOGUE = load_catalogue()


@pytest.fixture(scope="module")
def art() -> Labelled:
    return compose_art(CATALOGUE, np.random.default_rng(0), 1)


def test_the_art_has_the_classes_of_its_cell(art: Labelled):
    cells = [
        (CATALOGUE.object_names[o], CATALOGUE.style_names[s]) for o, s in zip(art.objects, art.styles, strict=True)
    ]
    assert set(cells) == set(CATALOGUE.cells())
    assert art.images.shape == (180, 3, 64, 64)
    again = compose_art(CATALOGUE, np.random.default_rng(0), 1)
    assert torch.equal(art.images, again.images)


def test_parts_share_no_concept(tmp_path: Path):
    (tmp_path / "noto").mkdir()
    for k in range(20):
        Image.new("RGBA", (96, 96), (10 * k, 0, 0, 255)).save(tmp_path / "noto" / f"1f{k:03}.png")
    (tmp_path / "labels.json").write_text(json.dumps({f"1f{k:03}": "" for k in range(20)}))

    def reds(part: str) -> set[int]:
        others = compose_others(CATALOGUE, tmp_path, part, np.random.default_rng(0), 1)  # type: ignore[arg-type]
        assert set(others.objects.tolist()) == {30}
        assert set(others.styles.tolist()) == {0}
        return set(others.images[:, 0, 32, 32].tolist())

    found = [reds(part) for part in ("train", "fit", "test")]
    assert [len(part) for part in found] == [16, 2, 2]
    assert len(set.union(*found)) == 20


def test_degraded_pictures_stay_in_range(art: Labelled):
    clean = art.images[:32].float() / 255
    spoilt = degrade(clean, torch.Generator().manual_seed(0))
    assert spoilt.min() >= 0
    assert spoilt.max() <= 1
    assert 0.01 < (spoilt - clean).abs().mean() < 0.2


def test_nonsense_is_of_the_sort_it_is_said_to_be(art: Labelled):
    images = art.images.float() / 255
    empty, sorts = nonsense(images, torch.Generator().manual_seed(0))
    assert set(sorts.tolist()) == set(range(len(NONSENSE)))
    spread = empty.std((2, 3)).mean(1)
    assert spread[sorts == NONSENSE.index("flat")].max() < 1e-6
    tiles = sorts == NONSENSE.index("tiles")
    pixels = [part[tiles].flatten(2).sort(2).values for part in (images, empty)]
    assert torch.equal(*pixels)


def test_pictures_of_nothing_are_other():
    empty = Labelled.of_nothing(torch.ones(2, 3, 64, 64), CATALOGUE)
    assert empty.labels("object").tolist() == [30, 30]
    assert empty.labels("style").tolist() == [6, 6]
    assert empty.images.unique().tolist() == [255]


def test_a_sample_stopped_after_its_last_step_is_the_sample():
    pipe = load_pipeline()
    prompts = ["a noto cat", "a flat bus"]
    stopped = half_denoised(pipe, prompts, [1, 2], (2, 4), steps=4)
    whole = sample(pipe, prompts, [1, 2], steps=4)
    torch.testing.assert_close(stopped[:, 1], whole, atol=1e-5, rtol=0)
    assert (stopped[:, 0] - whole).abs().mean() > 0.02


def test_lists_of_seeds_share_none():
    assert not set(seeds_of(11, 1080)) & set(seeds_of(12, 1080))


def test_a_gaussian_spreads_a_point_and_keeps_what_is_flat():
    point = torch.zeros(1, 33, 33)
    point[0, 16, 16] = 1.0
    spread = gaussian(point, 2.0)[0]
    y, x = np.mgrid[-16:17, -16:17]
    expected = np.exp(-(x**2 + y**2) / 8.0)
    expected[(abs(x) > 6) | (abs(y) > 6)] = 0
    np.testing.assert_allclose(spread.numpy(), expected / expected.sum(), atol=1e-6)
    torch.testing.assert_close(gaussian(torch.ones(2, 16, 16), 4.0), torch.ones(2, 16, 16))


def test_blurred_decodings_lose_the_detail_of_the_art(art: Labelled):
    images, averaged = blurred(load_pipeline(), CATALOGUE, np.random.default_rng(0), 1)
    assert averaged.float().mean() == 0.5

    def detail(pictures: torch.Tensor) -> float:
        return float(pictures.diff(dim=3).abs().mean())

    assert detail(images[~averaged]) < 0.5 * detail(art.images.float() / 255)
