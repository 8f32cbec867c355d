"""Options of task negation; see the README for where the defaults come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from vu_train.settings import DataSettings, Schedule, TrainSettings, with_default


@dataclass(frozen=True, kw_only=True)
class NegationSettings(TrainSettings, DataSettings):
    """What both unlearners share: the adapter, and how strongly it is taken away."""

    schedule: Schedule = with_default(TrainSettings, "schedule", "cosine")
    flip: bool = with_default(DataSettings, "flip", True)
    rank: int = field(default=4, metadata={"help": "Rank of the adapter in each layer.", "ge": 1, "symbol": "r"})
    alpha: float = field(
        default=4.0, metadata={"help": "The adapter's change is alpha / rank times B A.", "gt": 0.0, "symbol": "α"}
    )
    layers: tuple[str, ...] = field(
        default=("to_k", "to_q", "to_v", "to_out.0"),
        metadata={
            "help": "Layers of the denoiser that get an adapter, by the end of their path.",
            "example": ("to_k", "to_v"),
        },
    )
    dropout: float = field(
        default=0.0,
        metadata={
            "help": "Share of the inputs that the adapter does not see in training.",
            "ge": 0.0,
            "lt": 1.0,
        },
    )
    strength: float = field(
        default=1.0,
        metadata={
            "help": "How much of what was learned is subtracted; 0 changes nothing.",
            "ge": 0.0,
            "identity": 0.0,
            "symbol": "μ",
        },
    )


@dataclass(frozen=True, kw_only=True)
class LoraNegationConfig(NegationSettings):
    """How task negation forgets.

    Example:
        >>> LoraNegationConfig(retain_weight=0.0).forget_weight
        1.0
    """

    forget_weight: float = field(
        default=1.0, metadata={"help": "Weight of the forget set.", "gt": 0.0, "symbol": "w_f"}
    )
    retain_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the retain set; 0 leaves it out.", "ge": 0.0, "symbol": "w_r"},
    )


@dataclass(frozen=True, kw_only=True)
class MunbaConfig(NegationSettings):
    """How task negation with bargained gradients forgets."""
