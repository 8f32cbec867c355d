"""Checks of packaging, discovery and specs: each passes a good plugin and fails a bad one, saying why."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vu_core import UnlearnerSpec
from vu_core.errors import PluginError, UnknownNameError
from vu_core.interfaces import Encodes
from vu_core.testing import (
    CheckError,
    Component,
    Plugin,
    cases_of,
    isolated_plugins,
    load_plugin,
    make_dist,
    parametrize,
)
from vu_core.testing.checks import CHECKS, discovery, packaging, spec
from vu_core.testing.distributions import FIELDS
from vu_core.testing.signatures import signature_problems

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-plugin.md"
LIGHT = """
from vu_core import UnlearnerSpec, hookimpl

@hookimpl
def vu_unlearners():
    yield UnlearnerSpec(name="noise", summary="Add noise.", target="{target}")
"""
GOOD_LIGHT = LIGHT.format(target="vu_fake.noise:Noise")
FILES = {
    "vu_fake/__init__.py": "",
    "vu_fake/py.typed": "",
    "vu_fake/plugin.py": GOOD_LIGHT,
    "vu_fake/noise.py": "class Noise: ...",
}


def name_of(value: Any) -> str:
    return getattr(value, "__name__", "")


def without(table: dict[str, str] | Any, key: str) -> dict[str, str]:
    return {name: value for name, value in table.items() if name != key}


def with_light(text: str, **others: str) -> dict[str, Any]:
    return {"files": {**FILES, "vu_fake/plugin.py": text, **others}}


BAD_PLUGINS: list[tuple[Any, dict[str, Any], str]] = [
    (packaging.check_name, {"name": "fake"}, "the distribution is called 'fake'"),
    (packaging.check_entry_point, {"entry_points": ["vu_fake.plugin"] * 2}, "has 2 entry points"),
    (packaging.check_entry_point, {"entry_points": ["vu_fake.absent"]}, "'vu_fake.absent', which is not there"),
    (packaging.check_requires_core, {"requires": ()}, "does not require vu-core"),
    (packaging.check_requires_core, {"requires": ("vu-core>=0.1",)}, "no upper bound"),
    (packaging.check_requires_core, {"requires": ("vu-core<0.2",)}, "no lower bound"),
    (packaging.check_requires_python, {"fields": without(FIELDS, "Requires-Python")}, "has no lower bound"),
    (packaging.check_licence, {"fields": without(FIELDS, "License-Expression")}, "states no licence"),
    (packaging.check_summary, {"fields": without(FIELDS, "Summary")}, "has no description"),
    (packaging.check_typed, {"files": without(FILES, "vu_fake/py.typed")}, "'vu_fake' has no py.typed"),
    (packaging.check_contents, {"files": without(FILES, "vu_fake/noise.py")}, "'vu_fake.noise', which is not there"),
    (packaging.check_contents, {"listed": ["vu_fake/plugin.py"]}, "'vu_fake.noise', which belongs to another"),
    (discovery.check_loads, with_light("raise RuntimeError('no licence')"), "import: RuntimeError: no licence"),
    (discovery.check_loads, with_light(LIGHT.replace("unlearners", "unlearner")), "unknown hook 'vu_unlearner'"),
    (
        discovery.check_light_import,
        with_light("import scipy" + FILES["vu_fake/plugin.py"], **{"scipy.py": ""}),
        "scipy",
    ),
    (discovery.check_silent_import, with_light("print('hi')" + FILES["vu_fake/plugin.py"]), "prints 'hi"),
    (
        discovery.check_no_warnings,
        with_light("import warnings\nwarnings.warn('old', DeprecationWarning)" + GOOD_LIGHT),
        "DeprecationWarning: old",
    ),
]


@pytest.fixture
def make_plugin(tmp_path) -> Iterator[Any]:
    """Return a function that installs a fake plugin, the only one there is, and loads it."""
    with ExitStack() as stack:

        def make(name: str = "vu-fake", files: dict[str, str] = FILES, **options: Any) -> Plugin:
            make_dist(tmp_path, name, files, **{"entry_points": ["vu_fake.plugin"], **options})
            stack.enter_context(isolated_plugins(tmp_path))
            with warnings.catch_warnings(action="ignore"):
                return load_plugin(name)

        yield make


def test_a_good_plugin_passes(make_plugin):
    plugin = make_plugin()
    for check in (*packaging.CHECKS, *discovery.CHECKS):
        assert check.when(plugin)
        check.function(plugin)


@pytest.mark.parametrize(("check", "given", "problem"), BAD_PLUGINS, ids=name_of)
def test_a_bad_plugin_fails(make_plugin, check, given, problem):
    plugin = make_plugin(**given)
    with pytest.raises(CheckError) as raised:
        check(plugin)
    assert problem in raised.value.problem
    assert raised.value.fix


def test_of_a_broken_plugin_the_metadata_and_the_fault_are_checked(make_plugin):
    plugin = make_plugin(**with_light("raise RuntimeError"))
    names = [case.key for case in cases_of(plugin)]
    assert names == [check.name for check in packaging.CHECKS] + ["loads"]


class Good:
    def unlearn(self, model, request, data, config, ctx): ...


@dataclass(frozen=True)
class Options:
    strength: float = field(default=1.0, metadata={"help": "How much.", "ge": 0, "lt": 2})
    steps: int = field(default=1000, metadata={"help": "How long.", "gt": 0, "example": 2})
    words: tuple[str, ...] = field(default=("a", "b"), metadata={"help": "Which."})
    weights: tuple[float, ...] = field(default=(), metadata={"help": "Each.", "le": 1})
    noise: float | None = field(default=None, metadata={"help": "None for none."})


@dataclass(frozen=True)
class Silent:
    strength: float = 1.0


@dataclass(frozen=True)
class Contradiction:
    strength: float = field(default=-1.0, metadata={"help": "How much.", "ge": 0})


@dataclass(frozen=True)
class Required:
    path: str = field(metadata={"help": "Where."})


@dataclass(frozen=True)
class Unwritable:
    words: frozenset[str] = field(default=frozenset("ab"), metadata={"help": "Which."})


@dataclass(frozen=True)
class Untyped:
    anything: Any = field(default=1, metadata={"help": "Something."})


@dataclass(frozen=True)
class Unclear:
    strength: float = field(default=1.0, metadata={"help": "How much."})

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError("too small")


@dataclass
class Thawed:
    strength: float = 1.0


class Swapped:
    def unlearn(self, request, model, data, config, ctx): ...


class Eager(Good):
    def __init__(self, folder): ...


class Idle: ...


SPEC = UnlearnerSpec(
    name="noise",
    summary="Add noise.",
    target="vu_fake.noise:Noise",
    config="vu_fake.config:Options",
    reference="arXiv:2308.14761",
    needs=("TensorSource",),
    families=("text-to-image",),
)


def component(target: Any = Good, config: type = Options, **fields: Any) -> Component:
    return Component(spec=replace(SPEC, **fields), load=lambda: target, config_class=lambda: config)


def lacking() -> None:
    raise PluginError("'vu_fake.noise' cannot be imported", hint="Install it.")


BAD_COMPONENTS: list[tuple[Any, Component, str]] = [
    (spec.check_spec, component(name="Big Noise"), "name 'Big Noise' is not lower-case words"),
    (spec.check_spec, component(api=2), "its api is 2, this vu-core has 1"),
    (spec.check_spec, component(needs=(Good,)), "cannot be written as JSON"),
    (spec.check_words, component(needs=("Flies",)), "'needs' holds 'Flies'"),
    (spec.check_words, component(families=("gan",)), "'families' holds 'gan'"),
    (spec.check_reference, component(reference="my thesis"), "its reference is 'my thesis'"),
    (spec.check_target, replace(component(), load=lacking), "cannot be imported"),
    (spec.check_target, component(Idle), "it has no method 'unlearn'"),
    (
        spec.check_target,
        component(Swapped),
        "unlearn(request, model, data, config, ctx) has other parameters than unlearn(model, request,",
    ),
    (spec.check_target, component(Eager), "Noise(folder) cannot be called as Noise()"),
    (spec.check_options_help, component(config=Silent), "no help for strength"),
    (spec.check_options_help, component(config=Thawed), "is not a frozen dataclass"),
    (spec.check_options_defaults, component(config=Contradiction), "option 'strength' cannot be -1.0"),
    (spec.check_options_defaults, component(config=Required), "'path' is required and has no example"),
    (spec.check_options_round_trip, component(config=Unwritable), "cannot be read back from JSON"),
    (spec.check_options_refuse, component(config=Untyped), "'anything' accepts anything"),
    (spec.check_options_refuse, component(config=Unclear), "refused without naming the option"),
]


@pytest.mark.parametrize("check", spec.CHECKS, ids=lambda check: check.name)
def test_a_good_component_passes(check):
    assert check.fits(component())
    check.function(component())


@pytest.mark.parametrize(("check", "given", "problem"), BAD_COMPONENTS, ids=name_of)
def test_a_bad_component_fails(check, given, problem):
    with pytest.raises(CheckError) as raised:
        check(given)
    assert problem in raised.value.problem
    assert raised.value.fix


def test_every_check_has_a_bad_fake():
    tried = {check for check, _, _ in (*BAD_PLUGINS, *BAD_COMPONENTS)}
    assert {check.function for module in (packaging, discovery, spec) for check in module.CHECKS} == tried


def test_names_are_unique_and_described():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(check.summary.endswith(".") for check in CHECKS)


def test_the_page_lists_every_check():
    rows = [f"| `{check.name}` | {check.subject} | {check.summary} |" for check in CHECKS]
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count(" | ") == 2]
    assert listed == rows


def test_the_page_calls_a_check_as_it_is_called():
    block = PAGE.read_text().split("```python\n")[-1].split("```")[0]
    exec(compile(block, PAGE.name, "exec"), {})  # noqa: S102


def test_options_are_tried_with_their_examples():
    assert spec.example_config(component()) == Options(steps=2)
    assert spec.example_config(Component(spec=replace(SPEC, config=""), load=lacking)) is None


def test_signatures_of_instances_and_of_flexible_methods():
    class Flexible:
        def encode(self, *args, **kwargs): ...

        @staticmethod
        def encoders(): ...

    assert signature_problems(Flexible, Encodes) == signature_problems(Flexible(), Encodes) == []


def test_ids_and_unexpected_exceptions(make_plugin):
    cases = {case.id: case for case in cases_of(make_plugin())}
    assert "vu-fake-light_import" in cases
    with pytest.raises(CheckError, match="it has no method 'unlearn'"):
        cases["vu-fake-unlearner/noise-target"]()
    broken = replace(cases["vu-fake-unlearner/noise-spec"], component=Component(spec=None, load=lacking))
    with pytest.raises(CheckError, match=r"it raises AttributeError: .* See the traceback: pytest --pyargs"):
        broken()


def test_expected_failures_are_strict(make_plugin):
    make_plugin()
    mark = parametrize("vu-fake", expected_failures={"target": "not written", "unlearner/noise-runs": "nor that"}).mark
    reasons = {one.id: one.marks[0].kwargs for one in mark.args[1] if one.marks}
    assert reasons["vu-fake-unlearner/noise-target"]["reason"] == "not written"
    assert reasons["vu-fake-unlearner/noise-target"]["strict"]
    assert reasons.keys() == {"vu-fake-unlearner/noise-target", "vu-fake-unlearner/noise-runs"}
    with pytest.raises(UnknownNameError, match=r"has no check 'targets'. Did you mean 'target'"):
        parametrize("vu-fake", expected_failures={"targets": "a slip"})


def test_isolated_plugins_hide_what_is_installed_and_put_it_back(tmp_path):
    before = list(sys.path)
    with isolated_plugins(tmp_path), pytest.raises(UnknownNameError, match=r"Installed: none"):
        load_plugin("vu-uce")
    assert sys.path == before


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "vu_core.testing"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 4, "ERROR: name the plugin to check: --vu-plugin vu-noise"),
        (["--vu-plugin", "vu-fak"], 4, "no plugin 'vu-fak' is installed. Did you mean 'vu-fake'?"),
        (["--vu-plugin", "vu-fake", "-k", "licence or noise-words"], 0, "2 passed"),
        (["--vu-plugin", "vu-fake", "-k", "noise-target"], 1, "CheckError: it has no method 'unlearn'"),
    ],
)
def test_pytest_runs_the_kit_from_an_empty_folder(tmp_path, monkeypatch, arguments, status, said):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(make_dist(tmp_path / "site", "vu-fake", FILES)))
    done = subprocess.run([*PYTEST, *arguments], cwd=empty, capture_output=True, text=True)
    assert said in done.stdout + done.stderr
    assert done.returncode == status


def test_the_pytest_plugin_imports_nothing_before_it_is_used():
    probe = "import sys, pytest, vu_core.testing.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("vu_core.")}
    light = {"errors", "hookspecs", "specs", "testing", "testing.pytest_plugin"}
    assert ours == {f"vu_core.{name}" for name in light}
    assert not {"typer", "pydantic", "numpy", "torch"} & set(done.stdout.split())
