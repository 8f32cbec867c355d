"""Look up components by name among the specs of all usable plugins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, overload

from vu_core.discovery import PluginRecord, Plugins, discover, resolve
from vu_core.errors import PluginError, UnknownNameError, did_you_mean
from vu_core.specs import (
    KINDS,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ProtocolSpec,
    ScorerSpec,
    Spec,
    TrackerSpec,
    UnlearnerSpec,
)

# What the project's own distributions provide, to say what to install.
FIRST_PARTY: dict[str, tuple[str, ...]] = {
    "vu-uce": ("unlearner",),
    "vu-fade": ("unlearner",),
    "vu-lora": ("unlearner",),
    "vu-classify": ("unlearner", "command"),
    "vu-metrics-image": ("metric", "scorer"),
    "vu-metrics-classify": ("metric", "protocol"),
    "vu-emoji": ("dataset", "model", "scorer", "protocol"),
    "vu-digits": ("dataset", "model"),
    "vu-fashion": ("dataset", "model"),
    "vu-diffusers": ("model",),
    "vu-classifiers": ("model",),
    "vu-datasets": ("dataset", "scorer", "protocol"),
    "vu-tensorboard": ("tracker",),
    "vu-mlflow": ("tracker",),
    "vu-wandb": ("tracker",),
    "vu-hub": ("command",),
    "vu-report": ("command",),
    "vu-tune": ("command",),
}

_LISTED = 8  # As many components an error lists; of more it says where they are listed.

S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[S_co]):
    """A component and who provides it.

    Attributes:
        spec: Its description.
        plugin: Name of the plugin.
        version: Version of the plugin.
    """

    spec: S_co
    plugin: str
    version: str

    def load(self) -> Any:
        """Return the object that does the work, importing its module.

        Raises:
            PluginError: The import fails.
        """
        return resolve(self.spec.target, self.plugin)

    def config_class(self) -> type | None:
        """Return the dataclass of its options, or None when it has no options.

        Raises:
            PluginError: The import fails, or what is named is no class.
        """
        target = getattr(self.spec, "config", "")
        if not target:
            return None
        found = resolve(target, self.plugin)
        if not isinstance(found, type):
            raise PluginError(f"plugin {self.plugin} names '{target}' as a config class, but it is no class")
        return found

    def __str__(self) -> str:
        return f"{self.spec.name} ({self.plugin} {self.version})"


class Registry:
    """The components of all usable plugins, by kind and name.

    Args:
        plugins: What discovery found.

    Example:
        >>> registry = Registry(Plugins(records=()))
        >>> registry.entries("metric")
        []
    """

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        order = list(KINDS)
        self._entries = sorted(
            (
                Entry(spec=spec, plugin=record.name, version=record.version)
                for record in plugins.records
                for spec in record.specs
            ),
            key=lambda entry: (order.index(entry.spec.kind), entry.spec.name, entry.plugin),
        )

    @classmethod
    def discover(cls) -> Registry:
        """Return the registry of the plugins that are installed."""
        return cls(discover())

    def entries(self, kind: str | None = None) -> list[Entry[Any]]:
        """Return the components of one kind, or of all, sorted by kind, name and plugin."""
        return [entry for entry in self._entries if kind in (None, entry.spec.kind)]

    def find(self, kind: str, name: str) -> list[Entry[Any]]:
        """Return every component of a kind that ``name`` may mean, a bare name or ``"plugin:name"``."""
        plugin, colon, bare = name.rpartition(":")
        return [
            entry
            for entry in self.entries(kind)
            if entry.spec.name == bare and (not colon or entry.plugin == plugin.lower().replace("_", "-"))
        ]

    @overload
    def get(self, kind: Literal["unlearner"], name: str) -> Entry[UnlearnerSpec]: ...
    @overload
    def get(self, kind: Literal["metric"], name: str) -> Entry[MetricSpec]: ...
    @overload
    def get(self, kind: Literal["dataset"], name: str) -> Entry[DatasetSpec]: ...
    @overload
    def get(self, kind: Literal["model"], name: str) -> Entry[ModelSpec]: ...
    @overload
    def get(self, kind: Literal["scorer"], name: str) -> Entry[ScorerSpec]: ...
    @overload
    def get(self, kind: Literal["protocol"], name: str) -> Entry[ProtocolSpec]: ...
    @overload
    def get(self, kind: Literal["tracker"], name: str) -> Entry[TrackerSpec]: ...
    @overload
    def get(self, kind: str, name: str) -> Entry[Any]: ...
    def get(self, kind: str, name: str) -> Entry[Any]:
        """Return the one component of this kind and name.

        Args:
            kind: A key of `vu_core.specs.KINDS`.
            name: Its name, or ``"plugin:name"`` when several plugins provide it.

        Raises:
            UnknownNameError: No usable plugin provides it, or several do.
        """
        found = self.find(kind, name)
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            providers = ", ".join(f"{entry.plugin} {entry.version}" for entry in found)
            choices = " or ".join(f"'{entry.plugin}:{entry.spec.name}'" for entry in found)
            raise UnknownNameError(f"{kind} '{name}' is provided by {providers}", hint=f"Say which: {choices}.")
        return found[0]

    def _unknown(self, kind: str, name: str) -> UnknownNameError:
        entries = self.entries(kind)
        names = [entry.spec.name for entry in entries]
        if ":" in name:
            names = [f"{entry.plugin}:{entry.spec.name}" for entry in entries]
        hints = [did_you_mean(name, names)]
        hints += [f"'{name}' is a {other}." for other in KINDS if other != kind and self.find(other, name)]
        hints.append(_installed(kind, entries) if entries else what_to_install(kind))
        if entries and not hints[0]:
            hints.append(self._where_more_are(kind))
        hints.append(may_provide_it(self.plugins.records))
        return UnknownNameError(f"unknown {kind} '{name}'", hint=" ".join(hint for hint in hints if hint))

    def _where_more_are(self, kind: str) -> str:
        """Return a sentence about the project's distributions of this kind that are not installed, or nothing."""
        installed = {record.name for record in self.plugins.records}
        missing = [name for name in _providers(kind) if name not in installed]
        return f"More of them: pip install {' '.join(missing)}." if missing else ""


def _installed(kind: str, entries: Sequence[Entry[Any]]) -> str:
    if len(entries) > _LISTED:
        return f"{len(entries)} are installed; see 'vu list {kind}'."
    return f"Installed: {', '.join(map(str, entries))}."


def what_to_install(kind: str) -> str:
    """Return a sentence that says which distribution provides components of ``kind``."""
    return f"No {kind} is installed; install one: pip install {' '.join(_providers(kind))}"


def _providers(kind: str) -> list[str]:
    return [name for name, kinds in FIRST_PARTY.items() if kind in kinds]


def may_provide_it(records: Iterable[PluginRecord]) -> str:
    """Return a sentence about the plugins that are broken or off, or an empty string."""
    broken = [record for record in records if record.status == "broken"]
    off = [record.name for record in records if record.status == "off"]
    sentences = []
    if broken:
        names = ", ".join(f"{record.name} {record.version} ({record.stage}: {record.problem})" for record in broken)
        count = "1 plugin" if len(broken) == 1 else f"{len(broken)} plugins"
        doctor = f"vu doctor {broken[0].name}" if len(broken) == 1 else "vu doctor"
        sentences.append(f"{count} could not be loaded and may provide it: {names}; run '{doctor}'.")
    if off:
        sentences.append(f"Switched off by VU_PLUGINS_OFF: {', '.join(off)}.")
    return " ".join(sentences)


def parse_kind(text: str) -> str:
    """Return the kind that a user means by ``"metric"`` or ``"metrics"``.

    Raises:
        UnknownNameError: There is no such kind.
    """
    kind = text.lower().removesuffix("s")
    if kind not in KINDS:
        hint = f"{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}.".lstrip()
        raise UnknownNameError(f"unknown kind '{text}'", hint=hint)
    return kind
