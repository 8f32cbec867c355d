"""Make a vision model forget a concept, and prove what it forgot and what it kept.

This module is what users and plugin authors import. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vu_core.errors import (
    ComputeError,
    ConfigError,
    DataError,
    EditError,
    ModelError,
    PluginError,
    RequestError,
    RunError,
    UnknownNameError,
    VuError,
)
from vu_core.hookspecs import hookimpl
from vu_core.specs import (
    API_VERSION,
    CommandSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ProtocolSpec,
    ScorerSpec,
    TrackerSpec,
    UnlearnerSpec,
)

if TYPE_CHECKING:
    from vu_core.api import evaluate, export, load_model, sample, unlearn
    from vu_core.context import RunContext
    from vu_core.drawing import Pictures
    from vu_core.editfiles import read_edit, write_edit
    from vu_core.edits import Edit
    from vu_core.evaluated import Evaluation
    from vu_core.interfaces import Answers, Batch, Classes, Data, Detections, Encoding
    from vu_core.types import Concept, Findings, Interval, Measurement, Request, Result, Sample, SamplerSettings, Site

__version__ = "0.1.0"

_LAZY = {
    "Evaluation": "vu_core.evaluated",
    "evaluate": "vu_core.api",
    "export": "vu_core.api",
    "load_model": "vu_core.api",
    "sample": "vu_core.api",
    "unlearn": "vu_core.api",
    "RunContext": "vu_core.context",
    "Pictures": "vu_core.drawing",
    "Edit": "vu_core.edits",
    "read_edit": "vu_core.editfiles",
    "write_edit": "vu_core.editfiles",
    "Answers": "vu_core.interfaces",
    "Batch": "vu_core.interfaces",
    "Classes": "vu_core.interfaces",
    "Data": "vu_core.interfaces",
    "Detections": "vu_core.interfaces",
    "Encoding": "vu_core.interfaces",
    "Concept": "vu_core.types",
    "Findings": "vu_core.types",
    "Interval": "vu_core.types",
    "Measurement": "vu_core.types",
    "Request": "vu_core.types",
    "Result": "vu_core.types",
    "Sample": "vu_core.types",
    "SamplerSettings": "vu_core.types",
    "Site": "vu_core.types",
}

__all__ = [
    "API_VERSION",
    "Answers",
    "Batch",
    "Classes",
    "CommandSpec",
    "ComputeError",
    "Concept",
    "ConfigError",
    "Data",
    "DataError",
    "DatasetSpec",
    "Detections",
    "Edit",
    "EditError",
    "Encoding",
    "Evaluation",
    "Findings",
    "Interval",
    "Measurement",
    "MetricSpec",
    "ModelError",
    "ModelSpec",
    "Pictures",
    "PluginError",
    "ProtocolSpec",
    "Request",
    "RequestError",
    "Result",
    "RunContext",
    "RunError",
    "Sample",
    "SamplerSettings",
    "ScorerSpec",
    "Site",
    "TrackerSpec",
    "UnknownNameError",
    "UnlearnerSpec",
    "VuError",
    "evaluate",
    "export",
    "hookimpl",
    "load_model",
    "read_edit",
    "sample",
    "unlearn",
    "write_edit",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vu_core' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
