"""Agreement of picture and prompt in an image-text encoder, in its three published scales."""

from __future__ import annotations

from typing import ClassVar

import torch

from vu_core import Batch, ComputeError
from vu_metrics_image.grouped import GroupedMean

_ROUNDING = 1e-4


class ClipCosine(GroupedMean):
    """Mean of cos(picture, prompt), each picture with the prompt it was drawn from.

    The number depends on the encoder, so results carry its name; compare it with the base model's on the same prompts
    and noise, not with published ones of other encoders.
    """

    counted: ClassVar[str] = "was scored"

    def values(self, batch: Batch) -> list[float]:
        """Return the scaled cosine of each sample.

        Raises:
            ComputeError: The scorer gave no finite cosine for each picture.
        """
        cosines = batch.scores["clip"]
        if not isinstance(cosines, torch.Tensor) or cosines.shape != (len(batch.samples),):
            raise ComputeError("the scorer in the role 'clip' gives no cosine for each picture")
        cosines = cosines.double()
        if not bool((cosines.abs() <= 1 + _ROUNDING).all()):
            raise ComputeError("the scorer in the role 'clip' gives cosines outside [-1, 1], or NaN")
        return [self.scaled(cosine) for cosine in cosines.clamp(-1, 1).tolist()]

    def scaled(self, cosine: float) -> float:
        """Return what a picture of this cosine counts."""
        return cosine


class ClipScore(ClipCosine):
    """Mean of 100 cos(picture, prompt), not clamped; torchmetrics clamps the mean at 0."""

    def scaled(self, cosine: float) -> float:
        """Return 100 times the cosine."""
        return 100 * cosine


class ClipScore25(ClipCosine):
    """Mean of 2.5 max(cos(picture, prompt), 0): the scale of the original CLIPScore, each picture clamped.

    That has its prompts begin with "A photo depicts", which a protocol's templates may say.
    """

    def scaled(self, cosine: float) -> float:
        """Return 2.5 times the cosine, 0 when that is negative."""
        return 2.5 * max(cosine, 0.0)
