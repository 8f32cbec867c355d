"""Agreement of picture and prompt in an image-text encoder."""

from __future__ import annotations

from typing import ClassVar

import torch

from vu_core import Batch, ComputeError, Sample
from vu_metrics_image.grouped import GroupedMean

SCALE = 100.0

_ROUNDING = 1e-4


class ClipScore(GroupedMean):
    """Mean of 100 cos(picture, prompt), each picture with the prompt it was drawn from.

    Nothing is clamped: torchmetrics clamps the mean at 0, the original CLIPScore clamps every cosine and
    scales by 2.5. The number depends on the encoder, so results carry its name; compare it with the
    base model's on the same prompts and noise, not with published ones of other encoders.
    """

    counted: ClassVar[str] = "was scored"

    def counts(self, sample: Sample) -> bool:
        """Return True: every picture has a prompt."""
        return True

    def breaks_down(self, kind: str) -> bool:
        """Return True: concepts of every kind have groups of their own."""
        return True

    def values(self, batch: Batch) -> list[float]:
        """Return 100 times the cosine of each sample.

        Raises:
            ComputeError: The scorer gave no finite cosine for each picture.
        """
        cosines = batch.scores["clip"]
        if not isinstance(cosines, torch.Tensor) or cosines.shape != (len(batch.samples),):
            raise ComputeError("the scorer in the role 'clip' gives no cosine for each picture")
        cosines = cosines.double()
        if not bool((cosines.abs() <= 1 + _ROUNDING).all()):
            raise ComputeError("the scorer in the role 'clip' gives cosines outside [-1, 1], or NaN")
        return [SCALE * cosine for cosine in cosines.clamp(-1, 1).tolist()]
