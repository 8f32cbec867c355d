"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import TrackerSpec, hookimpl


@hookimpl
def vu_trackers() -> Iterator[TrackerSpec]:
    """Yield the tracker."""
    yield TrackerSpec(
        name="wandb",
        summary="Weights & Biases: online, or with WANDB_MODE=offline in a local folder.",
        target="vu_wandb.tracker:Wandb",
    )
