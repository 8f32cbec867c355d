"""Options are described, read from text, TOML and Python alike, and refused with a reason."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vu_core.config import Option, options_of, validate
from vu_core.errors import ConfigError, PluginError


@dataclass(frozen=True, kw_only=True)
class Sample:
    scale: float = field(default=1.0, metadata={"help": "Strength.", "gt": 0, "le": 10, "symbol": "λ"})
    steps: int = field(default=50, metadata={"ge": 1})
    exact: bool = False
    tokens: Literal["last", "aligned-tail"] = "last"
    label: str = ""
    layers: tuple[str, ...] = ("to_k", "to_v")
    ranks: tuple[int, ...] = field(default=(), metadata={"ge": 1})
    pair: tuple[int, float] = (1, 0.5)
    limit: float | None = field(default=None, metadata={"lt": 1})
    size: int | Literal["auto"] = "auto"
    folder: Path | None = None


@dataclass(frozen=True)
class Required:
    name: str
    other: list[int] = field(default_factory=list)


def refusal(cls=Sample, **options):
    with pytest.raises(ConfigError) as caught:
        validate(cls, options)
    return str(caught.value)


def test_defaults():
    assert validate(Sample, {}) == Sample()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("scale", "5", 5.0),
        ("scale", "1e-3", 0.001),
        ("scale", ".5", 0.5),
        ("steps", "7", 7),
        ("exact", "true", True),
        ("exact", "False", False),
        ("tokens", "aligned-tail", "aligned-tail"),
        ("label", "5", "5"),
        ("label", "true", "true"),
        ("label", "a,b", "a,b"),
        ("label", '"quoted"', '"quoted"'),
        ("label", "", ""),
        ("layers", "to_q", ("to_q",)),
        ("layers", "to_q, to_k", ("to_q", "to_k")),
        ("layers", '["to_q", "a,b"]', ("to_q", "a,b")),
        ("layers", "1,2", ("1", "2")),
        ("layers", "", ()),
        ("ranks", "4,8", (4, 8)),
        ("ranks", "4", (4,)),
        ("pair", "3,0.25", (3, 0.25)),
        ("limit", "none", None),
        ("limit", "-2", -2.0),
        ("size", "auto", "auto"),
        ("size", "8", 8),
        ("folder", "some/where", Path("some/where")),
    ],
)
def test_texts_are_read_as_the_type_asks(name, text, value):
    read = getattr(validate(Sample, {name: text}), name)
    assert read == value
    assert type(read) is type(value)


def test_toml_and_python_values():
    options = tomllib.loads('scale = 2\nexact = true\nlayers = ["a"]\npair = [1, 2]\nlimit = 0.5')
    assert validate(Sample, options) == Sample(scale=2.0, exact=True, layers=("a",), pair=(1, 2.0), limit=0.5)
    assert validate(Sample, {"ranks": (1, 2), "limit": None, "folder": Path("x")}).ranks == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("scale", "abc", "float, > 0, <= 10"),
        ("scale", 0, "float, > 0, <= 10"),
        ("scale", 10.5, "float, > 0, <= 10"),
        ("scale", math.nan, "float, > 0, <= 10"),
        ("scale", "nan", "float, > 0, <= 10"),
        ("scale", "inf", "float, > 0, <= 10"),
        ("scale", True, "float, > 0, <= 10"),
        ("scale", "true", "float, > 0, <= 10"),
        ("scale", None, "float, > 0, <= 10"),
        ("steps", True, "int, >= 1"),
        ("steps", 2.5, "int, >= 1"),
        ("steps", "2.5", "int, >= 1"),
        ("steps", "0", "int, >= 1"),
        ("steps", "1,2", "int, >= 1"),
        ("exact", 1, "bool"),
        ("exact", "maybe", "bool"),
        ("tokens", "first", "'last' | 'aligned-tail'"),
        ("label", 5, "str"),
        ("layers", [1], "tuple[str, ...]"),
        ("layers", {"a"}, "tuple[str, ...]"),
        ("ranks", "0,2", "tuple[int, ...], >= 1"),
        ("ranks", [True], "tuple[int, ...], >= 1"),
        ("pair", "1", "tuple[int, float]"),
        ("limit", 1, "float | none, < 1"),
        ("size", "large", "int | 'auto'"),
        ("folder", object, "Path | none"),
    ],
)
def test_refusals_name_option_value_type_and_range(name, value, accepted):
    assert refusal(**{name: value}) == f"option '{name}' cannot be {value!r}. It takes: {accepted}."


def test_names_are_checked_before_values():
    assert refusal(scale="abc", stepz=3).startswith(
        "unknown option 'stepz'. Did you mean 'steps'? Options: scale, steps"
    )


def test_required_options():
    assert refusal(Required) == "option 'name' is required. Give it: -o name=..."
    assert validate(Required, {"name": "x", "other": "1,2"}) == Required("x", [1, 2])


def test_the_class_may_refuse_a_combination():
    @dataclass(frozen=True)
    class Ordered:
        low: int = 0
        high: int = 1

        def __post_init__(self):
            if self.low > self.high:
                raise ValueError("low is above high")

    assert refusal(Ordered, low=2) == "these options do not go together: low is above high"


@given(st.floats(min_value=0, max_value=10, exclude_min=True))
def test_a_printed_float_is_read_back(value):
    assert validate(Sample, {"scale": repr(value)}).scale == value


@given(st.text())
def test_a_text_option_is_never_changed(text):
    assert validate(Sample, {"label": text}).label == text


def test_options_are_described():
    options = {option.name: option for option in options_of(Sample)}
    assert list(options)[:2] == ["scale", "steps"]
    assert options["scale"] == Option(
        name="scale", type="float", default="1.0", range="> 0, <= 10", help="Strength.", symbol="λ"
    )
    described = {name: (option.type, option.default) for name, option in options.items()}
    assert described["exact"] == ("bool", "false")
    assert described["tokens"] == ("'last' | 'aligned-tail'", "last")
    assert described["label"] == ("str", '""')
    assert described["layers"] == ("tuple[str, ...]", '["to_k", "to_v"]')
    assert described["limit"] == ("float | none", "none")
    assert [option.default for option in options_of(Required)] == ["required", "[]"]


def test_every_default_is_accepted_as_it_is_described():
    described = {option.name: option.default for option in options_of(Sample) if option.name != "label"}
    assert validate(Sample, described) == Sample()


@pytest.mark.parametrize("function", [options_of, lambda cls: validate(cls, {})])
def test_only_frozen_dataclasses(function):
    @dataclass
    class Thawed:
        x: int = 1

    for cls in (Thawed, int):
        with pytest.raises(PluginError, match="is not a frozen dataclass"):
            function(cls)
