"""The conformance kit and what plugin authors test against: fake models, data and distributions.

Three ways to run the kit: ``vu check PLUGIN``; ``pytest --pyargs vu_core.testing --vu-plugin PLUGIN``; and
`parametrize` in a suite of one's own. Each check is a function of `vu_core.testing.checks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vu_core.testing.cases import Case, Check, CheckError, Component, Plugin, cases_of, load_plugin
    from vu_core.testing.distributions import isolated_plugins, make_dist
    from vu_core.testing.fake_data import FakeDataset
    from vu_core.testing.fake_models import FakeClassifier, FakeTextToImage
    from vu_core.testing.pipelines import build_pipeline, write_pipeline
    from vu_core.testing.pytest_support import parametrize

_LAZY = {
    "Case": "vu_core.testing.cases",
    "Check": "vu_core.testing.cases",
    "CheckError": "vu_core.testing.cases",
    "Component": "vu_core.testing.cases",
    "FakeClassifier": "vu_core.testing.fake_models",
    "FakeDataset": "vu_core.testing.fake_data",
    "FakeTextToImage": "vu_core.testing.fake_models",
    "Plugin": "vu_core.testing.cases",
    "build_pipeline": "vu_core.testing.pipelines",
    "cases_of": "vu_core.testing.cases",
    "isolated_plugins": "vu_core.testing.distributions",
    "load_plugin": "vu_core.testing.cases",
    "make_dist": "vu_core.testing.distributions",
    "parametrize": "vu_core.testing.pytest_support",
    "write_pipeline": "vu_core.testing.pipelines",
}

__all__ = [
    "Case",
    "Check",
    "CheckError",
    "Component",
    "FakeClassifier",
    "FakeDataset",
    "FakeTextToImage",
    "Plugin",
    "build_pipeline",
    "cases_of",
    "isolated_plugins",
    "load_plugin",
    "make_dist",
    "parametrize",
    "write_pipeline",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vu_core.testing' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
