"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import CommandSpec, hookimpl


@hookimpl
def vu_commands() -> Iterator[CommandSpec]:
    """Yield the two ways between a run's folder and a hub."""
    yield CommandSpec(
        name="push",
        summary="Put a run's edit, record and model card on the Hugging Face hub.",
        target="vu_hub.cli:push_command",
    )
    yield CommandSpec(
        name="pull",
        summary="Fetch an edit that was pushed to the Hugging Face hub.",
        target="vu_hub.cli:pull_command",
    )
