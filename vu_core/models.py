"""From what a user calls a model (a name, a folder, a hub id, an object, nothing) to a loaded one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.discovery import resolve
from vu_core.errors import ModelError, UnknownNameError, VuError
from vu_core.interfaces import CAPABILITIES
from vu_core.registry import may_provide_it
from vu_core.specs import ModelSpec, UnlearnerSpec

if TYPE_CHECKING:
    from vu_core.interfaces import Model
    from vu_core.registry import Entry, Registry

DEFAULT_FAMILY = "text-to-image"

_EMBEDDED_IN = {"text-to-image": "vu-emoji", "classifier": "vu-digits"}
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_PLAN = "vu_plan"


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """Which model a run uses, decided before anything loads.

    Attributes:
        name: What the user called it, or the embedded model's name.
        source: Folder or hub id that the loader is given; empty for an object in memory.
        loader: The loader's entry in the registry.
        named: The entry of a named model; None for a folder, a hub id or an object.
    """

    name: str
    source: str
    loader: Entry[ModelSpec]
    named: Entry[ModelSpec] | None = None

    @property
    def spec(self) -> ModelSpec:
        """The spec that knows most about the model: the named model's, else the loader's."""
        return (self.named or self.loader).spec

    def check_capability(self, name: str) -> None:
        """Refuse what needs the capability ``name`` where this model does not offer it.

        Raises:
            ModelError: It does not.
        """
        if name not in self.spec.capabilities:
            raise ModelError(
                f"'{self.name}' does not offer {_capability(name)}: it is a {self.spec.family} model",
                hint="Choose another model with --model; 'vu list model' shows those installed.",
            )

    def check_offers(self, unlearner: UnlearnerSpec) -> None:
        """Refuse an unlearner that needs what this model does not offer.

        Raises:
            ModelError: A capability is missing, or the model is of another family.
        """
        offered = self.spec.capabilities
        missing = [need for need in unlearner.needs if need not in offered]
        wrong_family = unlearner.families and self.spec.family not in unlearner.families
        if not missing and not wrong_family:
            return
        lacks = f", which lacks {', '.join(_capability(need) for need in missing)}" if missing else ""
        families = " or ".join(unlearner.families) or "model of another kind"
        raise ModelError(
            f"{unlearner.name} needs a {families}, {self.name} is a {self.spec.family} model{lacks}",
            hint="Choose another model with --model; 'vu list model' shows those installed.",
        )


def plan_model(given: str, registry: Registry, families: Sequence[str] = ()) -> ModelPlan:
    """Return the model that ``given`` means: a name, a folder, a hub id, or nothing.

    Args:
        given: What the user calls it; empty for the embedded model.
        registry: The installed components.
        families: Of which family the embedded model is to be; empty for `DEFAULT_FAMILY`.

    Raises:
        ModelError: A folder does not exist or is in no format that a plugin reads.
        UnknownNameError: It is no folder, no hub id and no installed model's name.
    """
    if not given:
        return _named_plan(_embedded(registry, families or (DEFAULT_FAMILY,)), registry)
    path = Path(given).expanduser()
    if path.is_dir():
        return ModelPlan(name=given, source=str(path), loader=_loader_for(path, registry))
    names = {entry.spec.name for entry in registry.entries("model")}
    looks_like_path = given.startswith((".", "~", "/")) or len(path.parts) > 2 or path.exists()
    if given.rpartition(":")[2] not in names and looks_like_path:
        what = "is a file" if path.exists() else "does not exist"
        raise ModelError(f"the folder '{given}' {what}", hint="Give the folder of a saved pipeline.")
    if given.rpartition(":")[2] not in names and _HUB_ID.fullmatch(given):
        return ModelPlan(name=given, source=given, loader=_only_loader(registry))
    entry = registry.get("model", given)
    if not entry.spec.folder:
        raise ModelError(
            f"'{given}' is a loader, not a model", hint=f"Give --model a folder or a hub id that {given} can load."
        )
    return _named_plan(entry, registry)


def load(plan: ModelPlan, *, device: str, dtype: str, download: bool, revision: str) -> Model:
    """Return the model of ``plan``, which remembers it; its heavy parts load on first use.

    Raises:
        ModelError: Its folder is damaged or incomplete.
    """
    model: Model = plan.loader.load()(
        plan.source, device=device, dtype=dtype, download=download, revision=revision or None
    )
    if plan.named is not None:
        model.name = plan.name
    setattr(model, _PLAN, plan)
    return model


def adopt(found: object, registry: Registry) -> Model:
    """Return a model over an object that the user holds in memory, such as a pipeline; the object stays as it is.

    Raises:
        ModelError: No installed loader adopts objects of its class.
    """
    cls = type(found)
    names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
    loaders = [entry for entry in registry.entries("model") if entry.spec.adopts]
    for entry in loaders:
        if not names.isdisjoint(entry.spec.adopts):
            model: Model = resolve(entry.spec.adopter, entry.plugin)(found, name=cls.__name__)
            setattr(model, _PLAN, ModelPlan(name=cls.__name__, source="", loader=entry))
            return model
    known = ", ".join(f"{name} ({entry.spec.name})" for entry in loaders for name in entry.spec.adopts)
    hint = f"Give a name, a folder, a hub id, or an object of one of: {known or 'none, as no plugin takes objects'}."
    raise ModelError(
        f"no installed plugin makes a model of a {cls.__module__}.{cls.__qualname__}",
        hint=f"{hint} {may_provide_it(registry.plugins.records)}".rstrip(),
    )


def plan_of(model: Any) -> ModelPlan:
    """Return how ``model`` was chosen, as `load` and `adopt` noted it.

    Raises:
        ModelError: Neither of them made it.
    """
    plan = getattr(model, _PLAN, None)
    if not isinstance(plan, ModelPlan):
        raise ModelError(f"a {type(model).__name__} is not a loaded model", hint="Pass what vu.load_model returns.")
    return plan


def resource_path(resource: str) -> Path:
    """Return the path of ``"package:path"``, a file or folder that travels inside a package.

    Raises:
        VuError: The package is not installed or does not hold it.
    """
    package, _, inner = resource.partition(":")
    try:
        found = find_spec(package)
    except ModuleNotFoundError:
        found = None
    for root in (found.submodule_search_locations or ()) if found else ():
        path = Path(root) / inner
        if path.exists():
            return path
    raise VuError(f"'{inner}' is missing from the installed package '{package}'", hint="Install the package again.")


def _named_plan(entry: Entry[ModelSpec], registry: Registry) -> ModelPlan:
    folder = resource_path(entry.spec.folder)
    return ModelPlan(name=entry.spec.name, source=str(folder), loader=_loader_for(folder, registry), named=entry)


def _embedded(registry: Registry, families: Sequence[str]) -> Entry[ModelSpec]:
    entries = registry.entries("model")
    embedded = [entry for entry in entries if entry.spec.embedded and entry.spec.family in families]
    if len(embedded) == 1:
        return embedded[0]
    named = ", ".join(entry.spec.name for entry in entries if entry.spec.folder)
    brings = ", ".join(f"'pip install {_EMBEDDED_IN[family]}'" for family in families if family in _EMBEDDED_IN)
    raise ModelError(
        f"no model was named, and there is no single embedded {' or '.join(families)} model to use",
        hint=f"Name one with --model: a folder, a hub id{', or one of: ' + named if named else ''}."
        + (f" {brings} brings an embedded one." if brings else ""),
    )


def _loader_for(folder: Path, registry: Registry) -> Entry[ModelSpec]:
    loaders = _loaders(registry)
    fitting = [entry for entry in loaders if _is_marked(folder, entry.spec)]
    if fitting:
        return fitting[0]
    markers = ", ".join(f"{entry.spec.marker} ({entry.spec.name})" for entry in loaders)
    raise ModelError(
        f"'{folder}' is no model folder that an installed plugin reads",
        hint=f"Such a folder holds one of: {markers}.",
    )


def _is_marked(folder: Path, spec: ModelSpec) -> bool:
    """Return whether ``folder`` has the marker of a loader, and in it the text that tells it from others' files."""
    marker = folder / spec.marker
    if not marker.is_file() or not spec.marker_text:
        return marker.is_file()
    return spec.marker_text in marker.read_text(encoding="utf-8", errors="replace")


def _only_loader(registry: Registry) -> Entry[ModelSpec]:
    loaders = [entry for entry in _loaders(registry) if entry.spec.hub]
    if len(loaders) == 1:
        return loaders[0]
    if not loaders:
        raise ModelError("no installed plugin loads models by a hub id", hint="Download it and give its folder.")
    names = ", ".join(entry.spec.name for entry in loaders)
    raise ModelError(f"several plugins could load this hub id: {names}", hint="Download it and give its folder.")


def _loaders(registry: Registry) -> list[Entry[ModelSpec]]:
    loaders = [entry for entry in registry.entries("model") if entry.spec.target]
    if not loaders:
        raise UnknownNameError(
            "no installed plugin can load a model", hint="'pip install vu-diffusers' loads diffusers pipelines."
        )
    return loaders


def _capability(name: str) -> str:
    described = CAPABILITIES[name].__doc__ if name in CAPABILITIES else None
    return f"{name} ({described.splitlines()[0].rstrip('.').lower()})" if described else name
