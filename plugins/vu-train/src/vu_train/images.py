"""Reading image files of any kind into one form, and one size."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, ImageOps

BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are no image, cut short or damaged."""


def read_image(file: Path | IO[bytes]) -> torch.Tensor:
    """Return an image file's picture: uint8 (3, H, W) RGB, upright, on white where it is transparent.

    Raises:
        OSError: It is missing, no image, or damaged; or another of `BROKEN`.
    """
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image)
            image = white
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def fit_image(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return ``image``, uint8 (3, H, W), scaled to cover ``size`` (height, width), with the middle cut out."""
    if tuple(image.shape[1:]) == size:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    fitted = ImageOps.fit(picture, size[::-1], method=Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()
