"""What mkdocs asks while it builds the site: pages of components, tables, and formulas as MathML.

The page of a component is what ``vu info NAME --page`` prints. Tables take the place of ``<!-- table: NAME -->``.
Formulas in dollars are read by the extension arithmatex and become MathML here, which browsers show by themselves.
"""

from __future__ import annotations

import logging
import re
import tomllib
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from packaging.requirements import Requirement

from vu_core.discovery import CORE, GROUP
from vu_core.errors import PluginError
from vu_core.pages import better, page, table
from vu_core.registry import Entry, Registry
from vu_core.specs import KINDS

ROOT = Path(__file__).parents[1]
FOLDERS = {"unlearner": "unlearners", "metric": "metrics"}

_MARK = re.compile(r"<!-- table: ([\w-]+) -->")
# Browsers show no variant of a digit: the indicator function's 1 is a character of its own.
_INDICATOR = '<mn mathvariant="double-struck">1</mn>', "<mi>\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ONE}</mi>"
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)

_log = logging.getLogger("mkdocs.plugins.generate")


def on_config(config: MkDocsConfig) -> None:
    """Put the pages of components into the navigation, each behind the index of its kind."""
    for kind, folder in FOLDERS.items():
        for section in config.nav or ():
            items = next(iter(section.values()))
            if isinstance(items, list) and items[0] == f"{folder}/index.md":
                items += [{entry.spec.name: _path(entry)} for entry in _entries(kind)]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages of components."""
    for kind in FOLDERS:
        for entry in _entries(kind):
            files.append(File.generated(config, _path(entry), content=page(_registry(), entry)))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's text with its tables."""
    return _MARK.sub(lambda found: TABLES[found[1]](), markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Return a page with its formulas as MathML."""

    def as_mathml(found: re.Match[str]) -> str:
        formula = unescape(found[3])
        made: str = convert(formula, display="block" if found[1] == "div" else "inline").replace(*_INDICATOR)
        if unknown := re.findall(r"\\\w+", made):
            _log.warning("%s: %s is no formula that can be shown: %s", page.file.src_uri, formula, ", ".join(unknown))
        return f'<div class="formula">{made}</div>' if found[1] == "div" else made

    return _FORMULA.sub(as_mathml, html)


def metrics() -> str:
    """Return a table of metrics for each plugin that brings some, with its purpose."""
    parts = []
    for project in _projects():
        specs = [entry.spec for entry in _entries("metric") if entry.plugin == project["name"]]
        rows = [(f"[`{spec.name}`]({spec.name}.md)", spec.summary, better(spec), spec.unit) for spec in specs]
        if rows:
            head = f"### {project['name']}\n\n{project['description']}"
            parts += [head, table(("metric", "what it is", "better", "unit"), rows)]
    return "\n\n".join(parts)


def plugins() -> str:
    """Return a table of the project's distributions: what each brings."""
    rows = []
    for project in _projects():
        brought = [
            f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}"
            for kind in KINDS
            if (names := [_name(entry) for entry in _registry().entries(kind) if entry.plugin == project["name"]])
        ]
        what = "; ".join(brought) or ("the command `vu`" if project["name"] == CORE else "a library")
        rows.append((f"`{project['name']}`", project["description"], what, project["license"]))
    return table(("distribution", "purpose", "brings", "licence"), rows)


def versions() -> str:
    """Return a table of the libraries that the distributions need: lowest version allowed, and the one tested."""
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    )
    lowest: dict[str, str] = {}
    for project in _projects():
        extras = project.get("optional-dependencies", {})
        wanted = [*project["dependencies"], *(one for name, some in extras.items() if name != "test" for one in some)]
        for need in map(Requirement, wanted):
            if not need.name.startswith("vu-"):
                lowest[need.name] = next((one.version for one in need.specifier if one.operator == ">="), "any")
    return table(
        ("library", "lowest", "tested"), [(name, lowest[name], pinned.get(name, "")) for name in sorted(lowest)]
    )


TABLES = {"metrics": metrics, "plugins": plugins, "versions": versions}


@cache
def _registry() -> Registry:
    """Return the registry, in which every plugin of the project is: a page that is missing is an error."""
    registry = Registry.discover()
    usable = {record.name for record in registry.plugins.records if record.specs}
    missing = [one["name"] for one in _projects() if GROUP in one.get("entry-points", {}) and one["name"] not in usable]
    if missing:
        raise PluginError(
            f"the site is about plugins that are not installed or are broken: {', '.join(missing)}",
            hint="'nox -s docs' installs them; 'vu doctor' says what is wrong with one.",
        )
    return registry


@cache
def _projects() -> tuple[dict[str, Any], ...]:
    files = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
    return tuple(tomllib.loads(file.read_text("utf-8"))["project"] for file in files)


def _entries(kind: str) -> list[Entry[Any]]:
    own = {project["name"] for project in _projects()}
    return [entry for entry in _registry().entries(kind) if entry.plugin in own]


def _path(entry: Entry[Any]) -> str:
    return f"{FOLDERS[entry.spec.kind]}/{entry.spec.name}.md"


def _name(entry: Entry[Any]) -> str:
    """Return a component's name, with a link from a folder of the site where it has a page there."""
    spec = entry.spec
    return f"[`{spec.name}`](../{_path(entry)})" if spec.kind in FOLDERS else f"`{spec.name}`"
