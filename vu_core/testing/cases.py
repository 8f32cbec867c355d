"""What the kit checks: a plugin and its components, each with the checks that apply to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from unittest import SkipTest

from vu_core.discovery import PluginRecord, Plugins, discover, find_distribution
from vu_core.errors import DataError, VuError
from vu_core.registry import Registry

if TYPE_CHECKING:
    from importlib_metadata import Distribution

    from vu_core.registry import Entry

Subject = Literal[
    "plugin", "component", "unlearner", "metric", "dataset", "model", "scorer", "protocol", "tracker", "command"
]

PLUGIN: Subject = "plugin"
COMPONENT: Subject = "component"


class CheckError(AssertionError):
    """A plugin does not keep the contract: ``problem`` says what is wrong, ``fix`` how to mend it.

    Args:
        problem: What was found and what is expected.
        fix: What the plugin's author should do.

    Example:
        >>> str(CheckError("it has no summary", "Set project.description in pyproject.toml."))
        'it has no summary. Set project.description in pyproject.toml.'
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem.rstrip('.')}. {fix}")
        self.problem = problem
        self.fix = fix


class CheckSkipped(SkipTest):
    """A check could not be made, for want of files that the user brings; pytest shows it as skipped."""


def expect(condition: bool, problem: str, fix: str) -> None:
    """Raise `CheckError` unless ``condition`` holds."""
    if not condition:
        raise CheckError(problem, fix)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An installed plugin, usable or not.

    Attributes:
        record: What discovery found.
        distribution: Its metadata and files; None when the metadata cannot be read.
        registry: The components of every installed plugin.
    """

    record: PluginRecord
    distribution: Distribution | None
    registry: Registry

    @property
    def usable(self) -> bool:
        """Whether its components can be used."""
        return self.record.status in ("ok", "warning")

    def components(self) -> list[Component]:
        """Return its components, sorted by kind and name."""
        entries = (entry for entry in self.registry.entries() if entry.plugin == self.record.name)
        return [Component.of(entry, self.registry) for entry in entries]


def _no_config() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Component:
    """A component with what its spec names, imported on use.

    Authors make one by hand to call a single check on an object of their own.

    Attributes:
        spec: Its description.
        load: Returns the spec's target.
        config_class: Returns the dataclass of its options, or None.
        registry: Where the components are looked up that it names.
        plugin: Name of its plugin.

    Example:
        >>> from vu_core.specs import DatasetSpec
        >>> from vu_core.testing import FakeDataset
        >>> from vu_core.testing.checks.datasets import check_split
        >>> spec = DatasetSpec(name="fake", summary="A few words.", target="a:B", kinds=("object", "style"))
        >>> check_split(Component(spec=spec, load=lambda: FakeDataset))
    """

    spec: Any
    load: Callable[[], Any]
    config_class: Callable[[], type | None] = _no_config
    registry: Registry = field(default_factory=lambda: Registry(Plugins(records=())))
    plugin: str = ""

    @classmethod
    def of(cls, entry: Entry[Any], registry: Registry) -> Component:
        """Return the component of a registry's entry."""
        return cls(
            spec=entry.spec,
            load=entry.load,
            config_class=entry.config_class,
            registry=registry,
            plugin=entry.plugin,
        )

    @property
    def label(self) -> str:
        """Kind and name: ``"unlearner/uce"``."""
        return f"{self.spec.kind}/{self.spec.name}"


def _always(subject: Any) -> bool:
    return True


@dataclass(frozen=True)
class Check:
    """A named law that a plugin or one of its components keeps.

    Attributes:
        function: Called with a `Plugin` or a `Component`; raises `CheckError`.
        subject: What it is called with: the plugin, components of every kind, or those of one kind.
        when: Whether it applies; decided without importing anything heavy.
    """

    function: Callable[[Any], None]
    subject: Subject
    when: Callable[[Any], bool] = _always

    @property
    def name(self) -> str:
        """The function's name without ``check_``."""
        return self.function.__name__.removeprefix("check_")

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").partition("\n")[0]

    def fits(self, component: Component) -> bool:
        """Return whether it is for this component."""
        return self.subject in (COMPONENT, component.spec.kind) and self.when(component)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One check of one plugin or component; calling it runs it.

    Attributes:
        check: The law.
        plugin: Whose.
        component: Of which component; None when the plugin as a whole is checked.
    """

    check: Check
    plugin: Plugin
    component: Component | None = None

    @property
    def key(self) -> str:
        """Unique within the plugin: ``"light_import"``, ``"unlearner/uce-deterministic"``."""
        return f"{self.component.label}-{self.check.name}" if self.component else self.check.name

    @property
    def id(self) -> str:
        """Unique: ``"vu-uce-light_import"``, ``"vu-uce-unlearner/uce-deterministic"``."""
        return f"{self.plugin.record.name}-{self.key}"

    def __call__(self) -> None:
        """Run the check.

        Raises:
            CheckError: The plugin breaks the law, or its code raises where the law forbids it.
            CheckSkipped: It needs files that are not on this machine.
        """
        try:
            self.check.function(self.component or self.plugin)
        except CheckError:
            raise
        except DataError as error:
            subject = self.component.label if self.component else self.plugin.record.name
            raise CheckSkipped(f"{subject} cannot be checked: {error}") from error
        except (Exception, SystemExit) as error:
            message = error.message if isinstance(error, VuError) else " ".join(str(error).split())
            traceback = f"See the traceback: pytest --pyargs vu_core.testing --vu-plugin {self.plugin.record.name}"
            fix = getattr(error, "hint", "") or traceback
            raise CheckError(f"it raises {type(error).__name__}: {message}", fix) from error


def load_plugin(name: str) -> Plugin:
    """Return the installed plugin ``name``, also when it is broken or off.

    Raises:
        UnknownNameError: It is not installed.
    """
    plugins = discover()
    record = plugins.get(name)
    return Plugin(record=record, distribution=find_distribution(record.name), registry=Registry(plugins))


def cases_of(plugin: Plugin) -> Iterator[Case]:
    """Yield every check that applies to ``plugin``; the components' only when it can be loaded."""
    from vu_core.testing.checks import CHECKS

    for check in CHECKS:
        if check.subject == PLUGIN and check.when(plugin):
            yield Case(check=check, plugin=plugin)
    for component in plugin.components():
        for check in CHECKS:
            if check.fits(component):
                yield Case(check=check, plugin=plugin, component=component)
