"""Options of training and of its data: an unlearner's config inherits them. Light: the standard library only."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How parameters are trained; see the help of each field.

    What a step computes depends neither on ``accumulation`` nor on the number of processes.
    """

    steps: int = field(
        default=500,
        metadata={"help": "optimiser steps; the schedule ends with the last", "ge": 0, "identity": 0, "example": 2},
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "highest learning rate", "gt": 0})
    schedule: Schedule = field(default="constant", metadata={"help": "its course, as diffusers names it"})
    warmup_steps: int = field(default=0, metadata={"help": "steps in which the rate rises from 0", "ge": 0})
    weight_decay: float = field(default=1e-2, metadata={"help": "of AdamW", "ge": 0})
    clip: float | None = field(default=1.0, metadata={"help": "largest norm of the gradient; none: any", "gt": 0})
    accumulation: int = field(
        default=1, metadata={"help": "parts in which a step's batches are computed, to save memory", "ge": 1}
    )
    precision: Literal["float32", "bfloat16"] = field(
        default="float32", metadata={"help": "of the forward pass (autocast); parameters stay float32"}
    )
    ema: float | None = field(
        default=None,
        metadata={"help": "decay of a moving average that becomes the result; none: off", "ge": 0, "lt": 1},
    )
    checkpoint_every: int = field(default=100, metadata={"help": "steps between checkpoints", "ge": 1})
    keep_checkpoints: int = field(default=2, metadata={"help": "how many of the newest stay", "ge": 1})
    log_every: int = field(default=10, metadata={"help": "steps between lines of the log", "ge": 1})
    max_steps: int | None = field(
        default=None, metadata={"help": "stop after so many steps, on the schedule of all; none: do them all", "ge": 0}
    )
    time_limit: float | None = field(
        default=None, metadata={"help": "stop after so many seconds of training; none: never", "gt": 0}
    )

    def __post_init__(self) -> None:
        if self.warmup_steps and self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, of {self.steps} steps in all")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which pictures are trained on, and how they are fed; see the help of each field."""

    pictures: str = field(
        default="auto",
        metadata={
            "help": "'dataset', 'model' (drawn by prompt), a folder, or a .json, .jsonl or .parquet file; "
            "'auto': the dataset's if it has any, else the model's"
        },
    )
    caption: str = field(
        default="",
        metadata={"help": "caption of every picture, like 'a photo of {concept}'; empty: the stored ones"},
    )
    batch_size: int = field(default=4, metadata={"help": "pictures of the forget set a step", "ge": 1})
    retain_batch_size: int | None = field(
        default=None, metadata={"help": "pictures of the retain set a step; none: as many", "ge": 1}
    )
    resolution: int | None = field(
        default=None, metadata={"help": "side of the pictures in pixels; none: the model's own size", "ge": 8}
    )
    flip: bool = field(default=False, metadata={"help": "mirror every other picture, by chance"})
    broken: Literal["refuse", "skip"] = field(default="refuse", metadata={"help": "pictures that cannot be read"})
    odd_sizes: Literal["crop", "skip", "refuse"] = field(
        default="crop", metadata={"help": "pictures of another size: scale and crop the middle, or leave them out"}
    )
    pictures_each: int | None = field(
        default=None,
        metadata={
            "help": "at most so many pictures of each concept, chosen by the seed; none: all, or 16 if the model draws",
            "ge": 1,
        },
    )


@dataclass(frozen=True, kw_only=True)
class EpochSettings:
    """How a classifier is trained, in epochs over labelled images; see the help of each field."""

    epochs: int = field(
        default=10, metadata={"help": "passes over the images", "ge": 0, "identity": 0, "example": 2, "symbol": "E"}
    )
    learning_rate: float = field(default=0.1, metadata={"help": "highest learning rate", "ge": 0, "symbol": "η"})
    optimizer: Literal["sgd", "adam", "adamw"] = field(default="sgd", metadata={"help": "what makes the steps"})
    momentum: float = field(default=0.9, metadata={"help": "of sgd", "ge": 0, "lt": 1})
    weight_decay: float = field(
        default=5e-4, metadata={"help": "added to the gradient times the weights; of adamw, apart from it", "ge": 0}
    )
    batch_size: int = field(default=256, metadata={"help": "images a step", "ge": 1, "symbol": "B"})
    schedule: Literal["constant", "cosine", "multistep", "triangle"] = field(
        default="constant",
        metadata={
            "help": "course of the learning rate, by epochs: cosine falls towards 0, multistep falls at milestones, "
            "triangle rises to the middle and falls again"
        },
    )
    milestones: tuple[int, ...] = field(
        default=(), metadata={"help": "epochs done when multistep multiplies the rate by decay", "ge": 0}
    )
    decay: float = field(default=0.1, metadata={"help": "factor of multistep", "gt": 0, "le": 1})
    batch_norm: Literal["train", "eval"] = field(
        default="train",
        metadata={
            "help": "train: BatchNorm takes a batch's own statistics, which move the running ones; eval: the running "
            "ones, which stay"
        },
    )
    clip: float | None = field(default=None, metadata={"help": "largest norm of the gradient; none: any", "gt": 0})
    checkpoint_every: int = field(default=1, metadata={"help": "epochs between checkpoints", "ge": 1})

    def __post_init__(self) -> None:
        if (self.schedule == "multistep") != bool(self.milestones):
            raise ValueError(
                f"schedule is {self.schedule} and milestones are {list(self.milestones) or 'none'}; "
                "multistep needs milestones, and nothing else takes them"
            )


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(EpochSettings):
    """How a classifier is trained from the start: what `Retrains.recipe` holds, besides the seed."""

    augment: Literal["none", "crop-flip"] = field(
        default="none",
        metadata={"help": "crop-flip: shift each image by up to an eighth of its side, mirror every other, by chance"},
    )


def with_default(cls: type, name: str, default: Any) -> Any:
    """Return a dataclass field like ``cls``'s, with another default, for a config that inherits it.

    Args:
        cls: `TrainSettings`, `DataSettings`, or another class of settings.
        name: Which field.
        default: Its new default.

    Raises:
        AttributeError: There is no such field.

    Example:
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Config(TrainSettings):
        ...     steps: int = with_default(TrainSettings, "steps", 1000)
        >>> Config().steps
        1000
    """
    found = next((one for one in fields(cls) if one.name == name), MISSING)
    if found is MISSING:
        raise AttributeError(f"{cls.__name__} has no field '{name}'")
    return field(default=default, metadata=found.metadata)
