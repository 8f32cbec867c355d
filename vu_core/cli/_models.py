"""Loading a model for commands that need no unlearner."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vu_core.interfaces import Model


def load_named(given: str, *, device: str, dtype: str, download: bool, revision: str, needs: str) -> Model:
    """Return the model that ``given`` means: a name, a folder, a hub id, or nothing.

    Raises:
        ModelError: There is none, or it does not offer the capability ``needs``.
        ConfigError: The device is not there or the type is unknown.
    """
    from vu_core.errors import ConfigError, ModelError
    from vu_core.models import load, plan_model
    from vu_core.planning import resolve_device
    from vu_core.registry import Registry
    from vu_core.runspec import DTYPES

    if dtype not in DTYPES:
        raise ConfigError(f"dtype '{dtype}' is not known", hint=f"Pass one of {', '.join(DTYPES)}.")
    plan = plan_model(given, Registry.discover())
    if needs not in plan.spec.capabilities:
        raise ModelError(f"'{plan.name}' does not offer {needs}", hint="'vu info' shows what a model offers.")
    return load(plan, device=resolve_device(device), dtype=dtype, download=download, revision=revision)
