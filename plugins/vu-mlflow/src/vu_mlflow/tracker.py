"""MLflow: one MLflow run for a run of vu, in the store that MLflow itself is set to."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from vu_core import Findings

EXPERIMENT = "vu"

# What MLflow accepts in the name of a parameter or number.
_UNNAMEABLE = re.compile(r"[^\w\-. :/]")
_LONGEST_PARAM = 6000
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflow:
    """Writes a run down in MLflow, through a client of its own: no active run is begun, nothing global is set."""

    def start(self, folder: Path, facts: Mapping[str, str | int | float | bool]) -> None:
        """Begin an MLflow run in the experiment ``MLFLOW_EXPERIMENT_NAME``, or ``"vu"``."""
        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(name)
        self._run = self._client.create_run(experiment_id, run_name=folder.name).info.run_id
        params = [Param(nameable(key), str(value)[:_LONGEST_PARAM]) for key, value in facts.items()]
        self._client.log_batch(self._run, params=params)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of a curve a value."""
        self._write({f"log/{name}": value for name, value in values.items()}, step)

    def finish(self, findings: Findings) -> None:
        """Write numbers, keep pictures and files as artifacts, and end the MLflow run."""
        self._write(findings.numbers)
        for title, path in findings.pictures.items():
            self._client.log_artifact(self._run, str(path), f"pictures/{Path(title).parent}".removesuffix("/."))
        for path in findings.files:
            self._client.log_artifact(self._run, str(path), "run")
        self._client.log_batch(self._run, tags=[RunTag("vu.status", findings.status)])
        self._client.set_terminated(self._run, _STATUS[findings.status])

    def _write(self, values: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(nameable(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)


def nameable(name: str) -> str:
    """Return ``name`` with ``_`` for what MLflow accepts in no name.

    Example:
        >>> nameable("clip_score[judge,100*cos]/forget/after")
        'clip_score_judge_100_cos_/forget/after'
    """
    return _UNNAMEABLE.sub("_", name)
