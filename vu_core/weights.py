"""Finding and reading the safetensors files of one component, tensor by tensor.

Pickle files are never opened: loading one can run any code its author put in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.errors import ModelError

if TYPE_CHECKING:
    import torch

_STEMS = ("diffusion_pytorch_model", "model")
_VARIANTS = (None, "fp16", "bf16")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


class Weights:
    """The tensors of one component, read from its safetensors files when asked for.

    Args:
        folder: The component's folder.

    Attributes:
        files: The files, several when the weights are sharded.
        variant: ``"fp16"`` when the files are called so, else None.

    Raises:
        ModelError: There are no weights, only pickle files, or a shard is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files, self.variant = _find(folder)

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._file_of)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape from the file's header."""
        with _opened(self._file(name)) as stream:
            return tuple(stream.get_slice(name).get_shape())

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor on the CPU in its stored dtype."""
        with _opened(self._file(name), framework="pt") as stream:
            tensor: torch.Tensor = stream.get_tensor(name)
            return tensor

    def check(self) -> None:
        """Raise ModelError when a file is damaged; reads headers only."""
        self._file_of  # noqa: B018 - reading the headers is the check

    def _file(self, name: str) -> Path:
        if name not in self._file_of:
            raise ModelError(f"'{self.folder}' holds no tensor '{name}'")
        return self._file_of[name]

    @cached_property
    def _file_of(self) -> dict[str, Path]:
        found = {}
        for file in self.files:
            with _opened(file) as stream:
                found.update(dict.fromkeys(stream.keys(), file))
        return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ModelError: It is missing, or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"'{path}' is missing", hint="The model's folder is incomplete; save it again.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"'{path}' holds a JSON {type(content).__name__}, not an object")
    return content


def _find(folder: Path) -> tuple[Sequence[Path], str | None]:
    for variant in _VARIANTS:
        dot = f".{variant}" if variant else ""
        for stem in _STEMS:
            single = folder / f"{stem}{dot}.safetensors"
            if single.is_file():
                return (single,), variant
            index = folder / f"{stem}.safetensors.index{dot}.json"
            if index.is_file():
                return _shards(index), variant
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
    if pickles:
        raise ModelError(
            f"'{folder}' holds pickle weights only ({pickles[0]}), and reading a pickle can run any code in it",
            hint="Where you trust the file, load the model with its library and write it again with "
            "save_pretrained(folder, safe_serialization=True).",
        )
    raise ModelError(f"'{folder}' holds no safetensors weights", hint="The model's folder is incomplete.")


def _shards(index: Path) -> Sequence[Path]:
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, Mapping) or not mapping:
        raise ModelError(f"'{index}' has no 'weight_map'", hint="The index file is damaged; save the model again.")
    names = sorted(set(map(str, mapping.values())))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"'{index}' names '{name}', which is no safetensors file beside it")
        if not (index.parent / name).is_file():
            raise ModelError(f"'{index.parent}' lacks the shard '{name}' that its index names")
    return tuple(index.parent / name for name in names)


@contextmanager
def _opened(file: Path, framework: str = "np") -> Iterator[Any]:
    # Headers are read with numpy, which spares the import of torch.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework=framework) as stream:
            yield stream
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"'{file}' is not a readable safetensors file: {error}",
            hint="It may be truncated: copy or download it again.",
        ) from error
