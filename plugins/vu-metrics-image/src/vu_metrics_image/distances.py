"""Distances between sets of pictures: FID, KID, CMMD, in float64 whatever the features' type."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch

from vu_core import Interval
from vu_core.statistics import cluster_student
from vu_metrics_image.sets import SetMetric, Side

SCALE = 1000.0

_BLOCKS, _BLOCK_SIZE = 9, 10
_ROWS = 1024  # of a kernel matrix, computed at once


class Fid(SetMetric):
    """Frechet distance of two normal distributions (Heusel et al. 2017), eq. 6.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances with n - 1. The last trace is the sum of singular
    values of R1 R2^T, where S = R^T R: no square root of a product of covariances, which loses half the digits.
    """

    no_interval: ClassVar[str] = "no interval: resampled pictures give a larger distance"

    def needed(self, width: int) -> int:
        """Return one more than the features of a picture: below, a covariance has not full rank."""
        return width + 1

    def shortage(self) -> str:
        """Return that the distance is too large."""
        return "biased: with no more pictures than features the distance is too large"

    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the distance, at least 0."""
        shift = float((drawn.mean(dim=0) - reference.mean(dim=0)).square().sum())
        one, other = _root(drawn), _root(reference)
        product = float(torch.linalg.svdvals(one @ other.T).sum())
        return max(0.0, shift + float(one.square().sum() + other.square().sum()) - 2 * product)


class Kid(SetMetric):
    """Kernel distance (Binkowski et al. 2018) times 1000: the unbiased squared MMD under (a.b / d + 1)^3.

    Over all pictures, so that it needs no random subsets; the mean over subsets has the same expectation. Around 0
    for two samples of one distribution, and then often negative.
    """

    no_interval: ClassVar[str] = f"no interval: fewer than {_BLOCKS} blocks of {_BLOCK_SIZE} pictures on a side"

    def needed(self, width: int) -> int:
        """Return 100: the number is unbiased for any count, but of few pictures it is mostly noise."""
        return 100

    def shortage(self) -> str:
        """Return that the number is noise."""
        return "of so few pictures it is mostly noise"

    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the distance times 1000."""
        width = drawn.shape[1]

        def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a @ b.T / width + 1) ** 3

        def within(side: torch.Tensor) -> float:
            of_itself = float(((side.square().sum(dim=1) / width + 1) ** 3).sum())
            return (_total(kernel, side, side) - of_itself) / (len(side) * (len(side) - 1))

        between = _total(kernel, drawn, reference) / (len(drawn) * len(reference))
        return SCALE * (within(drawn) + within(reference) - 2 * between)

    def interval(self, value: float, drawn: Side, reference: Side) -> Interval | None:
        """Return Student's interval of the distance in nine disjoint blocks, all pictures of a prompt in one."""
        parts = list(zip(_blocks(drawn), _blocks(reference), strict=True))
        if min(len(block) for pair in parts for block in pair) < _BLOCK_SIZE:
            return None
        values = [self.compare(drawn.features[one], reference.features[other]) for one, other in parts]
        spread = cluster_student(values, [str(i) for i in range(_BLOCKS)])
        half = (spread.high - spread.low) / 2
        return Interval(low=value - half, high=value + half, level=spread.level, method="blocks")


class Cmmd(SetMetric):
    """Squared MMD of embeddings of length 1 under exp(-|a - b|^2 / 200), times 1000 (Jayasumana et al. 2024).

    The published number is that of CLIP ViT-L/14 at 336 pixels. Features are brought to length 1 here. The biased
    estimate, as published: a picture's kernel with itself counts.
    """

    no_interval: ClassVar[str] = "no interval: the estimate is biased, and resampling adds to the bias"

    def needed(self, width: int) -> int:
        """Return 500, from where the number is usable."""
        return 500

    def shortage(self) -> str:
        """Return that the number is too large."""
        return "biased: of few pictures it is too large"

    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the distance times 1000, at least 0."""
        one, other = (torch.nn.functional.normalize(side, dim=1) for side in (drawn, reference))

        def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            # Less 1, which cancels in the sum: all kernels are close to 1.
            return torch.expm1(-(2 - 2 * a @ b.T) / 200)

        n, m = len(one), len(other)
        mean = _total(kernel, one, one) / n**2 + _total(kernel, other, other) / m**2
        return max(0.0, SCALE * (mean - 2 * _total(kernel, one, other) / (n * m)))


Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _total(kernel: Kernel, one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the sum of the kernel over all pairs of rows."""
    return float(sum(float(kernel(part, other).sum()) for part in torch.split(one, _ROWS)))


def _root(rows: torch.Tensor) -> torch.Tensor:
    """Return a matrix R with R^T R the covariance of ``rows`` (n, d), at most d rows."""
    centred = (rows - rows.mean(dim=0)) / (len(rows) - 1) ** 0.5
    root: torch.Tensor = torch.linalg.qr(centred, mode="r").R
    return root


def _blocks(side: Side) -> list[list[int]]:
    """Return the indices of nine disjoint blocks of similar size; clusters stay whole."""
    clusters = sorted({sample.cluster or sample.id for sample in side.samples})
    block = {cluster: i % _BLOCKS for i, cluster in enumerate(clusters)}
    found: list[list[int]] = [[] for _ in range(_BLOCKS)]
    for i, sample in enumerate(side.samples):
        found[block[sample.cluster or sample.id]].append(i)
    return found
