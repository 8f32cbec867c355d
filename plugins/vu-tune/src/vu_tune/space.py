"""What is searched: options of an unlearner, and the values that each may take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vu_core import ConfigError
from vu_core.config import options_of, validate

if TYPE_CHECKING:
    import optuna

RULE = "--search takes option=low:high, option=low:high:log, or option=a,b,c"


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """The values of one option.

    Attributes:
        name: The option.
        low: Lowest value; None where values are listed.
        high: Highest value.
        log: Whether values are drawn evenly by order of magnitude.
        whole: Whether they are integers.
        choices: The values, where they are listed.
    """

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that bound the others, as texts; all of them where they are listed."""
        return self.choices or (f"{self.low:g}", f"{self.high:g}")

    def suggest(self, trial: optuna.trial.Trial) -> Any:
        """Return the value that ``trial`` takes."""
        if self.low is None or self.high is None:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        values = ",".join(self.choices) if self.choices else ":".join(self.ends)
        return f"{self.name}={values}{':log' if self.log else ''}"


def read_space(given: Iterable[str], config: type | None) -> tuple[Dimension, ...]:
    """Return what ``given`` asks to be searched, checked against the unlearner's options.

    Args:
        given: Texts such as ``learning_rate=1e-4:1e-1:log``, ``steps=100:400`` or ``tokens=last,aligned-tail``.
        config: The class of the unlearner's options; None where it has none.

    Raises:
        ConfigError: A text has another form, an option is unknown or named twice, or a value is not accepted.
    """
    found = [_dimension(text) for text in given]
    if not found:
        known = ", ".join(option.name for option in options_of(config)) if config else "none"
        raise ConfigError("nothing to search was given", hint=f"{RULE}. Options: {known}.")
    names = [dimension.name for dimension in found]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"'{repeated}' is searched twice", hint="Name each option once.")
    if config is None:
        raise ConfigError(f"the unlearner has no options, but {', '.join(names)} was to be searched")
    integers = {option.name for option in options_of(config) if option.type.startswith("int")}
    found = [replace(one, whole=one.low is not None and one.name in integers) for one in found]
    for dimension in found:
        for end in dimension.ends:
            validate(config, {dimension.name: end})
    return tuple(found)


def as_text(options: Mapping[str, Any]) -> str:
    """Return options as they are given on the command line: ``-o steps=200 -o rank=8``."""
    return " ".join(f"-o {name}={value}" for name, value in options.items())


def _dimension(text: str) -> Dimension:
    name, equals, values = (part.strip() for part in text.partition("="))
    if not (name and equals and values):
        raise ConfigError(f"{RULE}, '{text}' was given")
    parts = values.split(":")
    if len(parts) == 1:
        choices = tuple(part.strip() for part in values.split(","))
        return Dimension(name=name, choices=choices)
    low, high = _number(parts[0], text), _number(parts[1], text)
    log = parts[2:] == ["log"]
    if (parts[2:] and not log) or not low < high or (log and low <= 0):
        raise ConfigError(f"{RULE}, '{text}' was given", hint="The lower end comes first; with log it is above 0.")
    return Dimension(name=name, low=low, high=high, log=log)


def _number(text: str, given: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{RULE}; '{text}' in '{given}' is no number")
    return number
