"""Options of the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """How sets of pictures are compared."""

    allow_few: bool = field(
        default=False,
        metadata={
            "help": "Measure fewer pictures than the number needs, and say in its note that it is unreliable.",
            "example": True,
        },
    )


@dataclass(frozen=True, kw_only=True)
class ManifoldConfig(SetConfig):
    """How the balls around pictures are drawn."""

    k: int = field(default=5, metadata={"help": "A ball reaches to the k-th nearest picture of its own set.", "ge": 1})
    ties: Literal["outside", "inside"] = field(
        default="outside", metadata={"help": "Whether a picture exactly on a ball's border is in it."}
    )
