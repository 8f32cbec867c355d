"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import TrackerSpec, hookimpl


@hookimpl
def vu_trackers() -> Iterator[TrackerSpec]:
    """Yield the tracker."""
    yield TrackerSpec(
        name="tensorboard",
        summary="TensorBoard: event files in the folder tensorboard of the run's own folder.",
        target="vu_tensorboard.tracker:TensorBoard",
    )
