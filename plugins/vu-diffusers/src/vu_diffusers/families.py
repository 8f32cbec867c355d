"""What distinguishes one family of pipelines from another, as data.

A further family is one more `Family` in `FAMILIES`: its classes, where text enters, and which encoder
states it reads. What cannot be data (packed latents, a second text path) gets its own function then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vu_core import ModelError

TEXT = "text"
"""The stream of token states."""

POOLED = "pooled"
"""The stream of one vector a prompt, which SDXL reads beside the token states."""


@dataclass(frozen=True, kw_only=True)
class SiteRule:
    """Which modules of the denoiser are text sites.

    Attributes:
        suffix: How their paths end: ``"attn2.to_k"``.
        role: ``"key"``, ``"value"`` or ``"embedder"``.
        stream: The text stream they read.
        width: Where fewer than all input columns are the stream's, which come first: the component and the entry of
            its configuration that say how many.
    """

    suffix: str
    role: Literal["key", "value", "embedder"]
    stream: str = TEXT
    width: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of pipelines.

    Attributes:
        pipeline: Class of the pipeline in diffusers.
        denoiser: Component that predicts noise.
        modules: Class of each component with weights, by its name.
        tokenizers: Tokenizer of each text encoder, by the encoder's name; in the order in which their
            states are put side by side.
        penultimate: Whether the pipeline reads the states before the last layer and the final layer
            norm, and a pooled vector beside them.
        rules: Where text enters the denoiser.
        options: Entries of ``model_index.json`` that the pipeline's constructor takes.
        fixed: Arguments of the constructor that never depend on the folder.
        normalised_latents: Whether the pipeline reads the VAE's ``latents_mean`` and ``latents_std``, if it has any.
        scheduler_fixes: Entries that the constructor sets in any scheduler's configuration, with a warning.
        guidance_scale: Default of the pipeline's own call.
        steps: Default of the pipeline's own call.
    """

    pipeline: str
    denoiser: str
    modules: Mapping[str, str]
    tokenizers: Mapping[str, str]
    penultimate: bool
    rules: Sequence[SiteRule]
    options: Sequence[str] = ()
    fixed: Mapping[str, object | None]
    normalised_latents: bool = False
    scheduler_fixes: Mapping[str, object] = field(default_factory=dict)
    guidance_scale: float
    steps: int = 50

    def sites_in(self, names: Iterable[str]) -> list[tuple[str, SiteRule]]:
        """Return the module paths of the text sites among tensor ``names``, in the order of the forward pass."""
        found = []
        for name in names:
            path, _, attribute = name.rpartition(".")
            rule = next((i for i, rule in enumerate(self.rules) if path.endswith(rule.suffix)), None)
            if attribute == "weight" and rule is not None:
                found.append((_position(path), rule, path))
        return [(path, self.rules[rule]) for _, rule, path in sorted(found)]


_UNET_RULES = (
    SiteRule(suffix="attn2.to_k", role="key"),
    SiteRule(suffix="attn2.to_v", role="value"),
)

STABLE_DIFFUSION = Family(
    pipeline="StableDiffusionPipeline",
    denoiser="unet",
    modules={"text_encoder": "CLIPTextModel", "unet": "UNet2DConditionModel", "vae": "AutoencoderKL"},
    tokenizers={"text_encoder": "tokenizer"},
    penultimate=False,
    rules=_UNET_RULES,
    fixed={"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    scheduler_fixes={"clip_sample": False, "steps_offset": 1},
    guidance_scale=7.5,
)

STABLE_DIFFUSION_XL = Family(
    pipeline="StableDiffusionXLPipeline",
    denoiser="unet",
    modules={
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
    },
    tokenizers={"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"},
    penultimate=True,
    rules=(
        *_UNET_RULES,
        # Behind the pooled text stand the sizes of picture and crop.
        SiteRule(
            suffix="add_embedding.linear_1",
            role="embedder",
            stream=POOLED,
            width=("text_encoder_2", "projection_dim"),
        ),
    ),
    options=("force_zeros_for_empty_prompt",),
    fixed={"add_watermarker": False},
    normalised_latents=True,
    guidance_scale=5.0,
)

FAMILIES: Mapping[str, Family] = {family.pipeline: family for family in (STABLE_DIFFUSION, STABLE_DIFFUSION_XL)}


def family_of(pipeline: str, name: str) -> Family:
    """Return the family of a pipeline class.

    Args:
        pipeline: Name of the class.
        name: What the user called the model, for the message.

    Raises:
        ModelError: No supported family has this class.
    """
    if pipeline not in FAMILIES:
        raise ModelError(
            f"'{name}' is a {pipeline}, which vu-diffusers does not support",
            hint=f"Supported: {', '.join(FAMILIES)}.",
        )
    return FAMILIES[pipeline]


_STAGES = {"add_embedding": 0, "down_blocks": 1, "mid_block": 2, "up_blocks": 3}


def _position(path: str) -> tuple[int, tuple[int, ...]]:
    """Return a U-Net module's place in the forward pass: stage, then the indices in its path.

    ``down_blocks.1.attentions.0.transformer_blocks.10...`` is in stage 1 at (1, 0, 10).
    """
    stage = _STAGES.get(path.partition(".")[0], len(_STAGES))
    return stage, tuple(int(index) for index in re.findall(r"\.(\d+)(?=\.)", path))
