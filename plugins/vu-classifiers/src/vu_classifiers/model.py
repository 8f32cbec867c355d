"""An image classifier as a model of vu: capabilities over a lazily loaded network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vu_classifiers.description import COMPONENT, DESCRIPTION_FILE, TRAINING_FILE, read_description, read_training
from vu_core import Answers, ComputeError, ConfigError, ModelError
from vu_core.fingerprint import files_sha256
from vu_core.modes import evaluating
from vu_core.numerics import torch_defaults
from vu_core.weights import Weights

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")
_AT_ONCE = 256


class Tensors(Protocol):
    """Tensors in files, as `vu_core.weights.Weights` reads them."""

    @property
    def files(self) -> Sequence[Path]:
        """The files."""

    def check(self) -> None:
        """Raise ModelError when a file is damaged."""

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor on the CPU."""


class Source(Protocol):
    """What a folder says of a classifier; the network is built when it is first asked for.

    Attributes:
        kind: Of the concepts that are its classes.
        classes: Their names, in the order of the logits.
        picture_size: Height and width, in pixels.
        configs: The files that decide its answers besides the weights'.
        merges: Whether an edit can be written into a copy of its files: they name tensors as the network does.
    """

    kind: str
    classes: tuple[str, ...]
    picture_size: tuple[int, int]
    configs: tuple[Path, ...]
    merges: bool

    @property
    def weights(self) -> Tensors:
        """Its tensors."""

    def network(self) -> torch.nn.Module:
        """Return the network with its stored weights, float32 on the CPU, reading pictures in [0, 1]."""


class Classifier:
    """An image classifier; made by `load` and by `vu_classifiers.pretrained.load`.

    It offers `TensorSource` and `Classifies`. Reading what it is, and its tensors, builds no network.

    Attributes:
        name: How the user called it.
        family: ``"classifier"``.
        device: Where its network is.
        dtype: Name of the type it computes in.
        folder: Where it lies on disk; None where no copy with an edit in it can be written.
    """

    family = "classifier"

    def __init__(self, source: Source, *, name: str, device: str, dtype: str, folder: Path) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"dtype '{dtype}' is not supported", hint=f"Use one of: {', '.join(DTYPES)}.")
        source.weights.check()
        self.name, self.device, self.dtype = name, device, dtype
        self.folder = folder if source.merges else None
        self._source, self._root = source, folder
        self._network: torch.nn.Module | None = None

    @property
    def kind(self) -> str:
        """Of the concepts that are its classes."""
        return self._source.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of the logits."""
        return self._source.classes

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the pictures it reads."""
        return self._source.picture_size

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the names and contents of the files that decide its answers."""
        files = [*self._source.configs, *self._source.weights.files]
        named = {file.relative_to(self._root).as_posix(): sha for file, sha in files_sha256(files).items()}
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    @torch_defaults()
    def component(self, name: str) -> torch.nn.Module:
        """Return the network, loaded once: it reads float (N, 3, H, W) RGB in [0, 1] and returns logits (N, C).

        Raises:
            ModelError: There is no such component, or its files do not hold what its description says.
        """
        import torch

        if name != COMPONENT:
            raise ModelError(f"'{self.name}' has no component '{name}'", hint=f"It has: {COMPONENT}.")
        if self._network is None:
            network = self._source.network().to(self.device, getattr(torch, self.dtype))
            self._network = network.eval().requires_grad_(False)
        return self._network

    def tensor_names(self, component: str) -> Sequence[str]:
        """Return the names of all tensors of the network, as stored."""
        return self._weights(component).names()

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored dtype.

        Raises:
            ModelError: The tensor or its file is missing or damaged.
        """
        return self._weights(component).tensor(name)

    @torch_defaults()
    def classify(self, images: torch.Tensor) -> Answers:
        """Return answers to ``images`` float (N, 3, H, W), RGB in [0, 1]: float32 on the CPU.

        Raises:
            ComputeError: The images have another shape, or logits are not finite.
        """
        import torch

        from vu_classifiers.pixels import features_of, last_layer

        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.picture_size):
            wanted = " x ".join(map(str, (3, *self.picture_size)))
            raise ComputeError(f"'{self.name}' reads images of {wanted}, these are {tuple(images.shape[1:])}")
        network = self.component(COMPONENT)
        layer = last_layer(network, len(self.classes))
        dtype = getattr(torch, self.dtype)
        with torch.no_grad(), evaluating([network]), features_of(layer) as features:
            logits = [network(part.to(self.device, dtype)) for part in torch.split(images, _AT_ONCE)]
        found = Answers(
            kind=self.kind, names=self.classes, logits=torch.cat(logits).float().cpu(), features=_joined(features)
        )
        if not bool(found.logits.isfinite().all()):
            raise ComputeError(
                f"the logits of '{self.name}' are not finite", hint="Try float32, or look at its weights."
            )
        return found

    def _weights(self, component: str) -> Tensors:
        if component != COMPONENT:
            raise ModelError(f"'{self.name}' has no component '{component}'", hint=f"It has: {COMPONENT}.")
        return self._source.weights


class TrainedClassifier(Classifier):
    """A classifier in the folder format of this plugin: it also offers `Retrains`."""

    _source: FolderSource

    def recipe(self) -> Mapping[str, Any]:
        """Return the settings that it was trained with, ``seed`` among them.

        Raises:
            ModelError: Its folder does not say.
        """
        return dict(read_training(self._root)["recipe"])

    def fresh(self, seed: int) -> torch.nn.Module:
        """Return its network before training, on its device in float32, in eval mode; ``seed`` decides the weights."""
        return self._source.fresh(seed).to(self.device)


class FolderSource:
    """A classifier's folder: ``vu_classifier.json`` and ``classifier/model.safetensors``.

    Args:
        folder: The folder.

    Raises:
        ModelError: A file is missing or damaged.
    """

    merges = True

    def __init__(self, folder: Path) -> None:
        self.description = read_description(folder)
        self.kind = self.description.kind
        self.classes = self.description.classes
        self.picture_size = self.description.picture_size
        self.weights = Weights(folder / COMPONENT)
        self.configs: tuple[Path, ...] = (folder / DESCRIPTION_FILE,)
        self._folder = folder

    def fresh(self, seed: int) -> torch.nn.Module:
        """Return the network before training."""
        from vu_classifiers.architectures import build

        return build(self.description, seed)

    def network(self) -> torch.nn.Module:
        """Return the network with its stored weights.

        Raises:
            ModelError: The weights are not those of the network that is described.
        """
        network = self.fresh(0)
        tensors = {name: self.weights.tensor(name) for name in self.weights.names()}
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelError(
                f"the weights in '{self._folder}' are not of the architecture that {DESCRIPTION_FILE} names: {reason}"
            ) from error
        return network


def load(
    source: str, *, device: str = "cpu", dtype: str = "float32", download: bool = False, revision: str | None = None
) -> TrainedClassifier:
    """Return the classifier in a folder. Only JSON files and the headers of weight files are read now.

    Args:
        source: A folder with ``vu_classifier.json``.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        dtype: Type to compute in, whatever the stored one is: ``"float32"``, ``"float16"``, ``"bfloat16"``.
        download: Nothing is fetched: classifiers are folders.
        revision: Of hub models only.

    Raises:
        ModelError: It is no such folder, or a file of it is missing or damaged.
        ConfigError: The dtype is unknown.
    """
    folder = folder_of(source, revision)
    return TrainedClassifier(FolderSource(folder), name=source, device=device, dtype=dtype, folder=folder)


def folder_of(source: str, revision: str | None) -> Path:
    """Return the folder that ``source`` names.

    Raises:
        ModelError: There is none, or a revision was asked for.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ModelError(f"the folder '{source}' does not exist", hint="Give the folder of a classifier.")
    if revision:
        raise ModelError(
            f"revision '{revision}' was given for the folder '{source}'", hint="A folder has no revisions."
        )
    return folder


def _joined(features: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat([part.flatten(1) for part in features]).float().cpu()


__all__ = ["TRAINING_FILE", "Classifier", "FolderSource", "Source", "TrainedClassifier", "folder_of", "load"]
