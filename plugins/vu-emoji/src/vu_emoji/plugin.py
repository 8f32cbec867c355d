"""What this plugin provides: a model, its concepts, its judges and its protocols."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, ModelSpec, ProtocolSpec, ScorerSpec, hookimpl

# Chosen on an earlier, half-trained pipeline of this kind, forgetting cat for dog; on this one it was tried on dog and
# car and not changed. Its prompts are those of `EmojiDataset.prompts`, whose wordings no protocol measures.
UCE_PRESET = {
    "tokens": "aligned-tail",
    "prompts": "dataset",
    "guide": "neighbour",
    "preserve": "dataset",
    "preserve_scale": 1.0,
    "erase_scale": 5.0,
    "regularization": 0.01,
    # Smaller than the factors would be whole matrices, but those do not load in plain diffusers.
    "form": "lora",
}

# Chosen by forgetting cat for dog; car and the style noto were tried with it and changed nothing. Its pictures are
# those of `EmojiDataset.pictures`, in wordings that no protocol measures.
FADE_PRESET = {
    "rank": 8,
    "alpha": 8.0,
    "learning_rate": 1e-3,
    "steps": 200,
    "forget_weight": 1.0,
    "batch_size": 4,
    "retain_batch_size": 8,
    "pictures_each": 16,
    # Nothing in the art is mirrored.
    "flip": False,
}
# Of a style, 16 pictures show half of the objects at most. Chosen by forgetting noto for twemoji.
FADE_STYLE_PRESET = {**FADE_PRESET, "pictures_each": 64, "steps": 400}
FADE_PRESETS = {"default": FADE_PRESET, "styles": FADE_STYLE_PRESET}


@hookimpl
def vu_models() -> Iterator[ModelSpec]:
    """Yield the embedded pipeline."""
    yield ModelSpec(
        name="emoji",
        summary="Draw 30 emoji objects in 6 styles at 64 x 64: a small Stable Diffusion, trained on real art.",
        folder="vu_emoji:assets/pipeline",
        embedded=True,
        family="text-to-image",
        capabilities=("TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses", "Samples"),
        dataset="emoji",
        protocol="emoji@1",
        quick_protocol="emoji-quick@1",
        presets={
            "uce": {"default": UCE_PRESET},
            "fade": FADE_PRESETS,
            "fade-per-module": FADE_PRESETS,
            "fade-per-weight": FADE_PRESETS,
        },
    )


@hookimpl
def vu_datasets() -> Iterator[DatasetSpec]:
    """Yield the concepts of the art."""
    yield DatasetSpec(
        name="emoji",
        summary="30 emoji objects in 6 styles, with captions.",
        target="vu_emoji.dataset:EmojiDataset",
        kinds=("object", "style"),
    )


@hookimpl
def vu_scorers() -> Iterator[ScorerSpec]:
    """Yield the judges; none shares weights with the pipeline."""
    yield ScorerSpec(
        name="emoji-object",
        summary="Say which of the 30 objects an emoji shows, or that it shows none.",
        target="vu_emoji.scorers:object_judge",
        outputs="classes",
        role="object",
    )
    yield ScorerSpec(
        name="emoji-style",
        summary="Say in which of the 6 styles an emoji is drawn, or that it is in none.",
        target="vu_emoji.scorers:style_judge",
        outputs="classes",
        role="style",
    )
    yield ScorerSpec(
        name="emoji-object-b",
        summary="Say which object an emoji shows: a second judge, of another shape and from other seeds.",
        target="vu_emoji.scorers:second_object_judge",
        outputs="classes",
        role="object",
    )
    yield ScorerSpec(
        name="emoji-style-b",
        summary="Say in which style an emoji is drawn: a second judge, of another shape and from other seeds.",
        target="vu_emoji.scorers:second_style_judge",
        outputs="classes",
        role="style",
    )
    yield ScorerSpec(
        name="emoji-clip",
        summary="Compare an emoji with a prompt, by a small CLIP trained on the art.",
        target="vu_emoji.scorers:ClipJudge",
        outputs="similarity",
        role="clip",
    )
    yield ScorerSpec(
        name="emoji-clip-object",
        summary="Say which object an emoji shows: the one whose prompt a small CLIP finds nearest.",
        target="vu_emoji.scorers:ClipObjectJudge",
        outputs="classes",
        role="object",
    )
    yield ScorerSpec(
        name="emoji-features",
        summary="Describe an emoji by 128 numbers: its embedding in a small CLIP trained on the art.",
        target="vu_emoji.scorers:ClipFeatures",
        outputs="features",
        role="features",
    )


@hookimpl
def vu_protocols() -> Iterator[ProtocolSpec]:
    """Yield the evaluations."""
    yield ProtocolSpec(
        name="emoji@1",
        summary="Every object in every style, two pictures each.",
        file="vu_emoji:protocols/emoji-1.toml",
    )
    yield ProtocolSpec(
        name="emoji-quick@1",
        summary="Every object in every style, one picture each; wider intervals than emoji@1.",
        file="vu_emoji:protocols/emoji-quick-1.toml",
    )
    yield ProtocolSpec(
        name="emoji-small@1",
        summary="Six objects in every style, one picture each: to try things out, in seconds.",
        file="vu_emoji:protocols/emoji-small-1.toml",
    )
