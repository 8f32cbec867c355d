"""The reference pages say what the code says: every hook, spec field, capability, error and option."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from vu_core import API_VERSION, __version__, errors, hookspecs
from vu_core.cli import COMMANDS, app
from vu_core.hookspecs import OBSERVERS, PROVIDERS
from vu_core.interfaces import CAPABILITIES
from vu_core.specs import SPEC_TYPES, Spec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOOKS = (*PROVIDERS, *OBSERVERS)
ERRORS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Exception)]


def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, heading: str) -> str:
    """Return what stands under ``heading``, down to the next of its level."""
    level = heading.partition(" ")[0]
    assert f"\n{heading}\n" in text, f"no heading '{heading}'"
    return text.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


def first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def meanings(cls: type) -> dict[str, str]:
    """Return what the docstring of ``cls`` says of each attribute, each on one line."""
    text = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`".replace("'", '"')
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


def spec_table(cls: type[Spec]) -> str:
    """Return the table of the fields that ``cls`` has of its own."""
    documented = meanings(cls)
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name in inspect.get_annotations(cls):
        if name == "kind":
            continue
        field = {field.name: field for field in dataclasses.fields(cls)}[name]
        shown = str(field.type).replace("|", "\\|")
        rows.append(f"| `{name}` | `{shown}` | {default(field)} | {documented[name].replace('``', '`')} |")
    return "\n".join(rows)


def signature(hook: str) -> str:
    function = getattr(hookspecs, hook)
    parameters = ", ".join(f"{p.name}: {p.annotation}" for p in inspect.signature(function).parameters.values())
    return f"def {hook}({parameters}) -> {inspect.signature(function).return_annotation}: ..."


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_on_its_page_with_its_signature(hook):
    text = section(page("reference/hooks.md"), f"## {hook}")
    assert f"```python\n@hookspec\n{signature(hook)}\n```" in text
    for label in ("Called", "Arguments", "Returns", "Example", "Used by", "Added in"):
        assert f"**{label}**" in text, f"{hook}: no '{label}'"
    for argument in inspect.signature(getattr(hookspecs, hook)).parameters:
        assert f"`{argument}`" in text


@pytest.mark.parametrize("hook", HOOKS)
def test_the_plugin_that_a_hook_names_implements_it(hook):
    user = re.search(r"\*\*Used by\*\* `([^`]*)`", section(page("reference/hooks.md"), f"## {hook}"))
    assert user, f"{hook}: names no plugin"
    assert f"@hookimpl\ndef {hook}(" in (ROOT / user[1]).read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_a_hook_is_one(hook):
    example = section(page("reference/hooks.md"), f"## {hook}").partition("**Example**")[2]
    code = example.partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(compile(code, hook, "exec"), names)  # noqa: S102
    implemented = names[hook]
    asked = set(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert set(inspect.signature(implemented).parameters) <= asked
    if hook in PROVIDERS:
        specs = list(implemented())
        assert specs and all(spec.problems() == [] for spec in specs)


def test_the_hooks_page_has_no_other_hook():
    assert re.findall(r"^## (vu_\w+)$", page("reference/hooks.md"), flags=re.MULTILINE) == list(HOOKS)


@pytest.mark.parametrize("cls", [Spec, *SPEC_TYPES], ids=lambda cls: cls.__name__)
def test_every_field_of_a_spec_is_on_the_page_as_its_docstring_says(cls):
    expected = spec_table(cls)
    assert expected in section(page("reference/specs.md"), f"## {cls.__name__}"), f"the table should be\n{expected}"


def test_every_capability_is_on_the_page():
    listed = re.findall(
        r"^\| `(\w+)` \| (.*) \|$", section(page("reference/specs.md"), "## Capabilities"), re.MULTILINE
    )
    assert listed == [(name, first_line(cls)) for name, cls in CAPABILITIES.items()]


def test_every_error_is_on_the_page_with_its_exit_code():
    listed = re.findall(r"^\| `(\w+)` \| (\d) \| (.*) \|$", page("reference/errors.md"), re.MULTILINE)
    assert listed == [(cls.__name__, str(cls.exit_code), first_line(cls).replace("``", "`")) for cls in ERRORS]


def options() -> Iterator[tuple[str, str]]:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        for parameter in command.params:
            yield name, max(parameter.opts, key=len)


def test_every_command_has_a_section_and_every_option_a_line():
    text = page("reference/cli.md")
    assert re.findall(r"^## `vu (\w+)`$", text, re.MULTILINE) == list(COMMANDS)
    for command, option in options():
        lines = [line for line in section(text, f"## `vu {command}`").splitlines() if line.startswith("* `")]
        described = [line for line in lines if re.search(rf"(^\* `|, |/ ){re.escape(option)}\b", line)]
        assert described and ": " in described[0], f"vu {command} {option}"


def test_the_page_on_stability_names_the_version_of_the_contract():
    assert f"`vu_core.API_VERSION` is {API_VERSION}" in page("explanation/api-stability.md")
    minor = ".".join(__version__.split(".")[:2])
    assert set(re.findall(r"\*\*Added in\*\* (\S+)\.\n", page("reference/hooks.md"))) <= {minor, "0.1"}


def test_the_code_of_write_a_plugin_is_that_of_vu_example():
    shown = re.findall(r"```python\n# (src/\S+)\n(.*?)```", page("how-to/write-a-plugin.md"), re.DOTALL)
    example = ROOT / "plugins" / "vu-example"
    files = {str(path.relative_to(example)): path.read_text() for path in (example / "src").rglob("*.py")}
    assert dict(shown) == {path: text for path, text in files.items() if text}


def pages_of_components() -> set[Path]:
    """Return where the site has the pages that are made of plugins' prose."""
    prose = ROOT.glob("plugins/*/src/*/docs/*/*.md")
    return {DOCS / f"{file.parent.name}s" / file.name for file in prose}


def test_links_between_pages_lead_somewhere():
    made = pages_of_components()
    for file in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
            target = (file.parent / link).resolve()
            assert target.exists() or target in made, f"{file.relative_to(DOCS)}: {link}"


def test_no_heading_is_taken_for_a_row_of_the_table_above_it():
    for file in DOCS.rglob("*.md"):
        assert not re.search(r"\|\n#", file.read_text()), file


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for file in DOCS.rglob("*.md"):
        assert re.search(rf"[:-] {re.escape(file.relative_to(DOCS).as_posix())}\n", navigation), file


def test_every_pitfall_is_guarded_by_a_test_that_is_there():
    rows = [row for row in page("explanation/evaluation-pitfalls.md").splitlines() if row.startswith("| ")]
    pitfalls = [row for row in rows if not row.startswith("| pitfall")]
    assert pitfalls
    for row in pitfalls:
        guards = re.findall(r"`([\w/-]+\.py)::(\w+)`", row)
        assert guards, row
        for file, name in guards:
            assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
