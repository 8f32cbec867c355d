"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import TrackerSpec, hookimpl


@hookimpl
def vu_trackers() -> Iterator[TrackerSpec]:
    """Yield the tracker."""
    yield TrackerSpec(
        name="mlflow",
        summary="MLflow: the store that MLFLOW_TRACKING_URI names, or MLflow's own local one.",
        target="vu_mlflow.tracker:MLflow",
    )
