"""From a dataset's entry and its options to the dataset; and the one that stands in where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from vu_core.config import validate
from vu_core.errors import ConfigError
from vu_core.interfaces import Data, Dataset
from vu_core.types import Concept, Request

if TYPE_CHECKING:
    from vu_core.models import ModelPlan
    from vu_core.registry import Entry, Registry
    from vu_core.specs import DatasetSpec


class FreeText:
    """A dataset of nothing in particular: any text is a concept.

    Example:
        >>> FreeText().prompts(Concept(name="Van Gogh", kind="style"))
        ['Van Gogh']
    """

    def concepts(self) -> list[Concept]:
        """Return none."""
        return []

    def neighbours(self, concept: Concept) -> list[Concept]:
        """Return none."""
        return []

    def prompts(self, concept: Concept) -> list[str]:
        """Return the concept's text."""
        return [concept.text]

    def split(self, request: Request) -> Data:
        """Return the request's concepts."""
        return Data(forget=request.forget, retain=request.retain)


def find_dataset(name: str, model: ModelPlan, registry: Registry) -> Entry[DatasetSpec] | None:
    """Return the entry of the dataset called ``name``, of the model's own when that is empty, or None.

    Raises:
        UnknownNameError: No usable plugin provides it.
    """
    name = name or model.spec.dataset
    return registry.get("dataset", name) if name else None


@overload
def open_dataset(entry: Entry[DatasetSpec], options: Mapping[str, Any] = ..., *, download: bool = ...) -> Dataset: ...
@overload
def open_dataset(
    entry: Entry[DatasetSpec] | None, options: Mapping[str, Any] = ..., *, download: bool = ...
) -> Dataset | None: ...
def open_dataset(
    entry: Entry[DatasetSpec] | None, options: Mapping[str, Any] = MappingProxyType({}), *, download: bool = False
) -> Dataset | None:
    """Return the dataset of ``entry``, or None where there is none.

    Args:
        entry: Its entry.
        options: The user's options for it, by name.
        download: Whether its files may be fetched over the network.

    Raises:
        ConfigError: An option is unknown, ill-typed or out of range, or there is nothing that has options.
        PluginError: Its module cannot be imported.
    """
    config = _config(entry, options)
    if entry is None:
        return None
    opened: Dataset = entry.load()() if config is None else entry.load()(config=config, download=download)
    return opened


def dataset_facts(entry: Entry[DatasetSpec] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return, as JSON values, which pictures a dataset consists of: its name and options, defaults filled in.

    Options whose field says ``"place"`` in its metadata are left out: where the files are does not change them.

    Raises:
        ConfigError: See `open_dataset`.
    """
    config = _config(entry, options)
    named = [field.name for field in fields(config) if not field.metadata.get("place")] if config is not None else []
    values: dict[str, Any] = json.loads(json.dumps({name: getattr(config, name) for name in named}))
    return {"dataset": entry.spec.name if entry else "", "options": values}


def _config(entry: Entry[DatasetSpec] | None, options: Mapping[str, Any]) -> Any:
    """Return a dataset's validated options; None where it has none."""
    config_class = entry.config_class() if entry else None
    if options and config_class is None:
        named = f"dataset '{entry.spec.name}' has no options" if entry else "no dataset was named"
        raise ConfigError(f"{named}, but {', '.join(options)} was given", hint="Leave out --data.")
    if entry is None or config_class is None:
        return None
    return validate(config_class, options, where=f"dataset '{entry.spec.name}'")
