"""How a plugin is packaged: its metadata, and that what it names travels with it."""

from __future__ import annotations

import re
from functools import partial
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from vu_core.discovery import CORE, GROUP
from vu_core.errors import VuError
from vu_core.models import resource_path
from vu_core.testing.cases import PLUGIN, Check, CheckError, Plugin, expect

if TYPE_CHECKING:
    from importlib_metadata import Distribution

_NAME = re.compile(r"vu-[a-z0-9]+(-[a-z0-9]+)*")
_LOWER, _UPPER = {">", ">=", "~=", "=="}, {"<", "<=", "~=", "=="}


def check_name(plugin: Plugin) -> None:
    """The distribution is called vu-something."""
    name = plugin.record.name
    fix = "Set project.name in pyproject.toml to lower-case words that begin with 'vu-', as in 'vu-noise'."
    expect(bool(_NAME.fullmatch(name)), f"the distribution is called '{name}'", fix)


def check_entry_point(plugin: Plugin) -> None:
    """It has one entry point, and that names a module."""
    points = [point.value for point in _distribution(plugin).entry_points if point.group == GROUP]
    fix = f'Keep one line under [project.entry-points."{GROUP}"], as in: noise = "vu_noise.plugin"'
    expect(len(points) == 1, f"it has {len(points)} entry points in the group '{GROUP}'", fix)
    module = points[0].partition(":")[0].strip()
    expect(_file_of(module) is not None, f"its entry point names the module '{module}', which is not there", fix)


def check_requires_core(plugin: Plugin) -> None:
    """It requires vu-core with a lower and an upper bound."""
    fix = f'Write dependencies = ["{CORE}>=0.1,<0.2", ...] in pyproject.toml, with the versions you test against.'
    requirements = map(Requirement, _distribution(plugin).requires or ())
    found = [requirement for requirement in requirements if canonicalize_name(requirement.name) == CORE]
    expect(bool(found), f"it does not require {CORE}", fix)
    operators = {specifier.operator for requirement in found for specifier in requirement.specifier}
    for bound, accepted in (("lower", _LOWER), ("upper", _UPPER)):
        expect(bool(operators & accepted), f"'{found[0]}' has no {bound} bound", fix)


def check_requires_python(plugin: Plugin) -> None:
    """It states which versions of Python it runs on."""
    given = _field(plugin, "Requires-Python")
    fix = 'Write requires-python = ">=3.11" in pyproject.toml.'
    operators = {specifier.operator for specifier in SpecifierSet(given)}
    expect(bool(operators & _LOWER), f"its requires-python is '{given}', which has no lower bound", fix)


def check_licence(plugin: Plugin) -> None:
    """It states its licence."""
    classifiers = _distribution(plugin).metadata.get_all("Classifier") or []
    stated = _field(plugin, "License-Expression") or _field(plugin, "License")
    named = stated or any(text.startswith("License ::") for text in classifiers)
    expect(bool(named), "it states no licence", 'Write license = "Apache-2.0", or your own, in pyproject.toml.')


def check_summary(plugin: Plugin) -> None:
    """It says in one line what it is."""
    fix = 'Write description = "...", one line, in pyproject.toml; it is what package indexes show.'
    expect(_field(plugin, "Summary") not in ("", "UNKNOWN"), "it has no description", fix)


def check_typed(plugin: Plugin) -> None:
    """Its packages carry py.typed, so that type checkers read their annotations."""
    for name in sorted({module.partition(".")[0] for module in _modules(plugin)}):
        found = find_spec(name)
        roots = (found.submodule_search_locations or ()) if found else ()
        fix = f"Put an empty file py.typed beside '{name}/__init__.py'; a lone module must become a package for that."
        expect(any((Path(root) / "py.typed").is_file() for root in roots), f"'{name}' has no py.typed", fix)


def check_contents(plugin: Plugin) -> None:
    """Every module, folder and file that it names is part of the distribution."""
    fix = "Correct the name, or include it in the wheel ([tool.hatch.build.targets.wheel] packages)."
    for module in _modules(plugin):
        path = _file_of(module)
        if path is None:
            raise CheckError(f"it names the module '{module}', which is not there", fix)
        expect(_owns(plugin, path), f"it names the module '{module}', which belongs to another distribution", fix)
    for resource in _resources(plugin):
        try:
            path = resource_path(resource)
        except VuError as error:
            raise CheckError(error.message, fix) from error
        owned = all(_owns(plugin, file) for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
        expect(owned, f"it names '{resource}', which is not part of the distribution", fix)


def _distribution(plugin: Plugin) -> Distribution:
    if plugin.distribution is None:
        raise CheckError("its metadata cannot be read", "Delete its .dist-info folder and install it again.")
    return plugin.distribution


def _field(plugin: Plugin, name: str) -> str:
    return str(_distribution(plugin).metadata.get(name) or "").strip()


def _modules(plugin: Plugin) -> list[str]:
    """Return the modules that the entry point and the specs name."""
    specs = plugin.record.specs
    named = [plugin.record.entry_point, *(spec.target for spec in specs), *(getattr(s, "config", "") for s in specs)]
    return sorted({text.partition(":")[0].strip() for text in named if text})


def _resources(plugin: Plugin) -> list[str]:
    """Return the folders and files inside packages that the specs name."""
    named = (getattr(spec, field, "") for spec in plugin.record.specs for field in ("folder", "file"))
    return sorted(filter(None, named))


def _file_of(module: str) -> Path | None:
    """Return the file of ``module``, or None when there is none; nothing is imported."""
    top, *inner = module.split(".")
    try:
        found = find_spec(top)
    except (ImportError, ValueError):
        found = None
    if found is None:
        return None
    if not inner and found.origin:
        return Path(found.origin)
    for root in found.submodule_search_locations or ():
        folder = Path(root).joinpath(*inner)
        files = [folder / "__init__.py", *(folder.parent / f"{folder.name}{suffix}" for suffix in all_suffixes())]
        if existing := [file for file in files if file.is_file()]:
            return existing[0]
    return None


def _owns(plugin: Plugin, path: Path) -> bool:
    """Return whether ``path`` is a file of the plugin's wheel, or of its source tree when installed in place."""
    distribution = _distribution(plugin)
    path, location = path.resolve(), Path(plugin.record.location).resolve()
    listed = {Path(str(distribution.locate_file(file))).resolve() for file in distribution.files or ()}
    in_place = location != Path(str(distribution.locate_file(""))).resolve()
    return path in listed or (in_place and path.is_relative_to(location))


def _readable(plugin: Plugin) -> bool:
    return plugin.distribution is not None


_check = partial(Check, subject=PLUGIN, when=_readable)

CHECKS = (
    _check(check_name),
    _check(check_entry_point),
    _check(check_requires_core),
    _check(check_requires_python),
    _check(check_licence),
    _check(check_summary),
    _check(check_typed),
    _check(check_contents),
)
