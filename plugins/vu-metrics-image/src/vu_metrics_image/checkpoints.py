"""Published weights that the user has on disk: found, checked against their name, read without running code."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vu_core import DataError, PluginError
from vu_core.files import sha256_of_file, torch_checkpoint

_HASH = re.compile(r"-([0-9a-f]{8})\.[a-z]+$")


def read_weights(name: str, source: str, file: Path | None = None) -> tuple[dict[str, Any], str]:
    """Return the tensors of a published file, and the sha256 (hex) of its bytes.

    Args:
        name: Its file name; as torch's hub does, it ends in the first eight digits of the sha256: ``-6726825d.pth``.
        source: Where people get it, for the message when it is missing.
        file: Read this one instead, whatever its name and sha256.

    Raises:
        DataError: The file is missing.
        PluginError: It is another one, or holds more than tensors.
    """
    import torch

    path = file or torch_checkpoint(name)
    if not path.is_file():
        raise DataError(f"the weights '{path}' are missing", hint=f"Download {source}, and put it there.")
    sha256 = sha256_of_file(path)
    digits = _HASH.search(name)
    if file is None and digits and not sha256.startswith(digits[1]):
        raise PluginError(
            f"'{path}' is not the published file: its sha256 begins with {sha256[:8]}, not {digits[1]}",
            hint=f"Download it again: {source}",
        )
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PluginError(f"'{path}' cannot be read as tensors: {error}") from error
    if not isinstance(tensors, dict):
        raise PluginError(f"'{path}' holds a {type(tensors).__name__}, not tensors by name")
    return tensors, sha256


def carried(module: str, name: str, *, package: str, hint: str) -> Path:
    """Return a file that an installed package carries, without importing the package.

    Args:
        module: Its top-level module.
        name: The file's path within the module.
        package: What brings it.
        hint: How to install it, for the message when it is missing.

    Raises:
        DataError: The package is not installed.
    """
    found = find_spec(module)
    path = Path(found.origin).parent / name if found and found.origin else Path(name)
    if not path.is_file():
        raise DataError(f"'{path.name}' comes with the package '{package}', which is not installed", hint=hint)
    return path


def fill(network: Any, tensors: dict[str, Any], file: str) -> None:
    """Put ``tensors`` into ``network``; those it has no place for are left out.

    Raises:
        PluginError: One that it needs is missing, or has another shape.
    """
    # Older files lack a batch normalisation's count of batches, which only training reads.
    needed = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in needed if key not in tensors or tensors[key].shape != needed[key].shape]
    if missing:
        raise PluginError(
            f"'{file}' lacks {len(missing)} of the {len(needed)} tensors that are needed, the first is '{missing[0]}'",
            hint="It is the file of another network.",
        )
    network.load_state_dict({key: tensors[key] for key in needed}, strict=False)
