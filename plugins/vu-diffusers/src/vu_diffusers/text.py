"""Encoding prompts exactly as the pipelines of diffusers do, without importing diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vu_core import Encoding, ModelError, RequestError
from vu_diffusers.families import POOLED, TEXT

_CHUNK = 32


@torch.no_grad()
def encode(
    prompts: Sequence[str], encoders: Sequence[tuple[Any, torch.nn.Module]], *, penultimate: bool, name: str
) -> Encoding:
    """Return the states of ``prompts``, padded to the tokenizer's full length, as float32 on the CPU.

    The pipelines pass no attention mask to CLIP, so padding rows are states like any others.

    Args:
        prompts: A repeated prompt is encoded once.
        encoders: Tokenizer and text encoder, one pair or (SDXL) two whose states stand side by side.
        penultimate: Take the states before the last layer and the final layer norm, and add the stream
            ``"pooled"`` (N, 1, d) of the encoder that has one; otherwise the encoder's output.
        name: The model's name, for messages.

    Raises:
        RequestError: There are no prompts.
        ModelError: States are not finite, as with NaN weights.
    """
    if not prompts:
        raise RequestError("there is no prompt to encode")
    unique = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
    order = torch.tensor([unique[prompt] for prompt in prompts])
    parts = [_run(list(unique), tokenizer, encoder, penultimate) for tokenizer, encoder in encoders]
    states = {TEXT: torch.cat([part["states"] for part in parts], dim=-1)}
    mask = {TEXT: parts[0]["mask"]}
    for part in parts:
        if "pooled" in part:
            states[POOLED] = part["pooled"][:, None]
            mask[POOLED] = torch.ones(len(unique), 1, dtype=torch.bool)
    if not all(stream.isfinite().all() for stream in states.values()):
        raise ModelError(
            f"the text encoder of '{name}' gives states that are not finite",
            hint="Its weights hold NaN or infinite values.",
        )
    return Encoding(
        states={stream: values[order] for stream, values in states.items()},
        mask={stream: values[order] for stream, values in mask.items()},
        first={stream: 1 if stream == TEXT else 0 for stream in states},
    )


def _run(prompts: list[str], tokenizer: Any, encoder: torch.nn.Module, penultimate: bool) -> dict[str, torch.Tensor]:
    tokens = tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    found: dict[str, list[torch.Tensor]] = {"mask": [tokens.attention_mask.bool()]}
    device = next(encoder.parameters()).device
    for ids in tokens.input_ids.split(_CHUNK):
        output = encoder(ids.to(device), output_hidden_states=penultimate)
        states = output.hidden_states[-2] if penultimate else output.last_hidden_state
        found.setdefault("states", []).append(states.float().cpu())
        if penultimate and output.get("text_embeds") is not None:
            found.setdefault("pooled", []).append(output.text_embeds.float().cpu())
    return {key: torch.cat(chunks) for key, chunks in found.items()}
