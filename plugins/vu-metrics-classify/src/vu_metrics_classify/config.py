"""Options of the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Feature = Literal["correctness", "confidence", "entropy", "modified_entropy", "probabilities"]


@dataclass(frozen=True, kw_only=True)
class FewConfig:
    """What happens to sets that are too small."""

    allow_few: bool = field(
        default=False,
        metadata={
            "help": "Measure fewer pictures or models than the number needs, and say so in its note.",
            "example": True,
        },
    )


@dataclass(frozen=True, kw_only=True)
class SvcConfig(FewConfig):
    """How the attack with a support-vector classifier is made."""

    feature: Feature = field(default="confidence", metadata={"help": "What the attack reads of each picture."})
    subset: Literal["random", "first"] = field(
        default="random",
        metadata={
            "help": "Which retained pictures the attack learns as members: drawn, or the first in the order of their "
            "ids, which is what published code does with a dataset's order."
        },
    )
    seed: int = field(default=0, metadata={"help": "Decides which pictures are drawn.", "ge": 0})


@dataclass(frozen=True, kw_only=True)
class LossConfig(FewConfig):
    """How the attack on losses is made."""

    splits: int = field(default=10, metadata={"help": "Random splits into learned and tested pictures.", "ge": 1})
    test_share: float = field(
        default=0.1, metadata={"help": "Share of the pictures that a split tests.", "gt": 0, "lt": 1}
    )
    seed: int = field(default=0, metadata={"help": "Of the splits, and of which pictures balance the sets.", "ge": 0})


@dataclass(frozen=True, kw_only=True)
class DistributionConfig(FewConfig):
    """Which distributions are compared."""

    feature: Literal["loss", "entropy"] = field(default="loss", metadata={"help": "What is read of each picture."})


@dataclass(frozen=True, kw_only=True)
class LiraConfig(FewConfig):
    """How likely a picture's confidence is under models that never learned it."""

    sides: Literal["one", "two"] = field(
        default="one",
        metadata={
            "help": "One: the more confident than those models, the likelier a member, as in the paper. Two: the "
            "further from them either way, as in the released code; then over-forgetting counts as membership."
        },
    )
    fpr: float = field(
        default=0.01,
        metadata={"help": "False-positive rate at which the true-positive rate is read.", "gt": 0, "lt": 1},
    )


@dataclass(frozen=True, kw_only=True)
class RmiaConfig(FewConfig):
    """How a picture's probability is held against that of models that never learned it."""

    a: float = field(
        default=0.3,
        metadata={
            "help": "Offline correction a of the paper: what members would add to the average.",
            "ge": 0,
            "le": 1,
        },
    )
    fpr: float = field(
        default=0.01,
        metadata={"help": "False-positive rate at which the true-positive rate is read.", "gt": 0, "lt": 1},
    )


@dataclass(frozen=True, kw_only=True)
class SplitConfig(FewConfig):
    """On which pictures two models are compared."""

    split: Literal["train", "validation", "test"] = field(
        default="train", metadata={"help": "The split: D_f and D_r, or the validation or test pictures."}
    )


@dataclass(frozen=True, kw_only=True)
class KlomConfig(SplitConfig):
    """Which of the pictures' divergences is taken."""

    percentile: float = field(
        default=50.0, metadata={"help": "Percentile over pictures; papers give 50 and 95.", "ge": 0, "le": 100}
    )


@dataclass(frozen=True, kw_only=True)
class DistanceConfig(SplitConfig):
    """Which of the released distances is computed."""

    form: Literal["l2", "rms", "l1"] = field(
        default="l2",
        metadata={"help": "Mean of 2-norms; root of their mean square; mean of 1-norms."},
    )


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(FewConfig):
    """How a linear classifier of the features is trained."""

    most: int = field(default=2000, metadata={"help": "Retained pictures that it learns at most.", "ge": 1})
    seed: int = field(default=0, metadata={"help": "Decides which retained pictures it learns.", "ge": 0})


@dataclass(frozen=True, kw_only=True)
class RelearnConfig:
    """How a model learns again what it forgot; the defaults are those of the code released with the anamnesis index."""

    margin: float = field(
        default=0.05,
        metadata={
            "help": "How far below the original model's accuracy, as a share of it, is near enough.",
            "ge": 0,
            "lt": 1,
            "symbol": "α",
            "example": 0.6,
        },
    )
    optimizer: Literal["adam", "adamw", "sgd"] = field(
        default="adam", metadata={"help": "What makes the steps; sgd has a momentum of 0.9, none decays weights."}
    )
    learning_rate: float = field(
        default=1e-3, metadata={"help": "Of all steps.", "gt": 0, "symbol": "η", "example": 0.1}
    )
    batch_size: int = field(
        default=256, metadata={"help": "Training pictures a step.", "ge": 1, "symbol": "B", "example": 6}
    )
    epochs: int = field(
        default=10,
        metadata={
            "help": "Passes over all training pictures after which relearning is given up.",
            "ge": 1,
            "example": 2,
        },
    )
    least_steps: int = field(
        default=1000,
        metadata={
            "help": "But not before so many steps: passes over few pictures are short.",
            "ge": 0,
            "example": 40,
        },
    )
    seeds: int = field(
        default=3, metadata={"help": "How often a model learns again, each time in another order.", "ge": 1}
    )
