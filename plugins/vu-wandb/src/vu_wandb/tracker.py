"""Weights & Biases: one W&B run for a run of vu."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import wandb

from vu_core import Findings

PROJECT = "vu"

_STEP = "step"
_LOG = "log"


class Wandb:
    """Writes a run down in Weights & Biases: where to, and whether over the network, is what wandb itself is set to."""

    def start(self, folder: Path, facts: Mapping[str, str | int | float | bool]) -> None:
        """Begin a W&B run in the project ``WANDB_PROJECT``, or ``"vu"``; screen, code and machine stay out of it."""
        quiet = wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True, x_disable_stats=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            config=dict(facts),
            settings=quiet,
            reinit="create_new",
        )
        # A run that is continued repeats steps, which W&B's own counter would refuse.
        self._run.define_metric(f"{_LOG}/{_STEP}", hidden=True)
        self._run.define_metric(f"{_LOG}/*", step_metric=f"{_LOG}/{_STEP}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of a curve a value."""
        self._run.log({**{f"{_LOG}/{name}": value for name, value in values.items()}, f"{_LOG}/{_STEP}": step})

    def finish(self, findings: Findings) -> None:
        """Write numbers and pictures, keep the files as an artifact, and end the W&B run."""
        self._run.summary.update({**findings.numbers, "status": findings.status})
        if findings.pictures:
            self._run.log({title: wandb.Image(str(path)) for title, path in findings.pictures.items()})
        if findings.files:
            artifact = wandb.Artifact(f"run-{self._run.id}", type="vu-run")
            for path in findings.files:
                artifact.add_file(str(path))
            self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if findings.status == "finished" else 1)
