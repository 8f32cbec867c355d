"""Options of FADE's variants; the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from vu_train.settings import DataSettings, Schedule, TrainSettings, with_default

_DROPOUT_HELP = "Share of each layer's inputs that the adapter does not see while it is trained."
_LAYERS = {
    "help": "Layers of the denoiser that get an adapter, by the end of their path; self- and cross-attention.",
    "example": ("to_k", "to_v"),
}


@dataclass(frozen=True, kw_only=True)
class AdapterSettings(TrainSettings, DataSettings):
    """What the variants share: the losses' weights and the adapter's size.

    1,550 steps are those of the published UnlearnCanvas runs; the published tutorial takes one pass over ten pictures,
    three steps.
    """

    steps: int = with_default(TrainSettings, "steps", 1550)
    schedule: Schedule = with_default(TrainSettings, "schedule", "cosine")
    flip: bool = with_default(DataSettings, "flip", True)
    forget_weight: float = field(
        default=0.3,
        metadata={"help": "Weight of the forget loss; 0 forgets nothing.", "ge": 0.0, "identity": 0.0, "symbol": "w_f"},
    )
    retain_weight: float = field(
        default=1.0, metadata={"help": "Weight of the retain loss.", "ge": 0.0, "symbol": "w_r"}
    )
    rank: int = field(default=4, metadata={"help": "Rank of the adapter in each layer.", "ge": 1, "symbol": "r"})
    alpha: float = field(
        default=4.0, metadata={"help": "The adapter's change is alpha / rank times B A.", "gt": 0.0, "symbol": "α"}
    )
    dropout: float = field(default=0.0, metadata={"help": _DROPOUT_HELP, "ge": 0.0, "lt": 1.0})


@dataclass(frozen=True, kw_only=True)
class SaliencySettings(AdapterSettings):
    """What the sparse variants share: how much is selected, and how saliency is measured."""

    fraction: float = field(
        default=0.75,
        metadata={
            "help": "Share of what is ranked that may change.",
            "gt": 0.0,
            "le": 1.0,
            "symbol": "q",
        },
    )
    saliency_timesteps: int = field(
        default=1,
        metadata={"help": "Noise levels at which each picture is measured; more vary less.", "ge": 1},
    )


@dataclass(frozen=True, kw_only=True)
class FadeConfig(AdapterSettings):
    """How FADE forgets.

    Example:
        >>> FadeConfig(rank=8).layers
        ('to_k', 'to_q', 'to_v', 'to_out.0')
    """

    layers: tuple[str, ...] = field(default=("to_k", "to_q", "to_v", "to_out.0"), metadata=_LAYERS)


@dataclass(frozen=True, kw_only=True)
class FadePerModuleConfig(SaliencySettings):
    """How FADE with the most salient layers forgets."""


@dataclass(frozen=True, kw_only=True)
class FadePerWeightConfig(SaliencySettings):
    """How FADE with the most salient weights forgets."""

    layers: tuple[str, ...] = field(default=("to_k", "to_q", "to_v"), metadata=_LAYERS)
    dropout: float = field(default=0.1, metadata={"help": _DROPOUT_HELP, "ge": 0.0, "lt": 1.0})
