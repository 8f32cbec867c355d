"""From a solved system to the change of each layer that reads its stream."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import torch

from vu_uce.factors import Factors, orthonormal_rows, rank_exceeds


class LayerChange(Protocol):
    """How the layers of one text stream change; each depends on its weight W, float32 (o, d), too."""

    @property
    def rank(self) -> int:
        """Rank of the low-rank form."""

    def rank_exceeds(self, limit: int) -> bool:
        """Return True only if the rank is above ``limit``; cheap, False may mean unknown."""

    def low_rank(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return A (rank, d) and B (o, rank), float32: the weight gains ``B @ A``."""

    def dense(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight, float32 (o, d)."""


class SharedChange:
    """The change for v = W g: one right multiplier for all layers, W' = W (I + left @ right).

    Args:
        factors: The multiplier's change, float64.
    """

    def __init__(self, factors: Factors) -> None:
        self._factors = factors

    @property
    def rank(self) -> int:
        """Numerical rank of the multiplier's change."""
        return self._compressed.rank

    def rank_exceeds(self, limit: int) -> bool:
        """Return True only if the rank is above ``limit``; cheap, False may mean unknown."""
        return self._factors.rank > limit and rank_exceeds(self._product, limit)

    def low_rank(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return A (rank, d) and B = W left (o, rank), float32."""
        return self._compressed.right, weight @ self._compressed.left

    def dense(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight, float32 (o, d)."""
        return torch.addmm(weight, weight, self._product.float())

    @cached_property
    def _compressed(self) -> Factors:
        return self._factors.compressed()

    @cached_property
    def _product(self) -> torch.Tensor:
        return self._factors.product()


class ProjectedChange:
    """The change of the first release's ``tensor`` technique: the guide without its part along the concept.

    For the rows of one prompt, v = W g - <u, W g> u with u = W c / |W c|, products and norms over the
    whole block of rows: v = W (g - β c), where β differs from layer to layer and prompt to prompt.

    Args:
        concepts: Concept rows, float64 (n, d).
        guides: Guide rows, float64 (n, d).
        blocks: int64 (n,), the number of the prompt that a row belongs to.
        right: s diag(w) C M^-1, float64 (n, d).
    """

    def __init__(self, concepts: torch.Tensor, guides: torch.Tensor, blocks: torch.Tensor, right: torch.Tensor) -> None:
        mix, basis = orthonormal_rows(right)
        self._mix, self._basis = mix.float(), basis.float()
        self._concepts, self._guides, self._blocks = concepts.float(), guides.float(), blocks

    @property
    def rank(self) -> int:
        """min(n, d)."""
        return len(self._basis)

    def rank_exceeds(self, limit: int) -> bool:
        """Return whether the rank is above ``limit``."""
        return self.rank > limit

    def low_rank(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return A (rank, d) and B (o, rank), float32."""
        before, wanted = weight @ self._concepts.T, weight @ self._guides.T
        along, norm = self._per_block(before * wanted), self._per_block(before.square())
        beta = along / norm.clamp(min=torch.finfo(torch.float32).tiny)
        return self._basis, (wanted - (1 + beta[self._blocks]) * before) @ self._mix

    def dense(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight, float32 (o, d)."""
        a, b = self.low_rank(weight)
        return torch.addmm(weight, b, a)

    def _per_block(self, products: torch.Tensor) -> torch.Tensor:
        """Return the sum of ``products`` (o, n) over outputs and over each block's rows, (blocks,)."""
        sums = torch.zeros(int(self._blocks.max()) + 1)
        return sums.index_add(0, self._blocks, products.sum(dim=0))
