"""What a running component is given besides its inputs: device, randomness, progress, log."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def silent(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Iterate over ``items`` and show nothing."""
    return iter(items)


def _discard(step: int, values: Mapping[str, float]) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The surroundings of one run.

    Attributes:
        out_dir: The run's folder: the only place a component may write to.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        dtype: Name of the floating-point type to compute in: ``"float32"``.
        seed: Seed that all randomness of the run derives from.
        log: Called as ``log(step, values)`` with finite numbers; kept in ``events.jsonl``.
        warnings: Sentences that the record will carry; append to it.
        track: What `progress` shows iterations with, called as ``track(items, total, label)``.
    """

    out_dir: Path
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    log: Callable[[int, Mapping[str, float]], None] = _discard
    warnings: list[str] = field(default_factory=list)
    track: Callable[[Iterable[Any], int | None, str], Iterator[Any]] = silent

    def progress(self, items: Iterable[T], *, total: int | None = None, label: str = "") -> Iterator[T]:
        """Iterate over ``items`` while the user sees how far it is and how long it will take.

        Args:
            items: What to iterate over.
            total: Its length, when ``len`` does not tell.
            label: What is being done, in a few words.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        return self.track(items, total, label)

    def generator(self, purpose: str = "", device: str = "cpu") -> torch.Generator:
        """Return a generator seeded from the run's seed and ``purpose``: one stream a purpose.

        The same seed and purpose give the same stream; different purposes are independent.
        """
        import torch

        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "little"))
