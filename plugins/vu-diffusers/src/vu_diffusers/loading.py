"""Building modules from component folders with the libraries they belong to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from vu_core import ModelError
from vu_core.quiet import quiet


def load_module(folder: Path, cls: str, *, variant: str | None, device: str, dtype: torch.dtype) -> torch.nn.Module:
    """Return the module in a component's folder, on ``device`` in ``dtype``, in eval mode.

    Only the library that the class belongs to is imported: transformers for ``CLIP...``, else diffusers.

    Args:
        folder: The component's folder.
        cls: Name of its class.
        variant: ``"fp16"`` when its files are called so.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        dtype: Type of its parameters, whatever the stored one is.

    Raises:
        ModelError: The files do not hold what the configuration describes.
    """
    library = "transformers" if cls.startswith("CLIP") else "diffusers"
    # transformers calls the argument dtype and warns about torch_dtype; older diffusers know torch_dtype only.
    typed = {"dtype" if library == "transformers" else "torch_dtype": dtype}
    try:
        with quiet(library):
            module, report = getattr(importlib.import_module(library), cls).from_pretrained(
                folder, variant=variant, use_safetensors=True, local_files_only=True, output_loading_info=True, **typed
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"'{folder}' cannot be loaded as a {cls}: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"'{folder}' lacks {len(missing)} of the tensors of a {cls}, such as '{missing[0]}'",
            hint="Its weights and its config.json do not belong together; save the pipeline again.",
        )
    built: torch.nn.Module = module.to(device).eval().requires_grad_(False)
    return built


def load_tokenizer(folder: Path) -> Any:
    """Return the CLIP tokenizer in a folder.

    Raises:
        ModelError: Its files are missing or damaged.
    """
    from transformers import CLIPTokenizer

    if not folder.is_dir():
        raise ModelError(f"'{folder}' is missing", hint="The pipeline's folder is incomplete; save it again.")
    try:
        with quiet("transformers"):
            return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"'{folder}' cannot be loaded as a tokenizer: {error}") from error
