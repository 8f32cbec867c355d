"""Options of the pictures of clothes."""

from __future__ import annotations

from dataclasses import dataclass

from vu_core.splits import SplitOptions, share


@dataclass(frozen=True, kw_only=True)
class FashionOptions(SplitOptions):
    """Which pictures are in which split, and which make up a set of samples to forget."""

    membership: float = share(0.0, "that nothing learns from, for membership attacks")
