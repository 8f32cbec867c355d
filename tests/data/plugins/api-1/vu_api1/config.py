"""Options."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class RepaintConfig:
    strength: float = field(
        default=1.0, metadata={"help": "Share of the way to the other colour.", "ge": 0.0, "le": 1.0, "symbol": "s"}
    )
    form: Literal["lora", "dense"] = field(default="lora", metadata={"help": "How the edit is stored."})


@dataclass(frozen=True, kw_only=True)
class RecognisedConfig:
    least: float = field(default=0.0, metadata={"help": "Least probability that counts.", "ge": 0.0, "lt": 1.0})
