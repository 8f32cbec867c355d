"""What several commands read alike: lists with commas, and key=value."""

from __future__ import annotations

from collections.abc import Sequence

DATA = ("--data takes key=value", "--data root=DIR")
SCORER = ("--scorer takes role=name", "--scorer object=emoji-object-b")
"""What errors say of options for a dataset and of judges; see `pairs`."""


def names(given: Sequence[str] | None) -> list[str] | None:
    """Return the names in options that may be repeated and may hold several, separated by commas; none is empty."""
    if given is None:
        return None
    return [part.strip() for value in given for part in value.split(",") if part.strip()]


def numbers(given: Sequence[str] | None, option: str) -> list[int] | None:
    """Return the integers in options that may be repeated and may hold several, separated by commas.

    Args:
        given: What the user wrote.
        option: Its name, for errors.

    Raises:
        ConfigError: One is no integer from 0 up.
    """
    from vu_core.errors import ConfigError

    texts = names(given)
    if wrong := [text for text in texts or () if not text.isdecimal()]:
        raise ConfigError(f"{option} takes integers from 0 up, '{wrong[0]}' was given", hint=f"As in {option} 0,1,2.")
    return None if texts is None else [int(text) for text in texts]


def pairs(given: Sequence[str] | None, rule: str, example: str) -> dict[str, str]:
    """Return the pairs in options of the form ``key=value``.

    Args:
        given: What the user wrote.
        rule: What an error says first: ``"-o takes key=value"``.
        example: A right one.

    Raises:
        ConfigError: One has another form.
    """
    from vu_core.errors import ConfigError

    found = {}
    for pair in given or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{rule}, '{pair}' was given", hint=f"As in {example}.")
        found[key.strip()] = value.strip()
    return found
