"""Image classifiers as transformers saves them: a folder with config.json, preprocessor_config.json and safetensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_classifiers.model import Classifier, folder_of
from vu_core import ModelError
from vu_core.quiet import quiet
from vu_core.weights import Weights, read_json

if TYPE_CHECKING:
    import torch

CONFIG_FILE, PREPROCESSOR_FILE = "config.json", "preprocessor_config.json"
_BYTE = 1 / 255


class _Loaded:
    """The tensors of a network by the names of its parameters; in its files, transformers may call them otherwise."""

    def __init__(self, files: Weights, network: Callable[[], torch.nn.Module]) -> None:
        self.files = files.files
        self._stored, self._network = files, network

    def check(self) -> None:
        """Raise ModelError when a file is damaged; reads headers only."""
        self._stored.check()

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._tensors)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor on the CPU, float32."""
        if name not in self._tensors:
            raise ModelError(f"'{self._stored.folder}' holds no tensor '{name}'")
        return self._tensors[name].clone()

    @cached_property
    def _tensors(self) -> Mapping[str, torch.Tensor]:
        tensors: Mapping[str, torch.Tensor] = self._network().state_dict()
        return tensors


class PretrainedSource:
    """A folder that transformers wrote.

    Args:
        folder: The folder.

    Raises:
        ModelError: A file is missing or damaged, or does not say what pictures it reads.
    """

    kind = "class"
    merges = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = read_json(folder / CONFIG_FILE)
        self._pixels = read_json(folder / PREPROCESSOR_FILE)
        self.classes = _classes(self._config, folder)
        self.picture_size = _size(self._config, self._pixels, folder)
        self.weights = _Loaded(Weights(folder), self.network)
        self.configs: tuple[Path, ...] = (folder / CONFIG_FILE, folder / PREPROCESSOR_FILE)
        scale = float(self._pixels.get("rescale_factor", _BYTE))
        if not self._pixels.get("do_rescale", True) or abs(scale - _BYTE) > 1e-6:
            raise ModelError(
                f"'{folder / PREPROCESSOR_FILE}' does not scale pixels to [0, 1], and nothing else is read"
            )

    def network(self) -> torch.nn.Module:
        """Return the network with its stored weights, of a class of transformers; code in the folder never runs.

        Raises:
            ModelError: transformers is not installed, or cannot load it, or weights are missing.
        """
        from vu_classifiers.pixels import read_pixels

        if find_spec("transformers") is None:
            raise ModelError("this classifier needs transformers", hint="pip install vu-classifiers[transformers]")
        import torch

        try:
            with quiet("transformers"):
                from transformers import AutoModelForImageClassification

                network, report = AutoModelForImageClassification.from_pretrained(
                    self._folder,
                    dtype=torch.float32,
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ModelError(f"'{self._folder}' cannot be loaded as an image classifier: {error}") from error
        missing = sorted(report["missing_keys"])
        if missing:
            raise ModelError(f"'{self._folder}' lacks {len(missing)} of its tensors, such as '{missing[0]}'")
        normalised = self._pixels.get("do_normalize", True)
        mean, std = (_colours(self._pixels.get(key)) if normalised else None for key in ("image_mean", "image_std"))
        return read_pixels(network, mean or (0.0,) * 3, std or (1.0,) * 3)


def load(
    source: str, *, device: str = "cpu", dtype: str = "float32", download: bool = False, revision: str | None = None
) -> Classifier:
    """Return the classifier in a folder of transformers. Only JSON and the headers of weight files are read now.

    Its classes are the labels of the configuration, of kind ``"class"``. Pictures are read at the size that the
    preprocessor makes of them, and normalised as it does. Edits are applied to it in memory; a copy of the folder with
    an edit in it is not written.

    Args:
        source: A folder that ``save_pretrained`` wrote, of the model and of its image processor.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        dtype: Type to compute in: ``"float32"``, ``"float16"``, ``"bfloat16"``.
        download: Nothing is fetched.
        revision: Of hub models only.

    Raises:
        ModelError: It is no such folder, or a file of it is missing or damaged.
        ConfigError: The dtype is unknown.
    """
    folder = folder_of(source, revision)
    return Classifier(PretrainedSource(folder), name=source, device=device, dtype=dtype, folder=folder)


def _classes(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    labels = config.get("id2label")
    if not isinstance(labels, Mapping) or len(labels) < 2:
        raise ModelError(f"'{folder / CONFIG_FILE}' names no classes: it lacks 'id2label'")
    names = tuple(str(labels[number]) for number in sorted(labels, key=int))
    if len(set(names)) < len(names):
        raise ModelError(f"'{folder / CONFIG_FILE}' gives two classes one name", hint="Give each its own in id2label.")
    return names


def _size(config: Mapping[str, Any], pixels: Mapping[str, Any], folder: Path) -> tuple[int, int]:
    """Return height and width of the pictures that the network gets."""
    cropped = pixels.get("crop_size") if pixels.get("do_center_crop") else None
    for found in (cropped, pixels.get("size"), config.get("image_size")):
        if isinstance(found, int):
            return found, found
        if isinstance(found, list | tuple) and len(found) == 2:
            return int(found[0]), int(found[1])
        if isinstance(found, Mapping) and {"height", "width"} <= set(found):
            return int(found["height"]), int(found["width"])
        if isinstance(found, Mapping) and "shortest_edge" in found:
            return int(found["shortest_edge"]), int(found["shortest_edge"])
    raise ModelError(f"the size of pictures is neither in {PREPROCESSOR_FILE} nor in {CONFIG_FILE} of '{folder}'")


def _colours(values: Any) -> tuple[float, ...] | None:
    """Return three numbers, or None where there are none; one stands for all colours."""
    if values is None:
        return None
    given = tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),)
    return given * 3 if len(given) == 1 else given
