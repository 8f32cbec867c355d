"""``vu new``: the beginning of a plugin that works: it installs, passes ``vu check`` and its own tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

TEMPLATES = Path(__file__).parents[1] / "templates"

_SUFFIX = ".template"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 30


@dataclass(frozen=True, kw_only=True)
class Starter:
    """What ``vu new`` writes for one kind of component.

    Attributes:
        description: What the component does that is written, for pyproject.toml.
        dependencies: What it needs besides vu-core.
        use: A command that uses it; ``{name}`` stands for its name.
        used_with: The plugins that this command needs besides.
    """

    description: str
    dependencies: tuple[str, ...] = ()
    use: str
    used_with: tuple[str, ...] = ()


STARTERS = {
    "unlearner": Starter(
        description="Directional ablation for vu: make a text-to-image model's value layers blind to a concept.",
        dependencies=("torch>=2.6",),
        use="vu run {name} --forget cat --quick",
        used_with=("vu-diffusers", "vu-emoji", "vu-metrics-image"),
    ),
    "metric": Starter(
        description="A metric for vu: the contrast of the pictures of forgotten and retained concepts.",
        dependencies=("torch>=2.6",),
        use="vu run uce --forget cat --quick --metric {name}",
        used_with=("vu-diffusers", "vu-emoji", "vu-uce"),
    ),
    "dataset": Starter(
        description="A dataset for vu: shapes and colours as concepts, with prompts that show them.",
        use="vu info dataset/{name}",
    ),
    "scorer": Starter(
        description="A scorer for vu: it says which of six colours a picture shows.",
        dependencies=("torch>=2.6",),
        use="vu info scorer/{name}",
    ),
}


@app.command("new")
def new_command(
    kind: Annotated[str, typer.Argument(help="unlearner, metric, dataset or scorer.")],
    name: Annotated[str, typer.Argument(help="Its name, lower-case words joined by '-'; the plugin becomes vu-NAME.")],
    out: Annotated[Path | None, typer.Option(help="The new folder; default: vu-NAME in this one.")] = None,
) -> None:
    """Write a new plugin with one component that works; then put your own work in its place.

    Example: vu new metric contrast
    """
    from vu_core.files import write_text

    name = name.removeprefix("vu-")
    _check_kind(kind)
    _check_name(kind, name)
    folder = out or Path(f"vu-{name}")
    _check_empty(folder)
    for path, text in render(kind, name):
        write_text(folder / path, text)
    typer.echo(_next_steps(kind, name, folder))


def render(kind: str, name: str, *, plugin: str = "") -> Iterator[tuple[Path, str]]:
    """Yield the files of a new plugin: path within its folder, and text.

    Args:
        kind: A key of `STARTERS`.
        name: Of the component.
        plugin: Name of the distribution; default: ``"vu-"`` and the component's name.
    """
    from string import Template

    plugin = plugin or f"vu-{name}"
    module = plugin.replace("-", "_")
    starter = STARTERS[kind]
    words = {
        "plugin": plugin,
        "module": module,
        "name": name,
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "description": starter.description,
        "dependencies": ", ".join(f'"{text}"' for text in (_core_requirement(), *starter.dependencies)),
    }
    for root in (TEMPLATES / "common", TEMPLATES / kind):
        for file in sorted(root.rglob(f"*{_SUFFIX}")):
            named = {"module": module, f"name.md{_SUFFIX}": f"{name}.md{_SUFFIX}"}
            path = Path(*(named.get(part, part) for part in file.relative_to(root).parts))
            yield path.with_name(path.name.removesuffix(_SUFFIX)), Template(file.read_text("utf-8")).substitute(words)


def _core_requirement() -> str:
    """Return the range of vu-core in which nothing that a plugin uses changes its meaning."""
    from vu_core import __version__

    major, minor = map(int, __version__.split(".")[:2])
    end = f"{major + 1}" if major else f"{major}.{minor + 1}"
    return f"vu-core>={major}.{minor},<{end}"


def _check_kind(kind: str) -> None:
    from vu_core.errors import UnknownNameError, did_you_mean

    if kind not in STARTERS:
        hint = f"{did_you_mean(kind, STARTERS)} It writes: {', '.join(STARTERS)}.".lstrip()
        raise UnknownNameError(f"'vu new' has no starter for a '{kind}'", hint=hint)


def _check_name(kind: str, name: str) -> None:
    from vu_core.discovery import CORE, installed_version
    from vu_core.errors import ConfigError
    from vu_core.registry import FIRST_PARTY, Registry

    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST].strip("-")
        hint = f"As in: vu new {kind} {near or 'my-' + kind}"
        raise ConfigError(f"'{name}' is not lower-case words joined by '-', at most {_LONGEST} characters", hint=hint)
    plugin = f"vu-{name}"
    if plugin in (CORE, *FIRST_PARTY) or installed_version(plugin):
        raise ConfigError(f"the name '{plugin}' is taken", hint="Choose another one.")
    if found := Registry.discover().find(kind, name):
        raise ConfigError(f"the {kind} '{name}' exists already: {found[0]}", hint="Choose another name.")


def _check_empty(folder: Path) -> None:
    from vu_core.errors import RunError

    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(f"'{folder}' is there already, and nothing is overwritten", hint="Choose another with --out.")


def _next_steps(kind: str, name: str, folder: Path) -> str:
    from vu_core.discovery import discover

    plugin, starter = f"vu-{name}", STARTERS[kind]
    installed = {record.name for record in discover().records}
    missing = [needed for needed in starter.used_with if needed not in installed]
    commands = [
        f"pip install -e '{folder}[test]'",
        f"vu check {plugin}",
        f"pytest {folder}",
        *([f"pip install {' '.join(missing)}"] if missing else []),
        starter.use.format(name=name),
    ]
    work = folder / "src" / plugin.replace("-", "_") / f"{kind}.py"
    return "\n".join(
        (
            f"{folder} holds a plugin with the {kind} '{name}'. Next:",
            *(f"  {command}" for command in commands),
            f"Then put your own work into {work}.",
        )
    )
