from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RepaintConfig:
    strength: float = field(default=0.5, metadata={"help": "Share of the way to the other colour.", "ge": 0, "le": 1})
    dense: bool = field(default=False, metadata={"help": "Store whole tensors instead of factors."})
