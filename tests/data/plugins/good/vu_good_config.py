"""Options of the unlearner "erase"."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class EraseConfig:
    scale: float = field(default=1.0, metadata={"help": "Strength.", "ge": 0.0, "lt": 10.0, "symbol": "λ"})
    tokens: Literal["last", "all"] = field(default="last", metadata={"help": "Which tokens are edited."})
