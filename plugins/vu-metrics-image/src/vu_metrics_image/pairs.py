"""How much pictures changed: each after unlearning beside the one before, of the same prompt and noise.

Every value is the mean of one number a pair, so it has an interval over prompts. On retained prompts a
small change is wanted; on forgotten ones a large change is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import torch
from torch.nn.functional import avg_pool2d

from vu_core import Batch, ComputeError, Measurement, Sample
from vu_metrics_image.grouped import GroupedMean

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# The fifth scale is 16 times smaller and must still hold the window of 11 pixels.
MS_SSIM_SIDE = 176


class PairMean(GroupedMean):
    """Mean of one number a pair of pictures, in float64 whatever the batch."""

    counted: ClassVar[str] = "has a picture before and after unlearning"


class PixelPairs(PairMean):
    """Mean of one number that the pixels of a pair decide."""

    def values(self, batch: Batch) -> list[float]:
        """Return one number a pair.

        Raises:
            ComputeError: The pictures are not uint8, or too small.
        """
        reference = _reference(batch)
        for images in (batch.images, reference.images):
            if images.dtype != torch.uint8:
                raise ComputeError(f"pictures of {images.dtype} were given, not of torch.uint8")
        pairs = zip(batch.images.cpu(), reference.images.cpu(), strict=True)
        # One at a time: the windowed moments of a batch of large pictures would take gigabytes in float64.
        return [self.of_pair(now.double()[None] / 255, then.double()[None] / 255) for now, then in pairs]

    @abstractmethod
    def of_pair(self, now: torch.Tensor, then: torch.Tensor) -> float:
        """Return the number of one pair, each float64 (1, 3, H, W) in [0, 1]."""


class Psnr(PixelPairs):
    """Peak signal-to-noise ratio: -10 log10 of the mean squared difference, pictures in [0, 1]; in dB.

    The ratio of identical pictures is infinite: they are counted in the note and are not in the mean. Each
    picture has its own ratio; torchmetrics' default pools the squared differences of all pictures, and takes its
    logarithm in float32.
    """

    def of_pair(self, now: torch.Tensor, then: torch.Tensor) -> float:
        """Return the ratio in dB, infinite for identical pictures."""
        error = float((now - then).square().mean())
        return -10 * math.log10(error) if error else math.inf

    def measurement(self, group: str, rows: Sequence[tuple[Sample, float]], *, note: str = "") -> Measurement:
        """Return the mean over the pictures that changed."""
        changed = [(sample, value) for sample, value in rows if value != math.inf]
        if len(changed) == len(rows):
            return super().measurement(group, rows, note=note)
        note = f"{len(rows) - len(changed)} of {len(rows)} pictures did not change: their ratio is infinite"
        if changed:
            return super().measurement(group, changed, note=f"{note}, and the mean is over the others")
        return Measurement(group=group, value=None, n=0, n_excluded=self.excluded(group), note=note)


class Ssim(PixelPairs):
    """Structural similarity (Wang et al. 2004), Gaussian window of sigma 1.5 and 11 pixels, K1 = 0.01, K2 = 0.03.

    As torchmetrics: over all positions, borders reflected, population moments; here in float64 throughout.
    """

    def of_pair(self, now: torch.Tensor, then: torch.Tensor) -> float:
        """Return the similarity, in [-1, 1].

        Raises:
            ComputeError: A side is shorter than 6 pixels.
        """
        _check_sides(now, _RADIUS + 1)
        luminance, structure = _similarity(now, then)
        return float((luminance * structure).mean())


class MsSsim(PixelPairs):
    """Structural similarity at five scales (Wang et al. 2003), weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333.

    As torchmetrics: the contrast terms of the first four scales leave out a border of 5 pixels, the similarity of the
    fifth does not; negative terms count as 0.
    """

    def of_pair(self, now: torch.Tensor, then: torch.Tensor) -> float:
        """Return the similarity, in [0, 1].

        Raises:
            ComputeError: A side is shorter than 176 pixels.
        """
        _check_sides(now, MS_SSIM_SIDE)
        product = 1.0
        for weight in _WEIGHTS[:-1]:
            _, structure = _similarity(now, then)
            inside = structure[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
            product *= math.pow(max(float(inside.mean()), 0.0), weight)
            now, then = avg_pool2d(now, 2), avg_pool2d(then, 2)
        luminance, structure = _similarity(now, then)
        last = max(float((luminance * structure).mean()), 0.0)
        return product * math.pow(last, _WEIGHTS[-1])


def _check_sides(picture: torch.Tensor, least: int) -> None:
    height, width = picture.shape[-2:]
    if min(height, width) < least:
        raise ComputeError(f"pictures of {height} x {width} are too small: both sides must have {least} pixels")


def _similarity(now: torch.Tensor, then: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return luminance and contrast-structure terms at every place of float64 (1, 3, H, W) pictures in [0, 1]."""
    blurred = torch.cat([now, then, now * now, then * then, now * then])
    blurred = _window(now.shape[-2]) @ blurred @ _window(now.shape[-1]).T
    mean_now, mean_then, square_now, square_then, product = blurred[:, None]
    variances = (square_now - mean_now**2).clamp(min=0) + (square_then - mean_then**2).clamp(min=0)
    luminance = (2 * mean_now * mean_then + _C1) / (mean_now**2 + mean_then**2 + _C1)
    structure = (2 * (product - mean_now * mean_then) + _C2) / (variances + _C2)
    return luminance, structure


@cache
def _window(side: int) -> torch.Tensor:
    """Return the matrix float64 (side, side) that blurs one axis, its borders reflected.

    Many times faster than a grouped convolution, which has no fast path in float64.
    """
    offsets = torch.arange(-_RADIUS, _RADIUS + 1)
    weights = (-(offsets.double() ** 2) / (2 * _SIGMA**2)).exp()
    places = (torch.arange(side)[:, None] + offsets).abs()
    places = torch.where(places < side, places, 2 * (side - 1) - places)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(
        1, places, (weights / weights.sum()).expand(side, -1)
    )


class FeatureCosine(PairMean):
    """1 - cos of a pair's features: with a CLIP's image encoder as the scorer, CLIP image distance."""

    def values(self, batch: Batch) -> list[float]:
        """Return one distance a pair, in [0, 2].

        Raises:
            ComputeError: The scorer gives no finite features, or nothing but zeros, for a picture.
        """
        now, then = features(batch, "features"), features(_reference(batch), "features")
        lengths = now.norm(dim=1) * then.norm(dim=1)
        if not bool((lengths > 0).all()):
            raise ComputeError("the scorer in the role 'features' gives only zeros for a picture")
        cosines: list[float] = ((now * then).sum(dim=1) / lengths).clamp(-1, 1).tolist()
        return [1 - cosine for cosine in cosines]


class Lpips(PairMean):
    """Learned perceptual distance (Zhang et al. 2018): the squared distance of a pair in the scorer's features.

    The scorer scales its features so that this is LPIPS: see `vu_metrics_image.perceptual.LpipsFeatures`.
    """

    def values(self, batch: Batch) -> list[float]:
        """Return one distance a pair, at least 0.

        Raises:
            ComputeError: The scorer gives no finite features.
        """
        pairs = zip(_checked(batch, "lpips"), _checked(_reference(batch), "lpips"), strict=True)
        # One at a time: vgg has 122 numbers a pixel, 16 GB in float64 for a batch of 512 x 512.
        return [float((now.double() - then.double()).square_().sum()) for now, then in pairs]


def features(batch: Batch, role: str) -> torch.Tensor:
    """Return the features that the scorer in ``role`` gave: float64 (N, d), a copy.

    Raises:
        ComputeError: They are not one finite row a picture.
    """
    return _checked(batch, role).to(dtype=torch.float64, copy=True)


def _checked(batch: Batch, role: str) -> torch.Tensor:
    """Return the features that the scorer in ``role`` gave, (N, d), themselves.

    Raises:
        ComputeError: They are not one finite row a picture.
    """
    found = batch.scores[role]
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(batch.images):
        raise ComputeError(f"the scorer in the role '{role}' gives no features for each picture")
    if not bool(found.isfinite().all()):
        raise ComputeError(f"the scorer in the role '{role}' gives features that are not finite")
    return found


def _reference(batch: Batch) -> Batch:
    if batch.reference is None:
        raise ComputeError("there are no pictures from before unlearning to compare with")
    return batch.reference
