"""The ridge system behind the edit, solved once for every layer that reads the same text stream.

Unified Concept Editing (arXiv:2308.14761, section 4) changes each matrix W (o, d) into the W' that
minimises, over concept rows c_i, their wanted outputs v_i and preserved rows p_j,

    s sum_i |W' c_i - v_i|^2 + q sum_j |W' p_j - W p_j|^2 + λ |W' - W|^2.

With C, P the stacked rows and M = λ I + s C^T C + q P^T P, the solution is W' = W + B A with
A = s C M^-1, which no layer enters, and B = (V - C W^T)^T. For v_i = W g_i, B = W (G - C)^T: all layers
share one right multiplier, W' = W (I + (G - C)^T A).

Two exact forms of A: with M (d, d), or, when there are fewer than d rows K = D^1/2 [C; P], with
K M^-1 = (λ I + K K^T)^-1 K (Woodbury). Sums and solutions are float64.
"""

from __future__ import annotations

import torch

from vu_core.errors import ComputeError
from vu_uce.factors import Factors
from vu_uce.rows import WeightedRows


class UceSystem:
    """The edits and preserved rows of one text stream; `solve` is cheap to repeat for other scales.

    Args:
        width: d, the size of a row.
        keep_rows: Keep the edited rows as they are, however many there are.

    Example:
        >>> import torch
        >>> system = UceSystem(4)
        >>> system.add_edits(torch.eye(4)[:1], torch.eye(4)[1:2])
        >>> multiplier = torch.eye(4) + system.solve(1.0, 1.0, 1.0).product()
        >>> multiplier[:, 0].float().tolist()
        [0.5, 0.5, 0.0, 0.0]
    """

    def __init__(self, width: int, *, keep_rows: bool = False) -> None:
        self.width = width
        self._edits = WeightedRows(width, width, fold=not keep_rows)
        self._preserved = WeightedRows(width, 0, fold=True)
        self._sums: tuple[torch.Tensor, ...] = ()
        self._blocks: list[int] = []

    def add_edits(self, concepts: torch.Tensor, guides: torch.Tensor, weight: float = 1.0) -> None:
        """Add rows (n, d) whose outputs shall become those of ``guides`` (n, d), each ``weight`` times.

        Raises:
            ComputeError: A value is NaN or infinite.
        """
        self._edits.add(concepts, guides.double() - concepts.double(), weight)
        self._blocks.append(len(concepts))
        self._sums = ()

    def add_preserved(self, rows: torch.Tensor, weight: float = 1.0) -> None:
        """Add rows (m, d) whose outputs shall stay, each ``weight`` times.

        Raises:
            ComputeError: A value is NaN or infinite.
        """
        self._preserved.add(rows, rows[:, :0], weight)
        self._sums = ()

    @property
    def mean_square(self) -> float:
        """Mean squared norm of the edited rows."""
        return self._edits.sum_of_squares / self._edits.total_weight

    @property
    def uses_kernel(self) -> bool:
        """Whether the Woodbury form is the smaller one: fewer rows, edited and preserved, than d."""
        if self._edits.folded or self._preserved.folded:
            return False
        return len(self._edits.table()[0]) + len(self._preserved.table()[0]) < self.width

    @property
    def edited_rows(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Concepts and guides, float64 (n, d), and in which call each was added, int64 (n,); needs ``keep_rows``."""
        rows, shifts, _ = self._edits.table()
        blocks = torch.arange(len(self._blocks)).repeat_interleave(torch.tensor(self._blocks))
        return rows, rows + shifts, blocks

    def solve(self, erase_scale: float, preserve_scale: float, regularization: float) -> Factors:
        """Return (G - C)^T and s C M^-1, whose product is the shared multiplier's change; float64.

        Args:
            erase_scale: s, at least 0.
            preserve_scale: q, at least 0.
            regularization: λ, above 0.

        Raises:
            ComputeError: λ is too small for the system to be solved.
        """
        left, weights, rows = self._edits.factors()
        if self.uses_kernel:
            return Factors(left, self._solve_kernel(erase_scale, preserve_scale, regularization))
        if not self._sums:
            self._sums = self._edits.second_moment(), self._preserved.second_moment()
        concepts, preserved = self._sums
        matrix = erase_scale * concepts + preserve_scale * preserved
        wanted = erase_scale * weights[:, None] * rows
        return Factors(left, _solve(matrix, regularization, wanted.T).T)

    def _solve_kernel(self, erase_scale: float, preserve_scale: float, regularization: float) -> torch.Tensor:
        """Return s diag(w) C M^-1 (n, d) from the Gram matrix of all rows."""
        edited, _, edit_weights = self._edits.table()
        preserved, _, preserve_weights = self._preserved.table()
        rows = torch.cat([edited, preserved])
        if not self._sums:
            self._sums = (rows @ rows.T,)
        roots = torch.cat([erase_scale * edit_weights, preserve_scale * preserve_weights]).sqrt()
        wanted = torch.diag(roots)[:, : len(edited)]
        return _solve(roots[:, None] * self._sums[0] * roots, regularization, wanted).T @ (roots[:, None] * rows)


def _solve(matrix: torch.Tensor, regularization: float, wanted: torch.Tensor) -> torch.Tensor:
    """Return (λ I + matrix)^-1 wanted, for a positive semi-definite matrix."""
    matrix.diagonal().add_(regularization)
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        raise ComputeError(
            "the system cannot be solved: the regularization is too small beside the token states",
            hint="Raise -o regularization=..., or lower the scales.",
        )
    return torch.cholesky_solve(wanted, factor)
