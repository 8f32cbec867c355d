"""Settings that Optuna chooses, one after another, kept in its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from vu_core import RunError
from vu_tune.objectives import Objective
from vu_tune.space import Dimension

JOURNAL = "study.journal"

# What the study remembers of a setting that has no value: why.
_WHY = "why"
# Settings that are tried before one may be given up for doing worse than the middle of the others.
_BEFORE_PRUNING = 4


class Trials:
    """The settings of one search, those of the journal first.

    A search that is continued goes on as if it had never stopped: a new study asks for the journal's settings again
    and is told what they came to, so that its sampler draws next what it would have drawn.

    Args:
        folder: Holds the journal, which only has settings that came to an end.
        space: What is searched.
        objectives: What is sought.
        seed: Of the search.

    Raises:
        RunError: The journal's settings are not those that the installed Optuna draws.
    """

    def __init__(self, folder: Path, space: Sequence[Dimension], objectives: Sequence[Objective], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        directions = [objective.goal for objective in objectives]
        self._study = optuna.create_study(
            directions=directions,
            sampler=optuna.samplers.TPESampler(seed=_seed(seed)),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING),
        )
        self._journal = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name="tune",
            directions=directions,
            load_if_exists=True,
        )
        for known in self.ended:
            self._repeat(known, folder)

    @property
    def ended(self) -> list[FrozenTrial]:
        """The settings that came to an end, in their order: complete, given up, or without a value."""
        return self._journal.get_trials(deepcopy=False)

    @property
    def best(self) -> set[int]:
        """The numbers of the settings that no other one is better than in one objective and as good in the others."""
        complete = any(trial.state == TrialState.COMPLETE for trial in self.ended)
        return {trial.number for trial in self._journal.best_trials} if complete else set()

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Return the next setting, and its options."""
        trial = self._study.ask()
        return trial, {dimension.name: dimension.suggest(trial) for dimension in self._space}

    def complete(self, trial: Trial, values: Sequence[float]) -> None:
        """Keep a setting with the values of the objectives."""
        self._keep(trial, values, TrialState.COMPLETE)

    def give_up(self, trial: Trial) -> None:
        """Keep a setting that is not worth measuring further."""
        self._keep(trial, None, TrialState.PRUNED)

    def fail(self, trial: Trial, why: str) -> None:
        """Keep a setting that has no value."""
        trial.set_user_attr(_WHY, why)
        self._keep(trial, None, TrialState.FAIL)

    def _keep(self, trial: Trial, values: Sequence[float] | None, state: TrialState) -> None:
        self._journal.add_trial(self._study.tell(trial, values, state))

    def _repeat(self, known: FrozenTrial, folder: Path) -> None:
        trial, chosen = self.ask()
        if chosen != known.params:
            raise RunError(
                f"the settings in '{folder / JOURNAL}' are not those that Optuna {optuna.__version__} draws",
                hint="Continue with the version of Optuna that began it, or choose another folder with --out.",
            )
        for step, value in known.intermediate_values.items():
            trial.report(value, step)
        self._study.tell(trial, known.values if known.state == TrialState.COMPLETE else None, known.state)


def _seed(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/0".encode()).digest()[:4], "little")
