"""Low-rank changes: their products, their least rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch

# Singular values below this fraction of the largest are lost when an edit is stored in float32.
RESOLUTION = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Factors:
    """A matrix (d, d) as the product of two thin ones.

    Attributes:
        left: (d, r).
        right: (r, d).

    Example:
        >>> twice = Factors(torch.ones(4, 2), torch.ones(2, 4))
        >>> twice.compressed().rank
        1
    """

    left: torch.Tensor
    right: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of columns of ``left``; an upper bound of the product's rank."""
        return self.left.shape[1]

    def product(self) -> torch.Tensor:
        """Return ``left @ right``, (d, d)."""
        return self.left @ self.right

    def scaled(self, factor: float) -> Factors:
        """Return factors of ``factor`` times the product."""
        return self if factor == 1.0 else Factors(self.left, self.right * factor)

    def compressed(self) -> Factors:
        """Return factors of the same product in float32, of its numerical rank.

        What is left out has a spectral norm below float32's resolution of the whole. The rows of
        ``right`` are orthonormal.
        """
        mix, basis = orthonormal_rows(self.right)
        image = self.left @ mix
        # Eigenvalues of the Gram matrix resolve singular values to 1e-8 of the largest in float64: enough here.
        values, vectors = torch.linalg.eigh(image.T @ image)
        kept = vectors[:, (values > 0) & (values > values[-1] * RESOLUTION**2)]
        return Factors((image @ kept).float(), (kept.T @ basis).float())


def orthonormal_rows(right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``mix`` (k, r) and ``basis`` (r, d) with ``mix @ basis`` equal to ``right`` (k, d), r = min(k, d)."""
    q, triangle = torch.linalg.qr(right.T)
    return triangle.T, q.T


def rank_exceeds(matrix: torch.Tensor, limit: int) -> bool:
    """Return True only if the numerical rank of ``matrix`` (d, d) is above ``limit``; False may mean unknown.

    The k-th singular value of some columns never exceeds that of the whole matrix, so ``limit + 1``
    independent columns decide at a fraction of a full decomposition's cost.
    """
    if limit >= matrix.shape[1]:
        return False
    columns = matrix[:, : limit + 1]
    smallest = torch.linalg.eigvalsh(columns.T @ columns)[0]
    return bool(smallest > matrix.square().sum() * RESOLUTION**2)
