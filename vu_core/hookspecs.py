"""The hooks of vu: providers return specs, observers are told about runs, measurements and benches.

A plugin's light module defines functions of these names, marked with `hookimpl`. Arguments are
passed by name; an implementation may take fewer of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from vu_core.specs import (
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
    from vu_core.bench import BenchRecord
    from vu_core.records import Record

PROJECT = "vu"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vu_unlearners() -> Iterable[UnlearnerSpec]:
    """Yield the unlearners of this plugin. Called once, at discovery; must import nothing heavy.

    Returns:
        One `UnlearnerSpec` for each algorithm.

    Example:
        @hookimpl
        def vu_unlearners():
            yield UnlearnerSpec(name="noise", summary="Add noise.", target="vu_noise.unlearner:Noise")
    """
    return ()


@hookspec
def vu_metrics() -> Iterable[MetricSpec]:
    """Yield the metrics of this plugin. Called once, at discovery; must import nothing heavy.

    Returns:
        One `MetricSpec` for each metric.
    """
    return ()


@hookspec
def vu_datasets() -> Iterable[DatasetSpec]:
    """Yield the datasets of this plugin. Called once, at discovery; must import nothing heavy.

    Returns:
        One `DatasetSpec` for each dataset.
    """
    return ()


@hookspec
def vu_models() -> Iterable[ModelSpec]:
    """Yield the models and model loaders of this plugin. Called once, at discovery.

    Returns:
        One `ModelSpec` for each named model and each loader.
    """
    return ()


@hookspec
def vu_scorers() -> Iterable[ScorerSpec]:
    """Yield the scorers of this plugin. Called once, at discovery; must import nothing heavy.

    Returns:
        One `ScorerSpec` for each judge.
    """
    return ()


@hookspec
def vu_protocols() -> Iterable[ProtocolSpec]:
    """Yield the protocols of this plugin. Called once, at discovery; the files are read later.

    Returns:
        One `ProtocolSpec` for each protocol file.
    """
    return ()


@hookspec
def vu_trackers() -> Iterable[TrackerSpec]:
    """Yield the trackers of this plugin. Called once, at discovery; must import nothing heavy.

    Returns:
        One `TrackerSpec` for each tool in which runs can be written down.
    """
    return ()


@hookspec
def vu_commands() -> Iterable[CommandSpec]:
    """Yield the commands that this plugin adds to ``vu``. Called once, at discovery; must import nothing heavy.

    Returns:
        One `CommandSpec` for each command; one of the core's own names is never reached.
    """
    return ()


@hookspec
def vu_run_started(record: Record) -> None:
    """Observe that a run has begun; its folder and first record are on disk.

    An exception becomes a warning in the record and never stops the run.

    Args:
        record: The run's record so far; treat it as read-only.
    """


@hookspec
def vu_run_finished(record: Record) -> None:
    """Observe that a run has finished; ``record.json`` is on disk and complete.

    Args:
        record: The run's complete record; treat it as read-only.
    """


@hookspec
def vu_run_failed(record: Record, error: BaseException) -> None:
    """Observe that a run has failed or was interrupted; ``record.json`` says where.

    Args:
        record: The run's record up to the failure; treat it as read-only.
        error: What stopped it.
    """


@hookspec
def vu_bench_finished(record: BenchRecord) -> None:
    """Observe that a bench has ended, every run tried; ``bench.json`` is on disk. Its runs were observed one by one.

    An exception becomes a warning in ``bench.json`` and stops nothing.

    Args:
        record: What the bench came to; read-only.
    """


@hookspec
def vu_measurement_finished(record: Record) -> None:
    """Observe that a measurement into a folder that stays has finished; ``record.json`` is on disk and complete.

    That is ``vu eval --out`` and ``vu_core.evaluate(out=)``. An exception becomes a warning in the record.

    Args:
        record: The measurement's complete record, without an unlearner; treat it as read-only.
    """


PROVIDERS = (
    "vu_unlearners",
    "vu_metrics",
    "vu_datasets",
    "vu_models",
    "vu_scorers",
    "vu_protocols",
    "vu_trackers",
    "vu_commands",
)
OBSERVERS = (
    "vu_run_started",
    "vu_run_finished",
    "vu_run_failed",
    "vu_bench_finished",
    "vu_measurement_finished",
)
