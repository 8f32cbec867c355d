"""Where a pipeline's parts come from: a folder on disk, or a pipeline object in memory."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vu_core import ModelError
from vu_core.edits import tensor_sha256
from vu_core.fingerprint import files_sha256
from vu_core.weights import Weights, read_json
from vu_diffusers.families import Family, family_of

if TYPE_CHECKING:
    import torch

INDEX = "model_index.json"
_CONFIG = "config.json"
_SCHEDULER_CONFIG = "scheduler_config.json"
_NOT_WEIGHTS = (".json", ".txt")


class Source(Protocol):
    """Gives the parts of one pipeline; each part is made or read when it is first asked for.

    Attributes:
        family: What the pipeline is.
        options: Arguments of the pipeline's constructor that are no components.
    """

    family: Family
    options: dict[str, Any]

    def config(self, component: str) -> Mapping[str, Any]:
        """Return a component's configuration; the scheduler's has its class in ``_class_name``."""

    def tensor_names(self, component: str) -> list[str]:
        """Return the names of a component's tensors."""

    def shape(self, component: str, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without reading the tensor."""

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return a tensor on the CPU in its stored dtype."""

    def module(self, component: str, device: str, dtype: torch.dtype) -> torch.nn.Module:
        """Return a component, ready to compute."""

    def float32_module(self, component: str, device: str) -> torch.nn.Module:
        """Return a component that computes in float32, from the weights as they are stored."""

    def tokenizer(self, name: str) -> Any:
        """Return a tokenizer."""

    def sha256(self, component: str) -> str:
        """Return the sha256 (hex) of a component's weights."""

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of all that decides the pipeline's output."""


def read_index(root: Path, name: str) -> tuple[Mapping[str, Any], Family]:
    """Return what the index of the pipeline in folder ``root`` says, and the pipeline's family.

    Raises:
        ModelError: There is no index, or it names no supported family; ``name`` is what the user called the model.
    """
    if not (root / INDEX).is_file():
        raise ModelError(
            f"'{name}' is no pipeline: it has no {INDEX}", hint="Give a folder written by diffusers' save_pretrained."
        )
    index = read_json(root / INDEX)
    return index, family_of(str(index.get("_class_name")), name)


class FolderSource:
    """A pipeline saved in diffusers' folder format.

    Args:
        root: The folder.
        name: What the user called it, for messages.

    Raises:
        ModelError: The folder holds no pipeline of a supported family, lacks a component, or has
            weights in pickle files only.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.index, self.family = read_index(root, name)
        self.options = {key: self.index[key] for key in self.family.options if key in self.index}
        for component, cls in self.family.modules.items():
            stored = self.index.get(component)
            if not isinstance(stored, list) or stored[-1] != cls:
                raise ModelError(f"component '{component}' of '{name}' is {stored}, a {cls} is needed")
        self._weights = {component: Weights(root / component) for component in self.family.modules}
        for weights in self._weights.values():
            weights.check()

    def config(self, component: str) -> Mapping[str, Any]:
        """Return a component's configuration as stored."""
        return read_json(self.root / component / (_SCHEDULER_CONFIG if component == "scheduler" else _CONFIG))

    def tensor_names(self, component: str) -> list[str]:
        """Return the names of a component's tensors, as stored."""
        return self._of(component).names()

    def shape(self, component: str, name: str) -> tuple[int, ...]:
        """Return a tensor's shape from its file's header."""
        return self._of(component).shape(name)

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return a tensor on the CPU in its stored dtype."""
        return self._of(component).tensor(name)

    def module(self, component: str, device: str, dtype: torch.dtype) -> torch.nn.Module:
        """Load a component in ``dtype`` onto ``device``, in eval mode, without gradients.

        Raises:
            ModelError: A file is damaged, or does not hold what the configuration describes.
        """
        from vu_diffusers.loading import load_module

        folder, cls = self.root / component, self.family.modules[component]
        return load_module(folder, cls, variant=self._of(component).variant, device=device, dtype=dtype)

    def float32_module(self, component: str, device: str) -> torch.nn.Module:
        """Load a component in float32; see `module`."""
        import torch

        return self.module(component, device, torch.float32)

    def tokenizer(self, name: str) -> Any:
        """Load a tokenizer.

        Raises:
            ModelError: Its files are missing or damaged.
        """
        from vu_diffusers.loading import load_tokenizer

        return load_tokenizer(self.root / name)

    def sha256(self, component: str) -> str:
        """Return the sha256 of a component's weight files."""
        found = files_sha256(self._of(component).files)
        return hashlib.sha256(json.dumps([found[file] for file in sorted(found)]).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Return the sha256 of the names and contents of every file that is read."""
        files = [self.root / INDEX]
        for component, weights in self._weights.items():
            files += weights.files
            files += self._configs(component)
        for component in (*self.family.tokenizers.values(), "scheduler"):
            files += self._configs(component)
        named = {file.relative_to(self.root).as_posix(): sha for file, sha in files_sha256(files).items()}
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _configs(self, component: str) -> list[Path]:
        return [path for path in (self.root / component).glob("*") if path.suffix in _NOT_WEIGHTS]

    def _of(self, component: str) -> Weights:
        if component not in self._weights:
            raise ModelError(
                f"there is no component '{component}' with weights", hint=f"There are: {', '.join(self._weights)}."
            )
        return self._weights[component]


class PipelineSource:
    """A pipeline that the user holds in memory; its modules are shared, never changed.

    Args:
        pipe: A pipeline of a supported family.

    Raises:
        ModelError: It is of another family.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.family = family_of(type(pipe).__name__, "the given pipeline")
        self.options = {key: pipe.config[key] for key in self.family.options}

    def config(self, component: str) -> Mapping[str, Any]:
        """Return a component's configuration."""
        part = self._pipe.components[component]
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        # diffusers keeps the names of defaulted entries in the order of a set, which differs between processes.
        config["_use_default_values"] = sorted(config.get("_use_default_values", ()))
        return {**config, "_class_name": type(part).__name__}

    def tensor_names(self, component: str) -> list[str]:
        """Return the names in a component's state dict."""
        return sorted(self._state(component))

    def shape(self, component: str, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(self._find(component, name).shape)

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return a copy of a tensor on the CPU."""
        return self._find(component, name).detach().to("cpu", copy=True)

    def module(self, component: str, device: str, dtype: torch.dtype) -> torch.nn.Module:
        """Return the pipeline's own module, where and as it is."""
        module: torch.nn.Module = self._pipe.components[component]
        return module

    def float32_module(self, component: str, device: str) -> torch.nn.Module:
        """Return a copy of the pipeline's module, where it is, in float32."""
        module: torch.nn.Module = self._pipe.components[component]
        return copy.deepcopy(module).float()

    def tokenizer(self, name: str) -> Any:
        """Return the pipeline's own tokenizer."""
        return self._pipe.components[name]

    def sha256(self, component: str) -> str:
        """Return the sha256 of a component's tensors as they are now."""
        hashes = {name: tensor_sha256(tensor) for name, tensor in self._state(component).items()}
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Return the sha256 of all tensors and configurations as they are now."""
        digest = hashlib.sha256(json.dumps(self.options, sort_keys=True).encode())
        for component in (*self.family.modules, "scheduler"):
            digest.update(json.dumps(self.config(component), sort_keys=True, default=str).encode())
        for component in self.family.modules:
            digest.update(f"{component} {self.sha256(component)}".encode())
        for name in self.family.tokenizers.values():
            digest.update(json.dumps(self.tokenizer(name).get_vocab(), sort_keys=True).encode())
        return digest.hexdigest()

    def _state(self, component: str) -> Mapping[str, torch.Tensor]:
        state: Mapping[str, torch.Tensor] = self._pipe.components[component].state_dict()
        return state

    def _find(self, component: str, name: str) -> torch.Tensor:
        state = self._state(component)
        if name not in state:
            raise ModelError(f"the pipeline's {component} holds no tensor '{name}'")
        return state[name]
