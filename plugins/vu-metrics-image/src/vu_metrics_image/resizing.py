"""How published FID scripts bring pictures to the size that their network reads; the numbers differ by it."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def tensorflow1(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return bilinear samples at i * old / new, as TensorFlow 1 and torch-fidelity take them; shrinking loses pixels.

    Args:
        images: float32 (N, C, H, W).
        side: New height and width.
    """
    for axis in (3, 2):
        old = images.shape[axis]
        # The published script multiplies in float32, which decides which pixels are neighbours.
        places = torch.arange(side, dtype=torch.float32, device=images.device) * torch.tensor(old / side)
        low = places.long()
        shape = [-1 if i == axis else 1 for i in range(4)]
        share = (places - low).to(images.dtype).view(shape)
        first = images.index_select(axis, low)
        second = images.index_select(axis, (low + 1).clamp(max=old - 1))
        images = first + (second - first) * share
    return images


def antialiased(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return torch's bilinear picture with antialiasing, pixel centres at half, as torchmetrics takes it by default.

    Args:
        images: float32 (N, C, H, W).
        side: New height and width.
    """
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


def clean(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return Pillow's bicubic picture, each channel in float, cut to [0, 255], as clean-fid takes it.

    Args:
        images: float32 (N, C, H, W) in [0, 255].
        side: New height and width.
    """
    from PIL import Image

    planes = images.cpu().flatten(0, 1).numpy()
    resized = [np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)) for plane in planes]
    stacked = torch.from_numpy(np.stack(resized)).clamp(0, 255)
    return stacked.view(*images.shape[:2], side, side).to(images.device)
