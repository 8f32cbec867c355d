"""Options: describe the fields of a config class, and turn what a user gave into an instance.

A config class is a frozen dataclass. Each field's metadata may hold ``help``, the paper's ``symbol``,
and the bounds ``ge``, ``gt``, ``le``, ``lt``; a choice is a ``Literal``. For the conformance kit it may
also hold ``identity``, the value at which an unlearner changes nothing, and ``example``, a value to
test with. The command line, TOML files and Python all pass through `validate`.
"""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from vu_core.errors import ConfigError, PluginError, did_you_mean

C = TypeVar("C")

REQUIRED = "required"

_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", operator.ge),
    "gt": (">", operator.gt),
    "le": ("<=", operator.le),
    "lt": ("<", operator.lt),
}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One field of a config class, in words.

    Attributes:
        name: Name of the field.
        type: Its type: ``"float"``, ``"'last' | 'aligned-tail'"``.
        default: Its default as a user would write it, or ``"required"``.
        range: The values allowed: ``">= 0, < 1"``; empty when all are.
        help: What it does.
        symbol: The paper's symbol.
    """

    name: str
    type: str
    default: str
    range: str = ""
    help: str = ""
    symbol: str = ""


def options_of(cls: type) -> list[Option]:
    """Return the options of a config class, in the order of its fields.

    Raises:
        PluginError: ``cls`` is not a frozen dataclass.

    Example:
        >>> @dataclass(frozen=True)
        ... class Noise:
        ...     std: float = dataclasses.field(default=0.1, metadata={"help": "Strength.", "ge": 0})
        >>> options_of(Noise)
        [Option(name='std', type='float', default='0.1', range='>= 0', help='Strength.', symbol='')]
    """
    types = _types(cls)
    return [
        Option(
            name=field.name,
            type=_type_text(types[field.name]),
            default=_default_text(field),
            range=_range_text(field.metadata),
            help=field.metadata.get("help", ""),
            symbol=field.metadata.get("symbol", ""),
        )
        for field in _fields(cls)
    ]


def validate(cls: type[C], given: Mapping[str, Any], *, where: str = "") -> C:
    """Return an instance of a config class with the given options and defaults for the others.

    Texts are read as the option's type asks: ``"5"``, ``"true"``, ``"none"``, ``"a,b"`` or ``'["a", "b"]'``.
    A bool is never a number, a fraction never an int, and numbers are finite.

    Args:
        cls: A frozen dataclass.
        given: Options by name.
        where: What an error says first, whose options they are: ``"dataset 'digits'"``.

    Raises:
        ConfigError: An option is unknown, missing, of another type or out of range, or the class itself
            refuses the combination with a ValueError.
        PluginError: ``cls`` is not a frozen dataclass.

    Example:
        >>> @dataclass(frozen=True)
        ... class Noise:
        ...     std: float = 0.1
        >>> validate(Noise, {"std": "0.5"})
        Noise(std=0.5)
    """
    try:
        return _validated(cls, given)
    except ConfigError as error:
        if not where:
            raise
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def _validated(cls: type[C], given: Mapping[str, Any]) -> C:
    fields = {field.name: field for field in _fields(cls)}
    unknown = [name for name in given if name not in fields]
    if unknown:
        hint = f"{did_you_mean(unknown[0], fields)} Options: {', '.join(fields) or 'none'}.".lstrip()
        raise ConfigError(f"unknown option '{unknown[0]}'", hint=hint)
    missing = [name for name, field in fields.items() if name not in given and _default_text(field) == REQUIRED]
    if missing:
        raise ConfigError(f"option '{missing[0]}' is required", hint=f"Give it: -o {missing[0]}=...")
    types = _types(cls)
    values = {name: _read(fields[name], types[name], value) for name, value in given.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"these options do not go together: {error}") from error


def _read(field: dataclasses.Field[Any], type_: Any, given: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(type_, config=ConfigDict(strict=True, allow_inf_nan=False))
    for candidate in _readings(given):
        try:
            # JSON is what TOML, the record and the command line share: a list may fill a tuple, nothing else bends.
            value = adapter.validate_json(json.dumps(candidate, default=_as_json))
        except (ValidationError, TypeError, ValueError):
            continue
        if _within(value, field.metadata):
            return value
    accepted = ", ".join(filter(None, [_type_text(type_), _range_text(field.metadata)]))
    raise ConfigError(f"option '{field.name}' cannot be {given!r}", hint=f"It takes: {accepted}.")


def _readings(given: Any) -> Iterator[Any]:
    if isinstance(given, str):
        yield _literal(given)
    yield given
    if isinstance(given, str):
        parts = [part.strip() for part in given.split(",") if part.strip()]
        yield [_literal(part) for part in parts]
        yield parts


def _literal(text: str) -> Any:
    """Return the bool, None, number, list or table that ``text`` spells, else the text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (int, float, json.loads) if not text.startswith('"') else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _as_json(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not accepted")


def _within(value: Any, metadata: Mapping[str, Any]) -> bool:
    numbers = value if isinstance(value, tuple | list) else (value,)
    return all(
        holds(number, metadata[key])
        for number in numbers
        if isinstance(number, int | float)
        for key, (_, holds) in _BOUNDS.items()
        if key in metadata
    )


def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise PluginError(f"config class '{cls.__module__}.{cls.__qualname__}' is not a frozen dataclass")
    return tuple(field for field in dataclasses.fields(cls) if field.init)


def _types(cls: type) -> dict[str, Any]:
    _fields(cls)
    return get_type_hints(cls)


def _type_text(type_: Any) -> str:
    if type_ is None or type_ is type(None):
        return "none"
    if type_ is ...:
        return "..."
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return " | ".join(repr(choice) for choice in arguments)
    if origin in (Union, UnionType):
        return " | ".join(map(_type_text, arguments))
    name = getattr(origin or type_, "__name__", str(type_))
    return f"{name}[{', '.join(map(_type_text, arguments))}]" if arguments else name


def _default_text(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return _value_text(field.default_factory())
    if field.default is dataclasses.MISSING:
        return REQUIRED
    return _value_text(field.default)


def _value_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value:
        return value
    return json.dumps(value, default=str)


def _range_text(metadata: Mapping[str, Any]) -> str:
    return ", ".join(f"{sign} {metadata[key]}" for key, (sign, _) in _BOUNDS.items() if key in metadata)
