from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class GreysOptions:
    root: str = field(default="", metadata={"help": "Nowhere in particular.", "place": True})
    each: int = field(default=12, metadata={"help": "Pictures of a class and split.", "ge": 1})


@dataclass(frozen=True, kw_only=True)
class WeighOptions:
    times: float = field(default=1.0, metadata={"help": "Factor.", "gt": 0})
