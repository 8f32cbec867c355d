"""Whether two sets of pictures cover each other: precision, recall, density, coverage.

Kynkaanniemi et al. 2019 (arXiv:1904.06991) and Naeem et al. 2020 (arXiv:2002.09797). Each picture has a ball that
reaches to the k-th nearest other picture of its own set, in the features of a scorer; distances in float64.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from vu_core import Concept, Request
from vu_metrics_image.config import ManifoldConfig
from vu_metrics_image.sets import SetMetric

_ROWS = 256  # of a matrix of distances, computed at once


class ManifoldMetric(SetMetric):
    """A share of pictures that lie in the other set's balls."""

    no_interval: ClassVar[str] = "no interval: resampled pictures lie in their own balls"

    config: ManifoldConfig

    def __init__(
        self, *, request: Request, neighbours: Sequence[Concept] = (), config: ManifoldConfig | None = None
    ) -> None:
        super().__init__(request=request, neighbours=neighbours, config=config or ManifoldConfig())

    def needed(self, width: int) -> int:
        """Return 1000; the number depends on how many pictures there are."""
        return 1000

    def least(self) -> int:
        """Return one more than k."""
        return self.config.k + 1

    def shortage(self) -> str:
        """Return that the number cannot be compared with others."""
        return "of so few pictures it cannot be compared with other numbers"

    def note(self) -> str:
        """Return k, on which the number depends."""
        return f"k={self.config.k}"

    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the share."""
        real, generated = self._radii(reference), self._radii(drawn)
        total = 0.0
        for rows, radii in zip(torch.split(reference, _ROWS), torch.split(real, _ROWS), strict=True):
            total += self.of_rows(_distances(rows, drawn), radii, generated)
        return self.finished(total, drawn, reference)

    @abstractmethod
    def of_rows(self, distances: torch.Tensor, real: torch.Tensor, generated: torch.Tensor) -> float:
        """Return what some real pictures add to a sum.

        Args:
            distances: float64 (r, n) from them to every drawn picture.
            real: float64 (r,), the radii of their balls.
            generated: float64 (n,), the radii of the drawn pictures' balls.
        """

    @abstractmethod
    def finished(self, total: float, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the number that the sum over all real pictures makes."""

    def inside(self, distances: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        """Return which distances are within the radii."""
        return distances <= radii if self.config.ties == "inside" else distances < radii

    def _radii(self, rows: torch.Tensor) -> torch.Tensor:
        # The nearest is the picture itself, at 0.
        nearest = [
            _distances(part, rows).kthvalue(self.config.k + 1, dim=1).values for part in torch.split(rows, _ROWS)
        ]
        return torch.cat(nearest)


class Recall(ManifoldMetric):
    """Share of real pictures inside the ball of any drawn one."""

    def of_rows(self, distances: torch.Tensor, real: torch.Tensor, generated: torch.Tensor) -> float:
        """Return how many of these real pictures are in a ball of a drawn one."""
        return float(self.inside(distances, generated).any(dim=1).sum())

    def finished(self, total: float, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the share."""
        return total / len(reference)


class Precision(Recall):
    """Share of drawn pictures inside the ball of any real one: recall with the sides exchanged."""

    def compare(self, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the share."""
        return super().compare(drawn=reference, reference=drawn)


class Density(ManifoldMetric):
    """Mean number of real balls around a drawn picture, divided by k; may exceed 1."""

    def of_rows(self, distances: torch.Tensor, real: torch.Tensor, generated: torch.Tensor) -> float:
        """Return how many drawn pictures these balls hold, each counted as often as it is held."""
        return float(self.inside(distances, real[:, None]).sum())

    def finished(self, total: float, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the mean divided by k."""
        return total / (self.config.k * len(drawn))


class Coverage(ManifoldMetric):
    """Share of real pictures whose ball holds a drawn one."""

    def of_rows(self, distances: torch.Tensor, real: torch.Tensor, generated: torch.Tensor) -> float:
        """Return how many of these balls hold a drawn picture."""
        return float(self.inside(distances, real[:, None]).any(dim=1).sum())

    def finished(self, total: float, drawn: torch.Tensor, reference: torch.Tensor) -> float:
        """Return the share."""
        return total / len(reference)


def _distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    # Not by way of the dot product, which puts a picture at a distance from itself.
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
