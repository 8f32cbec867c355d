"""Are samples copies? How far each is from the nearest picture that the pipeline was trained on.

A distance is the root mean square of the differences of pixels in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from vu_emoji.catalogue import Catalogue, Cell
from vu_emoji.train.pool import Pool, compose_pool
from vu_emoji.train.settings import PoolSettings
from vu_emoji.trials import share
from vu_emoji.unfinished import decode

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Nearest:
    """The nearest of some pictures to each image.

    Attributes:
        distances: float32 (N,).
        rows: int64 (N,), numbers of pictures.
    """

    distances: torch.Tensor
    rows: torch.Tensor


def nearest(
    images: torch.Tensor, pictures: torch.Tensor, forbidden: torch.Tensor | None = None, chunk: int = 1024
) -> Nearest:
    """Returns the nearest picture to each image.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        pictures: uint8 (M, 3, H, W).
        forbidden: bool (N, M), pictures that do not count for an image.
        chunk: pictures compared at once.
    """
    flat = images.flatten(1)
    best = torch.full((len(flat),), torch.inf)
    rows = torch.zeros(len(flat), dtype=torch.long)
    for start in range(0, len(pictures), chunk):
        part = pictures[start : start + chunk].flatten(1).float() / 255
        squares = flat.square().sum(1, keepdim=True) + part.square().sum(1) - 2 * flat @ part.T
        if forbidden is not None:
            squares[forbidden[:, start : start + chunk]] = torch.inf
        least = squares.min(1)
        nearer = least.values < best
        best = torch.where(nearer, least.values, best)
        rows = torch.where(nearer, least.indices + start, rows)
    return Nearest((best.clamp(min=0) / flat.shape[1]).sqrt(), rows)


def quantiles(distances: torch.Tensor) -> dict[str, float]:
    """Returns the ``QUANTILES`` of distances, by per cent."""
    return {f"{q:.0%}": round(float(distances.quantile(q)), 4) for q in QUANTILES}


def white_pictures(catalogue: Catalogue, settings: PoolSettings) -> Pool:
    """Returns the composed pictures of the trained cells on the default background."""
    pool = compose_pool(catalogue, settings)
    rows = pool.backgrounds == catalogue.background_names.index(catalogue.default_background)
    return Pool(*(column[rows] for column in (pool.images, pool.objects, pool.styles, pool.backgrounds)))


@torch.no_grad()
def compare_with_training(catalogue: Catalogue, pipe: Any, images: torch.Tensor, cells: list[Cell]) -> dict[str, Any]:
    """Returns how near samples are to the pictures that the pipeline was trained on, and what to compare that with.

    Those pictures are composed again, from the same seed as for training. Beside the samples stand new placements
    of the same drawings: as composed, after the autoencoder, and against the pictures of all other cells. The
    autoencoder's mean absolute error on them, of values in [-1, 1], is in the report too.

    Args:
        catalogue: the cells.
        pipe: whose autoencoder to use.
        images: float32 (N, 3, H, W) in [0, 1], samples on the default background.
        cells: the asked cell of each.
    """
    names = catalogue.cells()
    numbers = {cell: number for number, cell in enumerate(names)}
    trained = white_pictures(catalogue, PoolSettings())
    trained_cells = trained.objects * len(catalogue.styles) + trained.styles
    fresh = white_pictures(catalogue, replace(PoolSettings(), plain=2, coloured=0, seed=PoolSettings().seed + 1))
    fresh_cells = fresh.objects * len(catalogue.styles) + fresh.styles
    placed = fresh.images.float() / 255
    scale = pipe.vae.config.scaling_factor
    coded = torch.cat(
        [decode(pipe, pipe.vae.encode(part * 2 - 1).latent_dist.mean * scale) for part in torch.split(placed, 60)]
    )
    asked = torch.tensor([numbers[cell] for cell in cells])
    known = torch.tensor([cell not in catalogue.held_out for cell in cells])
    found = nearest(images, trained.images)
    hit = trained_cells[found.rows]
    styles = len(catalogue.styles)
    same = {
        "the cell": hit == asked,
        "the object": hit // styles == asked // styles,
        "the style": hit % styles == asked % styles,
    }
    # A drawing's two new placements follow each other.
    pairs = (placed[::2] - placed[1::2]).square().mean((1, 2, 3)).sqrt()
    return {
        "training pictures": len(trained),
        "autoencoder error": round(float((coded - placed).abs().mean()) * 2, 4),
        "distances": {
            "samples": quantiles(found.distances[known]),
            "new placements": quantiles(nearest(placed, trained.images).distances),
            "new placements, autoencoded": quantiles(nearest(coded, trained.images).distances),
            "two new placements of a drawing": quantiles(pairs),
            "new placements against other cells": quantiles(
                nearest(placed, trained.images, fresh_cells[:, None] == trained_cells).distances
            ),
        },
        "nearest is of": {
            "trained": {name: share(hits[known].tolist()) for name, hits in same.items()},
            "held-out": {name: share(hits[~known].tolist()) for name, hits in same.items()},
        },
    }
