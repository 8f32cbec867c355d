"""Checkpoints of published models' exact shapes, written in seconds without the models.

What an unlearner of cross-attention reads is random: text encoders, keys and values. All other tensors
of U-Net and VAE are holes in their files: zeros that take no space on disk.

========  =================================================================
``sd1``   Stable Diffusion 1.4 in float32: 32 matrices of keys and values
``sdxl``  Stable Diffusion XL 1.0 in float16: 140 matrices
========  =================================================================
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vu_core.errors import VuError
from vu_core.testing.pipelines import tiny_tokenizer

if TYPE_CHECKING:
    import torch

Shapes = Literal["sd1", "sdxl"]

_CLIP_L = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
}
_CLIP_BIG_G = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
}
_UNETS: dict[str, dict[str, Any]] = {
    "sd1": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sdxl": {
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
_OF_BOTH = {
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_INDEX: dict[str, dict[str, Any]] = {
    "sd1": {**_OF_BOTH, "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "PNDMScheduler"]},
    "sdxl": {
        **_OF_BOTH,
        "_class_name": "StableDiffusionXLPipeline",
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "force_zeros_for_empty_prompt": True,
    },
}
_DTYPES = {"sd1": "float32", "sdxl": "float16"}
_CODES = {"float32": "F32", "float16": "F16"}


def write_checkpoint(folder: Path, *, family: Shapes = "sd1", seed: int = 0) -> Path:
    """Write a checkpoint in diffusers' folder format and return ``folder``.

    Args:
        folder: Made if need be.
        family: Whose shapes and stored type.
        seed: Decides the random tensors.

    Raises:
        VuError: The family is unknown.
    """
    import diffusers
    import torch

    if family not in get_args(Shapes):
        raise VuError(f"unknown family '{family}'", hint=f"Known: {', '.join(get_args(Shapes))}.")
    index, dtype = _INDEX[family], getattr(torch, _DTYPES[family])
    generator = torch.Generator().manual_seed(seed)
    for name, module in _modules(family).items():
        text = name.startswith("text_encoder")
        part = folder / name
        part.mkdir(parents=True, exist_ok=True)
        if text:
            module.config.save_pretrained(part)
        else:
            module.save_config(part)
        file = part / ("model.safetensors" if text else "diffusion_pytorch_model.safetensors")
        _write_weights(file, module.state_dict(), _everything if text else _keys_and_values, dtype, generator)
    for name in index:
        if name.startswith("tokenizer"):
            tiny_tokenizer().save_pretrained(folder / name)
    getattr(diffusers, index["scheduler"][1])().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return folder


def _modules(family: Shapes) -> dict[str, Any]:
    """Return the components with weights, on the device that has shapes only."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer = tiny_tokenizer()
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with torch.device("meta"):
        modules: dict[str, Any] = {
            "text_encoder": CLIPTextModel(CLIPTextConfig(**_CLIP_L, **special)),
            "unet": UNet2DConditionModel(**_UNETS[family]),
            "vae": AutoencoderKL(**_VAE),
        }
        if family == "sdxl":
            modules["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**_CLIP_BIG_G, **special))
    return modules


def _everything(name: str) -> bool:
    return True


def _keys_and_values(name: str) -> bool:
    return name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))


def _write_weights(
    file: Path,
    shapes: Mapping[str, torch.Tensor],
    filled: Callable[[str], bool],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> None:
    """Write a safetensors file, tensor by tensor; one that is not ``filled`` is a hole."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in shapes.items():
        begin, end = end, end + dtype.itemsize * tensor.numel()
        code = _CODES[str(dtype).removeprefix("torch.")]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        start = stream.tell()
        stream.truncate(start + end)
        for name in filter(filled, shapes):
            stream.seek(start + header[name]["data_offsets"][0])
            stream.write(_values(name, shapes[name].shape, generator).to(dtype).numpy().tobytes())


def _values(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Return float32 values of the size that training gives: norms 1, biases 0, rows of matrices of length 1."""
    import torch

    if len(shape) == 1:
        return torch.full(shape, 0.0 if name.endswith("bias") else 1.0)
    values: torch.Tensor = torch.randn(shape, generator=generator) / shape[-1] ** 0.5
    return values
