"""Options of Unified Concept Editing; the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vu_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class UceConfig:
    """How Unified Concept Editing forgets.

    Raises:
        ConfigError: ``attributes`` and ``attribute_weights`` do not fit each other or ``technique``.

    Example:
        >>> UceConfig(tokens="aligned-tail", erase_scale=5.0).regularization
        0.5
    """

    tokens: Literal["last", "aligned-tail"] = field(
        default="last",
        metadata={
            "help": "Token states that are edited. last: the last content token (the published diffusers release). "
            "aligned-tail: from the last content token to the end, end and padding tokens included (the first release)."
        },
    )
    technique: Literal["replace", "moderate", "tensor", "debias"] = field(
        default="replace",
        metadata={
            "help": "What a forgotten concept turns into. replace: its guide. moderate: the empty prompt. tensor: its "
            "guide without the part along the concept. debias: itself plus attributes at attribute_weights."
        },
    )
    guide: Literal["published", "neighbour"] = field(
        default="published",
        metadata={
            "help": "The guide where the request names no replacement. published: 'art' for a style and the empty "
            "prompt for anything else (always ' ' with aligned-tail). neighbour: the dataset's nearest concept that is "
            "not forgotten."
        },
    )
    prompts: Literal["name", "expanded", "dataset"] = field(
        default="name",
        metadata={
            "help": "Texts that stand for a concept. name: its text alone. expanded: also the five published phrases, "
            "as 'image of cat' (expand_prompts there; not for preserved concepts). dataset: the dataset's prompts."
        },
    )
    preserve: Literal["request", "dataset", "none"] = field(
        default="request",
        metadata={
            "help": "Concepts whose outputs are preserved. request: those named by --retain. dataset: those, or else "
            "the dataset's choice. none: no concept. aligned-tail preserves the empty prompt in any case."
        },
    )
    erase_scale: float = field(
        default=1.0,
        metadata={
            "help": "Weight of each edited token state; 0 changes nothing.",
            "ge": 0.0,
            "identity": 0.0,
            "symbol": "s",
        },
    )
    preserve_scale: float | None = field(
        default=None,
        metadata={
            "help": "Weight of each preserved token state. Left out: 1 with last, max(0.1, 1 / number of preserved "
            "prompts) with aligned-tail, as published.",
            "ge": 0.0,
            "symbol": "q",
        },
    )
    regularization: float = field(
        default=0.5,
        metadata={"help": "Weight of the distance to the original matrices.", "gt": 0.0, "symbol": "λ"},
    )
    regularization_mode: Literal["absolute", "relative"] = field(
        default="absolute",
        metadata={
            "help": "relative: regularization is multiplied by the mean squared norm of the edited token states, which "
            "makes it comparable across text encoders."
        },
    )
    strength: float = field(
        default=1.0,
        metadata={"help": "Factor on the whole change; 0 is the identity, 1 the solution.", "ge": 0.0, "identity": 0.0},
    )
    attributes: tuple[str, ...] = field(
        default=(), metadata={"help": "debias only: texts of the attributes to balance, such as 'male' and 'female'."}
    )
    attribute_weights: tuple[float, ...] = field(
        default=(),
        metadata={"help": "debias only: one weight for each attribute, positive to see more of it.", "symbol": "α"},
    )
    sites: Literal["key-value", "all"] = field(
        default="key-value",
        metadata={
            "help": "Layers that are edited. key-value: the cross-attention keys and values, as published. all: also "
            "the layers that embed text, such as the pooled text of SDXL."
        },
    )
    form: Literal["smallest", "lora", "dense"] = field(
        default="smallest",
        metadata={"help": "How the edit is stored. All forms hold the same change; smallest picks by size."},
    )

    def __post_init__(self) -> None:
        if (self.technique == "debias") != bool(self.attributes):
            raise ConfigError(
                f"technique '{self.technique}' was given {len(self.attributes)} attributes",
                hint="'debias' needs attributes and attribute_weights, the other techniques take neither.",
            )
        if len(self.attributes) != len(self.attribute_weights):
            raise ConfigError(
                f"{len(self.attribute_weights)} attribute_weights were given for {len(self.attributes)} attributes",
                hint="Give one weight for each attribute, in the same order.",
            )
