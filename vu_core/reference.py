"""Numbers of a model held against those of models that never learned what it was to forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vu_core.statistics import joined, mean_measurement
from vu_core.types import Measurement, Result

NO_REFERENCE = "no reference: no retrained model was given"


def with_reference(result: Result, retrained: Sequence[Measurement]) -> Result:
    """Return ``result`` with what retrained models have for the same metric and group.

    ``reference`` is their mean, its interval is over models (Student's for 3 to 9, a bootstrap for more), and
    ``reference_noise`` the mean distance of one of them from the mean of the others: no method can be expected to
    come nearer.

    Args:
        result: Of the model that unlearned.
        retrained: One measurement for each retrained model; those without a value are left out, and the note says so.
    """
    values = [measured.value for measured in retrained if measured.value is not None]
    lacking = [measured.note for measured in retrained if measured.value is None]
    why = f" ({lacking[0]})" if lacking and lacking[0] != result.note else ""
    if not values:
        nothing = f"no reference: retrained models have no number{why}" if lacking else NO_REFERENCE
        return replace(result, note=joined(result.note, nothing if result.direction == "reference" else ""))
    left_out = f"{len(lacking)} of {len(retrained)} retrained models have no number{why}" if lacking else ""
    names = [f"{number:04d}" for number in range(len(values))]
    mean = mean_measurement(result.group, values, sample_ids=names, clusters=names)
    return replace(
        result,
        reference=mean.value,
        reference_interval=mean.interval,
        reference_n=len(values),
        reference_noise=_noise(values),
        gap=result.after - mean.value if result.after is not None and mean.value is not None else None,
        note=joined(result.note, left_out),
    )


def _noise(values: Sequence[float]) -> float | None:
    count, total = len(values), sum(values)
    if count < 2:
        return None
    return sum(abs(value - (total - value) / (count - 1)) for value in values) / count
