"""From saliency to what is trained: the most salient matrices, or the most salient weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import torch

_HALF = 16
_BUCKETS = 1 << _HALF
_AT_ONCE = 1 << 22


def selected_count(total: int, fraction: float) -> int:
    """Return max(1, floor(total * fraction)), with ``fraction`` as written: 0.29 of 100 is 29.

    Example:
        >>> selected_count(282, 0.75), selected_count(3, 0.1), int(100 * 0.29), selected_count(100, 0.29)
        (211, 1, 28, 29)
    """
    return max(1, int(total * Decimal(str(fraction))))


def most_salient(scores: Mapping[str, float], fraction: float) -> list[str]:
    """Return the names with the highest scores, in the order of ``scores``; of equal ones the first.

    Args:
        scores: By name.
        fraction: Of the names, in (0, 1]; see `selected_count`.

    Example:
        >>> most_salient({"a": 1.0, "b": 3.0, "c": 1.0}, 0.7)
        ['a', 'b']
    """
    ranked = sorted(scores, key=lambda name: scores[name], reverse=True)
    chosen = set(ranked[: selected_count(len(scores), fraction)])
    return [name for name in scores if name in chosen]


def weight_masks(saliency: Mapping[str, torch.Tensor], fraction: float) -> tuple[dict[str, torch.Tensor], float]:
    """Return the masks M = 1[S >= c] and c, the floor(N fraction)-th largest of all N values.

    Weights that equal c are all kept, so a mask may hold more than the fraction when there are ties.

    Args:
        saliency: By name, float32, not negative, finite.
        fraction: In (0, 1].

    Returns:
        By name, bool of the tensor's shape; and c.

    Example:
        >>> masks, threshold = weight_masks({"w": torch.tensor([1.0, 4.0, 2.0, 3.0])}, 0.5)
        >>> masks["w"].tolist(), threshold
        ([False, True, False, True], 3.0)
    """
    rank = selected_count(sum(values.numel() for values in saliency.values()), fraction)
    threshold = kth_largest(saliency.values(), rank)
    return {name: values >= threshold for name, values in saliency.items()}, threshold


def kth_largest(tensors: Iterable[torch.Tensor], rank: int) -> float:
    """Return the ``rank``-th largest value of all ``tensors`` together, exactly and without sorting.

    The bits of a float32 that is not negative, read as an integer, grow with the number. So two histograms of 65,536
    buckets find it: one of the upper 16 bits of all values, one of the lower 16 bits in the bucket that it lies in.

    Args:
        tensors: float32, not negative, finite.
        rank: From 1, the largest, to the number of values.

    Raises:
        ValueError: There are fewer values than ``rank``, or it is below 1.

    Example:
        >>> kth_largest([torch.tensor([1.0, 5.0]), torch.tensor([3.0])], 2)
        3.0
    """
    values = list(tensors)
    upper, rank = _bucket(_histogram(values, None), rank)
    lower, _ = _bucket(_histogram(values, upper), rank)
    return torch.tensor(upper << _HALF | lower, dtype=torch.int32).view(torch.float32).item()


def _histogram(tensors: list[torch.Tensor], upper: int | None) -> torch.Tensor:
    """Return how often each value of the upper 16 bits occurs, or of the lower ones among values with ``upper``."""
    counts = torch.zeros(_BUCKETS, dtype=torch.int64)
    for tensor in tensors:
        for part in tensor.detach().reshape(-1).split(_AT_ONCE):  # type: ignore[no-untyped-call]
            bits = part.contiguous().view(torch.int32)
            high = bits >> _HALF
            found = high if upper is None else bits[high == upper] & (_BUCKETS - 1)
            counts += torch.bincount(found, minlength=_BUCKETS).cpu()
    return counts


def _bucket(counts: torch.Tensor, rank: int) -> tuple[int, int]:
    """Return the bucket that holds the ``rank``-th largest value, and its rank inside that bucket."""
    if not 1 <= rank <= int(counts.sum()):
        raise ValueError(f"there is no {rank}-th largest of {int(counts.sum())} values")
    at_least = counts.flip(0).cumsum(0).flip(0)
    bucket = int((at_least >= rank).nonzero().max())
    return bucket, rank - int(at_least[bucket] - counts[bucket])
