"""What a component says of itself, and its options: words, types and ranges that hold."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

import tomli_w
import typer

from vu_core import interfaces
from vu_core.config import REQUIRED, options_of, validate
from vu_core.errors import ConfigError, VuError
from vu_core.specs import API_VERSION, Spec
from vu_core.testing.cases import COMPONENT, Check, CheckError, Component, expect
from vu_core.testing.signatures import call_problem, signature_problems
from vu_core.types import Direction

FAMILIES = ("text-to-image", "classifier")
OUTPUTS = ("classes", "similarity", "features", "detections")
DIRECTIONS = get_args(Direction)

_REFERENCE = re.compile(r"arXiv:\d{4}\.\d{4,5}(v\d+)?|(doi:)?10\.\d{4,}/\S+|https?://\S+", re.IGNORECASE)
_ANYTHING: tuple[Any, ...] = (None, True, 7, -2.5, "certainly not a choice", ["one", 2], {"key": "value"})
_STEP = {"ge": -1, "gt": 0, "le": 1, "lt": 0}

# How the host calls each kind's target, and what the result offers.
_CALLS: dict[str, tuple[tuple[str, ...], type]] = {
    "unlearner": ((), interfaces.Unlearner),
    "metric": (("request", "neighbours", "config"), interfaces.Metric),
    "dataset": (("config", "download"), interfaces.Dataset),
    "scorer": (("device",), interfaces.Scorer),
    "tracker": ((), interfaces.Tracker),
}


def check_spec(component: Component) -> None:
    """The spec is valid, plain data, and written for an API that this vu-core knows."""
    spec: Spec = component.spec
    problems = spec.problems()
    expect(not problems, "; ".join(problems), "Correct the spec in plugin.py.")
    expect(spec.api <= API_VERSION, f"its api is {spec.api}, this vu-core has {API_VERSION}", f"Use api={API_VERSION}.")
    try:
        json.dumps(dataclasses.asdict(spec), allow_nan=False)
    except (TypeError, ValueError) as error:
        fix = "Use strings, numbers, tuples and tables only; name objects as 'module:attribute'."
        raise CheckError(f"the spec cannot be written as JSON: {error}", fix) from error


def check_words(component: Component) -> None:
    """Capabilities, families, directions and outputs are those that vu knows."""
    spec = component.spec
    known = {
        "needs": interfaces.CAPABILITIES,
        "capabilities": interfaces.CAPABILITIES,
        "families": FAMILIES,
        "family": FAMILIES,
        "direction": DIRECTIONS,
        "forget_direction": (None, *DIRECTIONS),
        "outputs": OUTPUTS,
    }
    for field, accepted in known.items():
        given = getattr(spec, field, ())
        unknown = [word for word in (given if isinstance(given, tuple) else (given,)) if word not in accepted]
        fix = f"Known: {', '.join(str(word) for word in accepted)}."
        expect(not unknown, f"'{field}' holds {', '.join(map(repr, unknown))}", fix)


def check_reference(component: Component) -> None:
    """The reference, when there is one, is an arXiv id, a DOI or a URL."""
    reference = component.spec.reference
    fix = "Write 'arXiv:2308.14761', 'doi:10.1000/xyz' or a URL."
    expect(bool(_REFERENCE.fullmatch(reference)), f"its reference is '{reference}'", fix)


def check_target(component: Component) -> None:
    """The target can be imported, and called as the host calls it."""
    target, name = _loaded(component), component.spec.target.partition(":")[2]
    if component.spec.kind == "command":
        problems = [_command_problem(name, target)]
    elif component.spec.kind == "model":
        options = {"device": "", "dtype": "", "download": False, "revision": None}
        problems = [call_problem(name, inspect.signature(target), "source", **options)]
    else:
        keywords, protocol = _CALLS[component.spec.kind]
        if getattr(component.spec, "examines", ""):
            protocol = interfaces.ModelMetric
        if component.spec.kind == "dataset" and not has_options(component):
            keywords = ()
        problems = [call_problem(name, inspect.signature(target), **dict.fromkeys(keywords))]
        problems += signature_problems(target, protocol) if isinstance(target, type) else []
    found = [problem for problem in problems if problem]
    fix = "The signatures are in vu_core/interfaces.py and docs/reference/python.md."
    expect(not found, "; ".join(found), fix)


def _command_problem(name: str, target: Any) -> str:
    """Return why Typer can make no command of ``target``; empty when it can and the command explains itself."""
    try:
        single = typer.Typer(add_completion=False)
        single.command()(target)
        made = typer.main.get_command(single)
    except Exception as error:
        return f"Typer makes no command of {name}: {error}"
    silent = [parameter.name for parameter in made.params if not getattr(parameter, "help", None)]
    if silent or not made.help:
        return f"{name} does not explain {', '.join(map(str, silent)) or 'itself'} in its help"
    return ""


def check_options_help(component: Component) -> None:
    """Every option says what it does."""
    silent = [option.name for option in options_of(_config(component)) if not option.help]
    fix = 'Write field(default=..., metadata={"help": "..."}).'
    expect(not silent, f"no help for {', '.join(silent)}", fix)


def check_options_defaults(component: Component) -> None:
    """The defaults and the examples are accepted, and a required option has an example."""
    cls = _config(component)
    example_config(component)
    if all(option.default != REQUIRED for option in options_of(cls)):
        _validated(cls, dataclasses.asdict(cls()))


def check_options_round_trip(component: Component) -> None:
    """Options come back from JSON and from TOML as they were."""
    cls = _config(component)
    config = example_config(component)
    values = dataclasses.asdict(config)
    fix = "Use bool, int, float, str, Literal, and tuples of those as types of options."
    formats: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
        "JSON": lambda table: json.loads(json.dumps(table)),
        "TOML": lambda table: tomllib.loads(tomli_w.dumps({k: v for k, v in table.items() if v is not None})),
    }
    for name, through in formats.items():
        try:
            back: Any = validate(cls, through(values))
        except (VuError, TypeError, ValueError) as error:
            raise CheckError(f"its options cannot be read back from {name}: {error}", fix) from error
        expect(back == config, f"through {name}, {config} becomes {back}", fix)


def check_options_refuse(component: Component) -> None:
    """Unknown options, values of another type and values out of range are refused by the option's name."""
    cls = _config(component)
    accepts = partial(_accepts, cls, _examples(cls))
    _expect_refusal(accepts, "no_such_option", 1)
    for field in _fields(cls):
        refused = [value for value in _ANYTHING if not accepts(field.name, value)]
        fix = "Annotate it as bool, int, float, str, Literal[...] or a tuple of those, not as Any or object."
        expect(bool(refused), f"option '{field.name}' accepts anything, from a number to a table", fix)
        for bound in field.metadata.keys() & _STEP.keys():
            beyond = field.metadata[bound] + _STEP[bound]
            _expect_refusal(accepts, field.name, beyond)
            _expect_refusal(accepts, field.name, [beyond])


def example_config(component: Component) -> Any:
    """Return options to try a component with, or None when it has none.

    They are the ``example`` in an option's metadata, where there is one, and its default elsewhere: an
    unlearner that trains for 1000 steps gives an example of 2.

    Raises:
        CheckError: A required option has no example, or an example is refused.
    """
    if not has_options(component):
        return None
    cls = _config(component)
    return _validated(cls, _examples(cls))


def has_options(component: Component) -> bool:
    """Return whether the spec names a config class."""
    return bool(getattr(component.spec, "config", ""))


def _has_target(component: Component) -> bool:
    return bool(component.spec.target)


def _has_reference(component: Component) -> bool:
    return bool(component.spec.reference)


def _loaded(component: Component) -> Any:
    try:
        return component.load()
    except VuError as error:
        raise CheckError(error.message, error.hint or "Correct the spec's target.") from error


def _config(component: Component) -> type:
    try:
        cls = component.config_class()
        options_of(cls)  # type: ignore[arg-type]
    except VuError as error:
        raise CheckError(error.message, "Name a dataclass(frozen=True, kw_only=True) in a light module.") from error
    return cls  # type: ignore[return-value]


def _examples(cls: type) -> dict[str, Any]:
    examples = {field.name: field.metadata["example"] for field in _fields(cls) if "example" in field.metadata}
    for option in options_of(cls):
        fix = 'Give it a default, or field(metadata={"example": ...}) with a value to test with.'
        lacking = option.default == REQUIRED and option.name not in examples
        expect(not lacking, f"option '{option.name}' is required and has no example", fix)
    return examples


def _validated(cls: type, values: Mapping[str, Any]) -> Any:
    try:
        return validate(cls, values)
    except ConfigError as error:
        raise CheckError(f"its own values are refused: {error}", "Correct the defaults or the bounds.") from error


def _fields(cls: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _expect_refusal(accepts: Callable[[str, Any], bool], name: str, value: Any) -> None:
    fix = "Check it in __post_init__, or leave it to the bounds ge, gt, le, lt in the field's metadata."
    expect(not accepts(name, value), f"option {name}={value!r} is accepted", fix)


def _accepts(cls: type, examples: Mapping[str, Any], name: str, value: Any) -> bool:
    """Return whether an option takes a value; a refusal that does not name the option is a fault."""
    try:
        validate(cls, {**examples, name: value})
    except ConfigError as error:
        fix = "Raise ConfigError, or ValueError, with the option's name in __post_init__."
        expect(name in str(error), f"{name}={value!r} is refused without naming the option: {error}", fix)
        return False
    return True


_options_check = partial(Check, subject=COMPONENT, when=has_options)

CHECKS = (
    Check(check_spec, COMPONENT),
    Check(check_words, COMPONENT),
    Check(check_reference, COMPONENT, _has_reference),
    Check(check_target, COMPONENT, _has_target),
    _options_check(check_options_help),
    _options_check(check_options_defaults),
    _options_check(check_options_round_trip),
    _options_check(check_options_refuse),
)
