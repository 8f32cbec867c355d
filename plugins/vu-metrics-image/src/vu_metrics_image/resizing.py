"""How published FID scripts bring pictures to the size that their network reads; the numbers differ by it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
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
    planes = images.cpu().flatten(0, 1).numpy()
    resized = [np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)) for plane in planes]
    stacked = torch.from_numpy(np.stack(resized)).clamp(0, 255)
    return stacked.view(*images.shape[:2], side, side).to(images.device)


def middle(picture: torch.Tensor, shorter: int, side: int, filtered: Image.Resampling) -> torch.Tensor:
    """Return the middle of a picture scaled by its shorter side, as torchvision prepares it for published networks.

    Args:
        picture: uint8 (3, H, W) RGB.
        shorter: New length of its shorter side.
        side: Height and width of what is cut out.
        filtered: Pillow's filter; the scaled picture is rounded to whole numbers.

    Returns:
        float32 (3, side, side) in [0, 1].
    """
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    least = min(image.size)
    image = image.resize([shorter * length // least for length in image.size], filtered)
    left, top = (round((length - side) / 2) for length in image.size)
    cut = image.crop((left, top, left + side, top + side))
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1).float() / 255
