"""The contrast of pictures; imported when it is measured."""

from collections.abc import Sequence

import torch
from vu_core import Batch, ComputeError, Concept, Measurement, Request, Sample
from vu_core.statistics import mean_measurement
from vu_core.types import FORGET, RETAIN

LUMA = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)


class ContrastMetric:
    """Standard deviation of a picture's luma (Rec. 709, in [0, 1]), in percent; the mean over pictures."""

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: None = None) -> None:
        self._request = request
        self._values: list[tuple[Sample, float | None]] = []

    def update(self, batch: Batch) -> None:
        """Add pictures uint8 (N, 3, H, W), RGB.

        Raises:
            ComputeError: The pictures have another type.
        """
        if batch.images.dtype != torch.uint8:
            raise ComputeError(f"pictures of {batch.images.dtype} were given, not of torch.uint8")
        luma = torch.einsum("c,nchw->nhw", LUMA, batch.images.cpu().double() / 255)
        self._values += zip(batch.samples, (100 * luma.flatten(1).std(dim=1, correction=0)).tolist(), strict=True)

    def exclude(self, sample: Sample, reason: str) -> None:
        """Count a sample that has no picture."""
        self._values.append((sample, None))

    def compute(self) -> list[Measurement]:
        """Return the mean on forgotten and on retained concepts.

        Raises:
            ComputeError: No sample was given.
        """
        if not self._values:
            raise ComputeError("no sample was given")
        return [self._mean(group) for group in (FORGET, RETAIN)]

    def _mean(self, group: str) -> Measurement:
        rows = [(sample, value) for sample, value in self._values if sample.group(self._request) == group]
        measured = [(sample, value) for sample, value in rows if value is not None]
        return mean_measurement(
            group,
            [value for _, value in measured],
            sample_ids=[sample.id for sample, _ in measured],
            clusters=[sample.cluster or sample.prompt for sample, _ in measured],
            n_excluded=len(rows) - len(measured),
        )
