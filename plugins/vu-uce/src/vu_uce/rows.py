"""Weighted rows, kept as they are while they are few and as sums of outer products once they are many."""

from __future__ import annotations

import torch

from vu_core.errors import ComputeError

_Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class WeightedRows:
    """Rows r_i (d) with weights w_i and companions t_i (e), in float64 on the CPU.

    Args:
        width: d.
        companion_width: e.
        fold: Replace d or more rows by their moments, so that memory stops growing.
    """

    def __init__(self, width: int, companion_width: int, *, fold: bool) -> None:
        self.width, self.fold = width, fold
        self.total_weight = 0.0
        self.sum_of_squares = 0.0
        self._parts: list[_Part] = [_part(torch.zeros(0, width), torch.zeros(0, companion_width), 1.0)]
        self._n = 0
        self._moments: tuple[torch.Tensor, torch.Tensor] | None = None

    def add(self, rows: torch.Tensor, companions: torch.Tensor, weight: float) -> None:
        """Add ``rows`` (n, d) with ``companions`` (n, e), each ``weight`` times.

        Raises:
            ComputeError: A value is NaN or infinite.
        """
        part = _part(rows, companions, weight)
        if not (part[0].isfinite().all() and part[1].isfinite().all()):
            raise ComputeError("the text encoder returned NaN or infinite states", hint="Check the model's weights.")
        self._parts.append(part)
        self._n += len(rows)
        self.total_weight += weight * len(rows)
        self.sum_of_squares += weight * float(part[0].square().sum())
        if self.fold and self._n >= self.width:
            self._fold()

    @property
    def folded(self) -> bool:
        """Whether only moments are left."""
        return self._moments is not None

    def table(self) -> _Part:
        """Return rows (n, d), companions (n, e) and weights (n); what has been folded is not among them."""
        rows, companions, weights = zip(*self._parts, strict=True)
        self._parts = [(torch.cat(rows), torch.cat(companions), torch.cat(weights))]
        return self._parts[0]

    def second_moment(self) -> torch.Tensor:
        """Return sum_i w_i r_i r_i^T, (d, d)."""
        return self._all_moments()[0]

    def factors(self) -> _Part:
        """Return L (e, k), w (k) and R (k, d) with L diag(w) R = sum_i w_i t_i r_i^T and k = min(n, d) when folding."""
        if not self.folded:
            rows, companions, weights = self.table()
            return companions.T, weights, rows
        return self._all_moments()[1], _ones(self.width), torch.eye(self.width, dtype=torch.float64)

    def _all_moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        rows, companions, weights = self.table()
        weighted = weights[:, None] * rows
        second, cross = rows.T @ weighted, companions.T @ weighted
        if self._moments is None:
            return second, cross
        return self._moments[0] + second, self._moments[1] + cross

    def _fold(self) -> None:
        self._moments = self._all_moments()
        rows, companions, _ = self.table()
        self._parts, self._n = [_part(rows[:0].clone(), companions[:0].clone(), 1.0)], 0


def _ones(n: int) -> torch.Tensor:
    return torch.ones(n, dtype=torch.float64)


def _part(rows: torch.Tensor, companions: torch.Tensor, weight: float) -> _Part:
    rows, companions = (tensor.detach().to("cpu", torch.float64) for tensor in (rows, companions))
    return rows, companions, weight * _ones(len(rows))
