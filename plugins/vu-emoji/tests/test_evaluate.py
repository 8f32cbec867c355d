"""Errors, calibration and nearness: how the figures of the README are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from vu_emoji.catalogue import load_catalogue
from vu_emoji.evaluate import accuracy, contact_sheet, lines
from vu_emoji.judges import OTHER, load_judge
from vu_emoji.nearest import nearest, quantiles, white_pictures
from vu_emoji.probes import Labelled, compose_art
from vu_emoji.train.settings import PoolSettings
from vu_emoji.trials import Trial, calibration_error, share, try_judge

CATALOGUE = load_catalogue()


def test_calibration_error_of_a_worked_example():
    confidence = torch.tensor([0.95, 0.95, 0.55, 0.55])
    right = torch.tensor([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert calibration_error(torch.ones(3), torch.tensor([True] * 3)) == 0


def test_shares_have_intervals():
    assert share([])["value"] is None
    found = share([True] * 9 + [False])
    assert (found["value"], found["n"]) == (0.9, 10)
    assert found["interval"][0] < 0.9 < found["interval"][1]


def test_a_judge_is_right_about_what_it_is_shown():
    art = compose_art(CATALOGUE, np.random.default_rng(5), 1)
    flat = torch.rand(8, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 64, 64)
    nothing = Trial("noise", flat, Labelled.of_nothing(flat, CATALOGUE), ("dark", "light") * 4)
    report = try_judge(load_judge("object"), "object", [Trial("art", art.images.float() / 255, art), nothing])
    assert report["art"]["right"]["value"] > 0.97
    assert report["art"]["other"]["value"] < 0.03
    assert report["noise"]["right"] == report["noise"]["other"]
    assert report["noise"]["dark"]["n"] == 4
    assert 0 <= report["calibration_error"] < 0.1


def row(name: str, first: str, second: str) -> dict[str, Any]:
    """A sample of a noto object, and what the judges said of it."""
    verdicts = {"object": first, "object-b": second, "style": "noto", "style-b": OTHER}
    judged = {judge: {"name": verdict, "probability": 1.0} for judge, verdict in verdicts.items()}
    return {"object": name, "style": "noto", "judged": judged}


def test_accuracy_keeps_held_out_cells_apart():
    rows = [row("cat", "cat", "cat"), row("dog", OTHER, "dog"), row("frog", "frog", "cat")]
    report = accuracy(rows, CATALOGUE.held_out)
    trained, held_out = report["trained"], report["held-out"]
    assert (trained["object"]["right"]["value"], trained["object"]["right"]["n"]) == (0.5, 2)
    assert trained["object"]["other"]["value"] == 0.5
    assert trained["object"]["calibration_error"] == 0.5
    assert trained["object-b"]["right"]["value"] == 1.0
    assert (held_out["object"]["right"]["value"], held_out["object-b"]["right"]["value"]) == (1.0, 0.0)
    assert report["agreement"]["object"]["value"] == pytest.approx(1 / 3)
    assert report["agreement"]["style"]["value"] == 0.0


def test_nearest_agrees_with_all_distances():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (40, 3, 8, 8), generator=generator, dtype=torch.uint8)
    images = torch.rand(5, 3, 8, 8, generator=generator)
    every = torch.cdist(images.flatten(1).double(), pictures.flatten(1).double() / 255) / (3 * 64) ** 0.5
    found = nearest(images, pictures, chunk=7)
    torch.testing.assert_close(found.distances.double(), every.min(1).values, atol=1e-4, rtol=0)
    assert torch.equal(found.rows, every.argmin(1))
    forbidden = torch.zeros(5, 40, dtype=torch.bool)
    forbidden[torch.arange(5), found.rows] = True
    second = nearest(images, pictures, forbidden, chunk=7)
    torch.testing.assert_close(second.distances.double(), every.sort(1).values[:, 1], atol=1e-4, rtol=0)


def test_a_training_picture_is_nearest_to_itself():
    pool = white_pictures(CATALOGUE, PoolSettings(plain=1, coloured=1))
    assert len(pool) == 174
    found = nearest(pool.images.float() / 255, pool.images)
    assert torch.equal(found.rows, torch.arange(174))
    assert quantiles(found.distances)["95%"] < 0.002


def test_lines_state_every_figure():
    report = {"a": {"b": share([True, True]), "c": share([])}, "seconds": 3.5, "images": [1]}
    assert lines(report) == ["a / b: 100.0% [34.2%, 100.0%], n = 2", "seconds: 3.5"]


def test_contact_sheets_go_row_by_row():
    images = torch.stack([torch.full((3, 2, 2), value) for value in (0.0, 1.0, 0.2)])
    sheet = contact_sheet(images, 2)
    assert sheet.size == (4, 4)
    assert [sheet.getpixel(place)[0] for place in ((0, 0), (2, 0), (0, 2))] == [0, 255, 51]
