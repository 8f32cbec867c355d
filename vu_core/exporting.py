"""Edits in the forms that other tools read: a LoRA for diffusers or for kohya's readers, tensors, a whole model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vu_core.chains import combine
from vu_core.editfiles import write_edit
from vu_core.edits import Edit, checked, edited_tensor, tensor_sha256
from vu_core.errors import ConfigError, EditError, RunError, did_you_mean
from vu_core.files import atomic_path
from vu_core.merging import facts_of, write_merged

if TYPE_CHECKING:
    import torch

_WHOLE = "--to safetensors-dense or --to diffusers-pipeline holds it."
_KEY = "vu_edits"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A form in which edits leave vu.

    Attributes:
        summary: What is written, and for whom.
        write: Writes edits to a path; the model is None where it is not needed.
        suffix: What the path ends with; empty for a folder.
        needs_model: Whether the base model's tensors are needed.
    """

    summary: str
    write: Callable[[Sequence[Edit], Path, Any], None]
    suffix: str = ".safetensors"
    needs_model: bool = False


def export(edits: Sequence[Edit], out: Path, to: str, model: Any = None) -> None:
    """Write what ``edits`` do together to ``out``, in the format ``to``.

    Args:
        edits: In effect together, at their scales.
        out: A file, or the folder of ``"diffusers-pipeline"``; must not exist.
        to: A key of `FORMATS`.
        model: The base model, where the format needs one: offers `TensorSource`.

    Raises:
        ConfigError: The format is unknown, ``out`` has another suffix, or a model is missing.
        EditError: The format cannot hold such edits, or they were made for another base model.
        ModelError: The model lies in no folder.
        RunError: ``out`` exists or cannot be written, or the library that names the keys is missing.
    """
    chosen = find_format(to)
    if chosen.suffix and out.suffix != chosen.suffix:
        raise ConfigError(f"a file of '{to}' ends with {chosen.suffix}, '{out}' was given")
    if chosen.needs_model and model is None:
        raise ConfigError(f"'{to}' needs the base model", hint="Pass what vu.load_model returns as model.")
    if not edits:
        raise EditError("there is no edit to export", hint="Give a run's folder or an edit's file.")
    if out.exists():
        raise RunError(f"'{out}' already exists", hint="Choose a new place with --out.")
    chosen.write(edits, out, model)


def find_format(name: str) -> Format:
    """Return the format called ``name``.

    Raises:
        ConfigError: There is none.

    Example:
        >>> find_format("kohya").suffix
        '.safetensors'
    """
    if name not in FORMATS:
        hint = f"{did_you_mean(name, FORMATS)} Formats: {', '.join(FORMATS)}.".lstrip()
        raise ConfigError(f"unknown format '{name}'", hint=hint)
    return FORMATS[name]


def _write_lora(edits: Sequence[Edit], out: Path, model: Any) -> None:
    write_edit(_as_lora(edits, "diffusers-lora"), out)


def _write_kohya(edits: Sequence[Edit], out: Path, model: Any) -> None:
    """Write the names that ComfyUI, A1111 and kohya's own scripts read; alpha is the rank, so no scale is applied."""
    from safetensors.torch import save_file

    try:
        from diffusers.utils import convert_state_dict_to_kohya
    except ImportError as error:
        raise RunError("kohya's names come from diffusers", hint="pip install vu-diffusers") from error
    tensors = convert_state_dict_to_kohya(_as_lora(edits, "kohya").baked())
    # Not the header of an edit: under these names vu could not apply it.
    metadata = {"format": "pt", _KEY: json.dumps(facts_of(edits), sort_keys=True)}
    with atomic_path(out) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def _write_dense(edits: Sequence[Edit], out: Path, model: Any) -> None:
    """Write the changed parameters themselves in their stored dtype, as an edit that replaces them."""
    active = checked(edits, model)
    stored = {name: _stored(model, name) for name in sorted({name for e in active for name in e.parameters()})}
    replacements = {name: edited_tensor(tensor, name, active) for name, tensor in stored.items()}
    base = {name: tensor_sha256(tensor) for name, tensor in stored.items()}
    info = edits[0].info if len(edits) == 1 else {"combined": facts_of(edits)}
    unlearner = "+".join(edit.unlearner for edit in edits)
    write_edit(Edit.dense(replacements, base=base, unlearner=unlearner, info=info), out)


def _write_pipeline(edits: Sequence[Edit], out: Path, model: Any) -> None:
    write_merged(model, edits, out)


def _as_lora(edits: Sequence[Edit], to: str) -> Edit:
    """Return one low-rank edit that does what ``edits`` do together."""
    if any(edit.kind != "lora" for edit in edits):
        raise EditError(f"'{to}' holds low-rank edits only, this one replaces whole matrices", hint=_WHOLE)
    if any(edit.after for edit in edits):
        raise EditError(
            f"'{to}' is loaded onto the base model, this edit was made of a model edited before", hint=_WHOLE
        )
    found = edits[0] if len(edits) == 1 else combine(edits)
    if not found.tensors:
        raise EditError(f"the edit changes nothing, so there is nothing that '{to}' could hold")
    return found


def _stored(model: Any, parameter: str) -> torch.Tensor:
    component, _, name = parameter.partition(".")
    tensor: torch.Tensor = model.tensor(component, name)
    return tensor


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "diffusers-lora": Format(summary="a LoRA that diffusers loads", write=_write_lora),
        "diffusers-pipeline": Format(
            summary="a copy of the model's folder with the edit in its weights",
            write=_write_pipeline,
            suffix="",
            needs_model=True,
        ),
        "kohya": Format(summary="a LoRA that ComfyUI, A1111 and diffusers load", write=_write_kohya),
        "safetensors-dense": Format(
            summary="the changed parameters themselves, for any tool and any edit", write=_write_dense, needs_model=True
        ),
    }
)
