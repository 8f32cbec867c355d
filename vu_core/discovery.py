"""Find plugins: scan their metadata, describe them by their light modules, resolve what is used.

1. *scan* reads the metadata of installed distributions; no plugin code runs.
2. *describe* imports a plugin's light module and collects its specs. Each plugin has a pluggy manager
   of its own, so that nothing one plugin does reaches another.
3. *resolve* imports the target of one spec, when its component is used.

A fault of a plugin is a row, a `PluginRecord` with a stage and a problem; it never stops a command.
This is the only module that touches importlib_metadata and pluggy's managers.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import importlib_metadata
import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vu_core import __version__, hookspecs
from vu_core.errors import PluginError, UnknownNameError, VuError, did_you_mean
from vu_core.specs import API_VERSION, KINDS, Spec

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint

GROUP = "vu.plugins"
OFF_VARIABLE = "VU_PLUGINS_OFF"
CORE = "vu-core"
HEAVY = ("torch", "diffusers", "transformers", "datasets")

Status = Literal["found", "ok", "warning", "broken", "off"]
Stage = Literal["scan", "import", "hooks", "specs"]
Observer = Literal["vu_run_started", "vu_run_finished", "vu_run_failed", "vu_bench_finished", "vu_measurement_finished"]


@dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """What is known about one installed plugin.

    Attributes:
        name: Normalised name of its distribution: ``"vu-uce"``.
        version: Version of the distribution.
        entry_point: What its entry point names: ``"vu_uce.plugin"``.
        location: The folder it is installed in, or its source tree when that is installed in place.
        status: ``"found"`` (scanned only), ``"ok"``, ``"warning"`` (usable), ``"broken"`` or ``"off"``.
        stage: Where the problem was met; empty when there is none.
        problem: What is wrong, in one line.
        detail: Traceback of the problem, when an exception caused it.
        specs: What it provides; empty unless the status is ``"ok"`` or ``"warning"``.
    """

    name: str
    version: str
    entry_point: str
    location: str
    status: Status = "found"
    stage: Stage | Literal[""] = ""
    problem: str = ""
    detail: str = ""
    specs: tuple[Spec, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unmet:
    """A requirement of a distribution that this environment does not meet.

    Attributes:
        requirement: As the distribution states it: ``"diffusers>=0.31"``.
        installed: The version that is installed; None when there is none.
    """

    requirement: str
    installed: str | None

    def __str__(self) -> str:
        found = "which is not installed" if self.installed is None else f"but {self.installed} is installed"
        return f"needs {self.requirement}, {found}"


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """Every installed plugin, described.

    Attributes:
        records: One a plugin, sorted by name.
    """

    records: tuple[PluginRecord, ...]
    _managers: Mapping[str, pluggy.PluginManager] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> PluginRecord:
        """Return what is known about one installed plugin.

        Raises:
            UnknownNameError: It is not installed.
        """
        for record in self.records:
            if record.name == canonicalize_name(name):
                return record
        names = [record.name for record in self.records]
        hint = f"{did_you_mean(name, names)} Installed: {', '.join(names) or 'none'}.".lstrip()
        raise UnknownNameError(f"no plugin '{name}' is installed", hint=hint)

    def notify(self, hook: Observer, **arguments: object) -> list[str]:
        """Call an observer hook, one plugin at a time, in the order of their names; what they print is no result.

        Args:
            hook: Name of the hook.
            arguments: What it is told; a plugin's implementation may take fewer.

        Returns:
            One sentence for each plugin whose implementation raised; the others are called all the same.
        """
        warnings = []
        for name, manager in self._managers.items():
            caller = getattr(manager.hook, hook)
            try:
                with redirect_stdout(sys.stderr):
                    caller(**arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                warnings.append(f"plugin {name} failed in {hook}: {_one_line(error)}")
        return warnings


class _FaultError(Exception):
    """Something wrong with a plugin; the exception behind it, if any, is its cause."""

    def __init__(self, stage: Stage, problem: str) -> None:
        super().__init__(problem)
        self.stage = stage
        self.problem = problem


def discover() -> Plugins:
    """Return all installed plugins, described; those that `OFF_VARIABLE` names are not imported."""
    records = []
    managers = {}
    for found in scan():
        record, manager = describe(found) if found.status == "found" else (found, None)
        records.append(record)
        if manager is not None:
            managers[record.name] = manager
    return Plugins(records=tuple(records), _managers=managers)


def scan() -> tuple[PluginRecord, ...]:
    """Return what the metadata of installed distributions says about plugins; no plugin code runs.

    When a distribution is found more than once, the first on ``sys.path`` counts, as it does for imports.
    """
    off = switched_off()
    records: dict[str, PluginRecord] = {}
    for distribution in importlib_metadata.distributions():
        points = [point for point in _entry_points(distribution) if point.group == GROUP]
        if points:
            record = _scan_distribution(distribution, points)
            if record.name in off:
                record = replace(record, status="off", stage="scan", problem=f"switched off by {OFF_VARIABLE}")
            records.setdefault(record.name, record)
    return tuple(records[name] for name in sorted(records))


def switched_off() -> tuple[str, ...]:
    """Return the normalised names of the plugins that the environment variable `OFF_VARIABLE` blocks."""
    names = os.environ.get(OFF_VARIABLE, "").split(",")
    return tuple(canonicalize_name(name.strip()) for name in names if name.strip())


def describe(found: PluginRecord) -> tuple[PluginRecord, pluggy.PluginManager | None]:
    """Import a scanned plugin's light module and collect its specs.

    Whatever the plugin prints meanwhile goes to standard error.

    Returns:
        The record with its specs and the manager that calls its hooks; or, when anything is wrong, the
        record with stage, problem and traceback, and None.
    """
    before = frozenset(sys.modules)
    try:
        with redirect_stdout(sys.stderr):
            manager = _register(found.name, _import_entry_point(found.entry_point))
            specs = tuple(_collect(manager))
    except _FaultError as fault:
        detail = "".join(traceback.format_exception(fault.__cause__)) if fault.__cause__ else ""
        broken = replace(found, status="broken", stage=fault.stage, problem=fault.problem, detail=detail)
        return broken, None
    heavy = [name for name in HEAVY if name in sys.modules and name not in before]
    if heavy:
        problem = f"imports {', '.join(heavy)} when it is listed; only the targets of its specs should"
        return replace(found, status="warning", stage="import", problem=problem, specs=specs), manager
    return replace(found, status="ok", specs=specs), manager


def resolve(target: str, plugin: str) -> Any:
    """Return the object that ``target`` names, importing its module.

    Args:
        target: ``"module:attribute"``, as specs name it.
        plugin: Name of the plugin it belongs to.

    Raises:
        PluginError: The import fails, whatever the reason, or the module lacks the attribute.
    """
    path, _, attribute = target.partition(":")
    try:
        module = import_module(path)
    except (KeyboardInterrupt, VuError):
        raise
    except ImportError as error:
        message = f"'{target}' of plugin {plugin} cannot be imported: {_one_line(error)}"
        raise PluginError(message, hint=_install_hint(plugin, error)) from error
    except BaseException as error:
        message = f"plugin {plugin} fails when '{path}' is imported: {_one_line(error)}"
        raise PluginError(message, hint=f"See the traceback with: vu doctor {plugin} --imports") from error
    if not hasattr(module, attribute):
        raise PluginError(
            f"plugin {plugin} names '{target}', but '{path}' has no '{attribute}'",
            hint=f"Another version of it may help: pip install --upgrade {plugin}",
        )
    return getattr(module, attribute)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None; nothing is imported."""
    if canonicalize_name(distribution) == CORE:
        return __version__
    try:
        return importlib_metadata.version(distribution)
    except importlib_metadata.PackageNotFoundError:
        return None


def find_distribution(name: str) -> Distribution | None:
    """Return the installed distribution with the normalised ``name``; None when its metadata cannot be read."""
    for distribution in importlib_metadata.distributions():
        # What cannot be read is the business of `scan`.
        with suppress(Exception):
            if canonicalize_name(distribution.name) == name:
                return distribution
    return None


def unmet_requirements(distribution: str) -> list[Unmet]:
    """Return the requirements of an installed distribution that this environment does not meet."""
    return _unmet(importlib_metadata.requires(distribution) or ())


def _unmet(requirements: Iterable[str]) -> list[Unmet]:
    found = []
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = installed_version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(Unmet(requirement=f"{requirement.name}{requirement.specifier}", installed=version))
    return found


def _entry_points(distribution: Distribution) -> Iterable[EntryPoint]:
    try:
        points: Iterable[EntryPoint] = distribution.entry_points
    except (OSError, ValueError):
        # An unreadable file of some other distribution: whether it is a plugin cannot be known.
        return ()
    return points


def _scan_distribution(distribution: Distribution, points: list[EntryPoint]) -> PluginRecord:
    values = ", ".join(point.value for point in points)
    found = PluginRecord(name=points[0].name, version="", entry_point=values, location="")
    try:
        found = replace(found, location=_location(distribution))
        found = replace(found, name=canonicalize_name(distribution.name), version=distribution.version)
        core = [text for text in distribution.requires or () if canonicalize_name(Requirement(text).name) == CORE]
        unmet = _unmet(core)
    except Exception as error:
        problem = f"its metadata cannot be read: {_one_line(error)}"
        detail = "".join(traceback.format_exception(error))
        return replace(found, status="broken", stage="scan", problem=problem, detail=detail)
    if unmet:
        return replace(found, status="broken", stage="scan", problem=str(unmet[0]))
    if len(points) > 1:
        problem = f"has {len(points)} entry points in the group '{GROUP}', one is expected"
        return replace(found, status="broken", stage="scan", problem=problem)
    return found


def _location(distribution: Distribution) -> str:
    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    if direct.get("dir_info", {}).get("editable"):
        return unquote(urlsplit(direct["url"]).path)
    return str(distribution.locate_file(""))


def _import_entry_point(value: str) -> object:
    point = importlib_metadata.EntryPoint(name="", value=value, group=GROUP)
    try:
        module = point.module
    except (AttributeError, ValueError) as error:
        raise _FaultError("import", f"its entry point '{value}' is no module name") from error
    try:
        return point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = _one_line(error)
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            problem = f"its entry point names the module '{module}', which is not there"
        raise _FaultError("import", problem) from error


def _register(name: str, plugin: object) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
    except Exception as error:
        raise _FaultError("hooks", _one_line(error)) from error
    callers = manager.get_hookcallers(plugin) or []
    known = (*hookspecs.PROVIDERS, *hookspecs.OBSERVERS)
    for caller in callers:
        if not caller.has_spec() and not all(implementation.optionalhook for implementation in caller.get_hookimpls()):
            raise _FaultError("hooks", f"unknown hook '{caller.name}'. {did_you_mean(caller.name, known)}".rstrip())
    if not callers:
        raise _FaultError("hooks", "implements no hook of vu; are its functions marked with @hookimpl?")
    return manager


def _collect(manager: pluggy.PluginManager) -> Iterator[Spec]:
    seen = set()
    for kind, spec_type in KINDS.items():
        hook = f"vu_{kind}s"
        for spec in _yielded(manager, hook):
            _check(spec, spec_type, hook)
            if (kind, spec.name) in seen:
                raise _FaultError("specs", f"{hook} yields the name '{spec.name}' twice")
            seen.add((kind, spec.name))
            yield spec


def _yielded(manager: pluggy.PluginManager, hook: str) -> list[Any]:
    caller = getattr(manager.hook, hook)
    try:
        results = caller()
        specs = [spec for result in results for spec in result]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _FaultError("hooks", f"{hook} raised {_one_line(error)}") from error
    if caller.get_hookimpls() and not results:  # pluggy leaves None out.
        raise _FaultError("hooks", f"{hook} returns nothing; it yields its specs")
    return specs


def _check(spec: Any, spec_type: type[Spec], hook: str) -> None:
    if not isinstance(spec, spec_type):
        raise _FaultError("specs", f"{hook} yields {type(spec).__name__}, {spec_type.__name__} is expected")
    if isinstance(spec.api, int) and spec.api > API_VERSION:
        needed = f"{spec_type.kind} '{spec.name}' needs API {spec.api}, this vu-core has {API_VERSION}"
        raise _FaultError("specs", f"{needed}; install a newer vu-core")
    try:
        problems = spec.problems()
    except Exception as error:
        raise _FaultError("specs", f"{spec_type.kind} {spec.name!r} cannot be checked: {_one_line(error)}") from error
    if problems:
        raise _FaultError("specs", f"{spec_type.kind} {spec.name!r}: {'; '.join(problems)}")


def _install_hint(plugin: str, error: ImportError) -> str:
    try:
        wanted = [f"'{unmet.requirement}'" for unmet in unmet_requirements(plugin)]
    except importlib_metadata.PackageNotFoundError:
        wanted = []
    if wanted:
        return f"Install what it needs: pip install {' '.join(wanted)}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Perhaps: pip install {error.name.partition('.')[0]}"
    return f"Perhaps: pip install --upgrade {plugin}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
