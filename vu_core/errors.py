"""Errors whose message a user can act on; the CLI prints them without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class VuError(Exception):
    """Something the user can mend: ``message`` says what is wrong, ``hint`` what to do.

    Args:
        message: What was given and why it is not accepted; one or a few sentences.
        hint: What to do instead; empty when the message already says it.

    Example:
        >>> raise VuError("no forget concept was given", hint="pass --forget NAME")
        Traceback (most recent call last):
        ...
        vu_core.errors.VuError: no forget concept was given. pass --forget NAME
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        end = "" if self.message.endswith("?") else "."
        return f"{self.message.rstrip('.')}{end} {self.hint}"


class ConfigError(VuError):
    """An option is unknown, of the wrong type or out of range."""


class RequestError(VuError):
    """A request contradicts itself or names what the dataset does not have."""


class UnknownNameError(VuError):
    """A component's name is not provided by any usable plugin."""


class PluginError(VuError):
    """A plugin could not be used, though its component was asked for."""


class ModelError(VuError):
    """A model cannot be read, or lacks what a component needs."""


class EditError(VuError):
    """An edit cannot be read, written or applied to this model."""


class RunError(VuError):
    """A run cannot start, continue or finish in the folder it was given."""


class DataError(VuError):
    """The files of a dataset, published prompts or published weights are not on this machine."""


class ComputeError(VuError):
    """A computation failed for reasons in the data, such as NaN weights."""

    exit_code = 1


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the closest known name, or an empty string.

    Args:
        given: What the user wrote.
        known: The names that would have been accepted.
    """
    originals = {name.lower(): name for name in known}
    close = get_close_matches(given.lower(), originals, n=1, cutoff=0.6)
    return f"Did you mean '{originals[close[0]]}'?" if close else ""
