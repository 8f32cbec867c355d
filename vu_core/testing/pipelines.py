"""Tiny text-to-image pipelines with random weights, built and written in a second or two.

They have the structure, names and quirks of the real families and nothing else: pictures are
16 x 16 noise that depends on the prompt. Plugins that work on pipelines test against them.

=========  ===================================================================================
``sd1``    one CLIP encoder, padding is the end token, PNDM, predicts noise (Stable Diffusion 1.x)
``sd2``    one CLIP encoder, padding is token 0 (``!``), DDIM, predicts v (Stable Diffusion 2.x)
``sdxl``   two CLIP encoders, penultimate states side by side, pooled text, Euler (SDXL)
=========  ===================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vu_core.errors import VuError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DiffusionPipeline, SchedulerMixin, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

Family = Literal["sd1", "sd2", "sdxl"]

TEXT_WIDTH = 64
"""Width of one text encoder's states; SDXL's stream is twice as wide."""

WORDS = (
    "a", "an", "of", "the", "in", "style", "photo", "picture", "drawing", "emoji", "person",
    "cat", "dog", "fish", "bird", "horse", "car", "tree", "house", "apple", "van", "gogh",
    "red", "blue", "green", "round", "sky", "something",
)  # fmt: skip
"""Words the tokenizer knows; a few split in two, and any other text is spelled out in bytes."""

_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"
_TEXT_GAIN = 20.0
_TIME_WIDTH = 8


def write_pipeline(
    folder: Path, *, family: Family = "sd1", dtype: str = "float32", seed: int = 0, **save_options: Any
) -> Path:
    """Write a tiny pipeline in diffusers' folder format and return ``folder``.

    Args:
        folder: Made if need be.
        family: Which real family it imitates.
        dtype: Name of the stored floating-point type: ``"float32"`` or ``"float16"``.
        seed: Decides the weights.
        save_options: Passed to ``save_pretrained``: ``variant="fp16"``, ``max_shard_size="100KB"``.

    Raises:
        VuError: The family is unknown.

    Example:
        >>> import tempfile
        >>> folder = write_pipeline(Path(tempfile.mkdtemp()), family="sd1")
        >>> (folder / "model_index.json").is_file()
        True
    """
    import torch

    pipe = build_pipeline(family=family, seed=seed)
    for module in _modules(pipe):
        torch.nn.Module.to(module, getattr(torch, dtype))
    pipe.save_pretrained(folder, **save_options)
    return folder


def build_pipeline(*, family: Family = "sd1", seed: int = 0) -> DiffusionPipeline:
    """Return a tiny float32 pipeline on the CPU, in eval mode; the global random state is kept.

    Args:
        family: Which real family it imitates.
        seed: Decides the weights.

    Raises:
        VuError: The family is unknown.
    """
    import torch

    if family not in get_args(Family):
        raise VuError(f"unknown family '{family}'", hint=f"Known: {', '.join(get_args(Family))}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipe = _sdxl() if family == "sdxl" else _stable_diffusion(family)
    for module in _modules(pipe):
        module.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tiny_tokenizer(*, pad_token: str = _EOS) -> CLIPTokenizer:
    """Return a real ``CLIPTokenizer`` over bytes and `WORDS`, 77 tokens long.

    Args:
        pad_token: The end token as in Stable Diffusion 1.x, or ``"!"`` (id 0) as in 2.x.
    """
    from transformers import CLIPTokenizer

    units = _byte_units()
    tokens = units + [unit + _END_OF_WORD for unit in units]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + _END_OF_WORD]
        left = parts[0]
        for part in parts[1:]:
            if (left, part) not in merges:
                merges.append((left, part))
                tokens.append(left + part)
            left += part
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*tokens, _BOS, _EOS]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad_token, model_max_length=77)


def _stable_diffusion(family: Family) -> DiffusionPipeline:
    from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline

    if family == "sd1":
        tokenizer = tiny_tokenizer()
        scheduler: SchedulerMixin = PNDMScheduler(skip_prk_steps=True, **_noise_schedule())
    else:
        tokenizer = tiny_tokenizer(pad_token="!")
        scheduler = DDIMScheduler(prediction_type="v_prediction", clip_sample=False, **_noise_schedule())
    return StableDiffusionPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder(tokenizer, "quick_gelu" if family == "sd1" else "gelu"),
        tokenizer=tokenizer,
        unet=_unet(
            cross_attention_dim=TEXT_WIDTH,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> DiffusionPipeline:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer, tokenizer_2 = tiny_tokenizer(), tiny_tokenizer(pad_token="!")
    return StableDiffusionXLPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder(tokenizer, "quick_gelu"),
        text_encoder_2=_text_encoder(tokenizer_2, "gelu", projection=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=_unet(
            cross_attention_dim=2 * TEXT_WIDTH,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=_TIME_WIDTH,
            projection_class_embeddings_input_dim=TEXT_WIDTH + 6 * _TIME_WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(**_noise_schedule()),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _unet(**options: Any) -> UNet2DConditionModel:
    """Return a U-Net that reacts to text: as initialised, random weights hardly do."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        attention_head_dim=8,
        **options,
    )
    for name, parameter in unet.named_parameters():
        if name.endswith("attn2.to_out.0.weight"):
            parameter.data.mul_(_TEXT_GAIN)
    return unet


def _autoencoder() -> AutoencoderKL:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=8,
        latent_channels=4,
        sample_size=16,
    )


def _text_encoder(
    tokenizer: CLIPTokenizer, activation: str, *, projection: bool = False
) -> CLIPTextModel | CLIPTextModelWithProjection:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act=activation,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def _noise_schedule() -> dict[str, Any]:
    """Return the noise schedule that all three families share."""
    return {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def _modules(pipe: DiffusionPipeline) -> list[Any]:
    import torch

    return [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]


def _byte_units() -> list[str]:
    """Return the 256 printable characters by which byte-level BPE writes bytes, ``!`` first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + index) for index in range(others)]
