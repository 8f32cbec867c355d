"""A judge of people: whose face a picture shows, of those with photographs in Labeled Faces in the Wild.

dlib finds the largest face, aligns it by five landmarks and describes it by 128 numbers, in which two pictures of one
person are closer than 0.6 (99.38 % right on LFW's pairs, as dlib's author publishes). A person is the mean description
of ten photographs. The judge sees a picture's nearest person when that is closer than 0.6, else `OTHER`: a stranger's
face, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vu_core import Classes, ConfigError, DataError
from vu_core.cache import cache_dir, key_sha256
from vu_core.edits import tensor_sha256
from vu_core.files import DATA_DIR_VARIABLE, atomic_path, data_dir, sha256_of_file
from vu_core.interfaces import OTHER
from vu_datasets.config import LfwOptions
from vu_datasets.lfw import PERSON, Lfw

PHOTOGRAPHS = 10
SAME_PERSON = 0.6
# Orders the classes as their distances do; the probabilities are not calibrated.
_SHARPNESS = 20.0


class FaceEncoder:
    """dlib's frontal face detector and its recognition network, on the CPU.

    Attributes:
        version: sha256 (hex) of what decides its numbers.

    Raises:
        DataError: dlib or its weights are not installed.
    """

    def __init__(self) -> None:
        try:
            import dlib
            import face_recognition_models as weights
        except ImportError as error:
            raise DataError(
                f"the face recogniser is not installed: {error}",
                hint="pip install 'vu-datasets[faces]' brings dlib and the weights that its author published.",
            ) from error
        files = (weights.pose_predictor_five_point_model_location(), weights.face_recognition_model_location())
        landmarks, network = files
        self._chip = dlib.get_face_chip
        self._detect = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(landmarks)
        self._network = dlib.face_recognition_model_v1(network)
        self.version = key_sha256({"dlib": dlib.__version__, "files": [sha256_of_file(Path(file)) for file in files]})

    def describe(self, image: torch.Tensor) -> torch.Tensor | None:
        """Return the 128 numbers of the largest face in ``image``, float32; None where no face is found.

        Args:
            image: uint8 (3, H, W) RGB. Faces from about 40 pixels are found.
        """
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        faces = self._detect(pixels, 1)
        if not faces:
            return None
        largest = max(faces, key=lambda face: face.area())
        chip = self._chip(pixels, self._landmarks(pixels, largest))
        return torch.tensor(list(self._network.compute_face_descriptor(chip)), dtype=torch.float32)


class LfwFaces:
    """Says which person of LFW a picture shows; photographs are those in ``$VU_DATA_DIR/lfw``.

    Args:
        device: Ignored: dlib computes on the CPU.

    Raises:
        DataError: dlib, its weights or the photographs are not there, or none of a person's shows a face.
    """

    name = "dlib-resnet-v1 beside LFW"

    def __init__(self, device: str = "cpu") -> None:
        self._encoder = FaceEncoder()
        photographs = _photographs()
        key = {
            "encoder": self._encoder.version,
            "photographs": {name: [tensor_sha256(one) for one in found] for name, found in photographs.items()},
        }
        self.version = key_sha256({**key, "threshold": SAME_PERSON, "sharpness": _SHARPNESS})
        self._people = _cached(key, lambda: _means(self._encoder, photographs))
        self._names = (*photographs, OTHER)

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Classes:
        """Return the person that each of ``images`` shows, uint8 (N, 3, H, W) RGB; see the module."""
        return Classes(names=self._names, probabilities=torch.stack([self._verdict(image) for image in images]))

    def _verdict(self, image: torch.Tensor) -> torch.Tensor:
        found = self._encoder.describe(image)
        if found is None:
            return torch.eye(len(self._names))[-1]
        distances = (self._people - found).square().sum(dim=1)
        return torch.softmax(-_SHARPNESS * torch.cat([distances, torch.tensor([SAME_PERSON**2])]), dim=0)


def _photographs() -> dict[str, list[torch.Tensor]]:
    """Return ten photographs of each person who has so many, by name."""
    dataset = Lfw(LfwOptions(min_pictures=PHOTOGRAPHS))
    try:
        names = [concept.name for concept in dataset.concepts()]
    except (ConfigError, DataError) as error:
        raise DataError(
            f"the judge has no photographs of people: {error.message}",
            hint=f"It knows who has {PHOTOGRAPHS} or more in '{data_dir() / Lfw.source.name}' ({DATA_DIR_VARIABLE}). "
            f"{Lfw.source.expected()}",
        ) from error
    chosen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for one in dataset.found():
        name = one.picture.attributes.get(PERSON)
        if name and len(chosen[name]) < PHOTOGRAPHS:
            chosen[name].append(_read(one.picture))
    return chosen


def _read(picture: Any) -> torch.Tensor:
    try:
        pixels: torch.Tensor = picture.read()
    except OSError as error:
        raise DataError(f"the photograph '{picture.id}' cannot be read: {error}") from error
    return pixels


def _means(encoder: FaceEncoder, photographs: Mapping[str, Sequence[torch.Tensor]]) -> torch.Tensor:
    """Return each person's mean description: float32 (people, 128)."""
    means = []
    for name, pictures in photographs.items():
        found = [face for face in map(encoder.describe, pictures) if face is not None]
        if not found:
            raise DataError(
                f"no face was found in the photographs of '{name}'", hint="They must show faces from ahead."
            )
        means.append(torch.stack(found).mean(dim=0))
    return torch.stack(means)


def _cached(key: Mapping[str, Any], compute: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return what ``compute`` returns, from the user's cache where it was computed before."""
    path = cache_dir() / "faces" / f"{key_sha256(key)}.safetensors"
    if not path.is_file():
        with atomic_path(path) as temporary:
            save_file({"means": compute()}, temporary)
    return load_file(path)["means"]
