"""Pictures of one size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps

BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are no image, cut short or damaged."""


def fit_image(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return ``image``, uint8 (3, H, W), scaled to cover ``size`` (height, width), with the middle cut out."""
    if tuple(image.shape[1:]) == size:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    fitted = ImageOps.fit(picture, size[::-1], method=Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()
