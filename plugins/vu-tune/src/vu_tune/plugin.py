"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import CommandSpec, hookimpl


@hookimpl
def vu_commands() -> Iterator[CommandSpec]:
    """Yield the command that searches an unlearner's options."""
    yield CommandSpec(
        name="tune",
        summary="Search an unlearner's options, weighing forgetting against keeping.",
        target="vu_tune.command:tune_command",
    )
