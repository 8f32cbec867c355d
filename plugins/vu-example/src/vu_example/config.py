"""Options of the unlearner; as light as the plugin's module."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Config:
    """How much is forgotten."""

    strength: float = field(default=1.0, metadata={"help": "Share that is removed; 0 is none.", "ge": 0.0, "le": 1.0})
