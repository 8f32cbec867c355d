"""The Nash bargain between two gradients (MUNBa, arXiv:2411.15537)."""

from __future__ import annotations

import torch

# Where the gradients oppose each other nearly exactly, the solution grows without bound.
_LEAST = 1e-4


def nash_weights(gram: torch.Tensor) -> list[float]:
    """Return the weights a of two gradients whose combination a_1 g_1 + a_2 g_2 is their Nash bargain.

    They are the positive solution of K a = 1 / a, elementwise, with K the Gram matrix of the gradients:
    a_i = 1 / (|g_i| sqrt(1 + cos)). Then both gain equally in their own measure: a_i <g_i, d> = 1, d the
    combination. As cos goes to -1 the solution diverges, so 1 + cos is kept from falling below 1e-4. A gradient of
    zero gets weight 0, and the other one the weight that it has alone, 1 / |g|.

    Args:
        gram: float64 (2, 2), inner products of the two gradients.

    Example:
        >>> nash_weights(torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
        [0.5, 1.0]
    """
    norms = gram.diagonal().sqrt()
    present = norms > 0
    cosine = gram[0, 1] / norms.prod() if bool(present.all()) else gram.new_zeros(())
    weights = 1 / (norms * (1 + cosine).clamp_min(_LEAST).sqrt())
    found: list[float] = torch.where(present, weights, 0.0).tolist()
    return found
