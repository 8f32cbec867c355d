"""Options of training a classifier."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from vu_train.settings import ClassifierSettings, with_default


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ClassifierSettings):
    """Which network is trained, and how: by default as ResNet-18 commonly is for CIFAR-10."""

    architecture: str = field(
        default="resnet18",
        metadata={
            "help": "mlp, resnet18, resnet20, vgg16-bn, vit-tiny, or module:callable of your own",
            "example": "mlp",
        },
    )
    width: int | None = field(
        default=None, metadata={"help": "Its width: channels, units or numbers; none: the published one.", "ge": 1}
    )
    arguments: str = field(
        default="{}", metadata={"help": 'Further arguments that it is built with, as JSON: {"num_classes": 10}.'}
    )
    kind: str = field(
        default="", metadata={"help": "Kind of the concepts that it tells apart; empty: the dataset's first."}
    )
    mean: tuple[float, float, float] | None = field(
        default=None, metadata={"help": "Of each colour in [0, 1], to normalise by; none: of the pictures."}
    )
    std: tuple[float, float, float] | None = field(
        default=None, metadata={"help": "Of each colour, to normalise by; none: of the pictures.", "gt": 0}
    )
    epochs: int = with_default(ClassifierSettings, "epochs", 200)
    batch_size: int = with_default(ClassifierSettings, "batch_size", 128)
    schedule: Literal["constant", "cosine", "multistep", "triangle"] = with_default(
        ClassifierSettings, "schedule", "cosine"
    )
    augment: Literal["none", "crop-flip"] = with_default(ClassifierSettings, "augment", "crop-flip")

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            arguments = json.loads(self.arguments)
        except ValueError as error:
            raise ValueError(f"arguments is no JSON: {error}") from error
        if not isinstance(arguments, dict):
            raise ValueError(f"arguments is {self.arguments}, a JSON object is needed")

    def built_with(self) -> dict[str, object]:
        """Return the arguments that the network is built with."""
        width = {} if self.width is None else {"width": self.width}
        return {**json.loads(self.arguments), **width}
