"""Membership attacks that hold each picture against models that never learned it: LiRA and RMIA, both offline."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vu_core import ComputeError, Measurement
from vu_core.splits import TRAIN, VALIDATION
from vu_core.statistics import wilson
from vu_core.types import FORGET
from vu_metrics_classify import features
from vu_metrics_classify.answered import FEW, SUCCESS, Answered, AnswerMetric, few
from vu_metrics_classify.config import LiraConfig, RmiaConfig
from vu_metrics_classify.ranking import auc, auc_interval, balanced_accuracy, true_positive_rate

Floats = NDArray[np.float64]

POOLED = 16
"""Models that never learned a picture, which LiRA needs with one spread for all pictures."""
OWN = 64
"""Models from which every picture has a spread of its own."""
POPULATION = 1000
"""Pictures that RMIA needs to compare with, learned by no model."""

_FLOOR = 1e-30
_LEAST_MODELS = 2
_CHOSEN = "no interval: the threshold is the best for these pictures"


def lira_scores(margins: Floats, out: Floats, *, sides: Literal["one", "two"], pooled: bool) -> Floats:
    """Return how much each picture looks learned: higher for members (Carlini et al. 2022, offline).

    The margins of models that never learned it are taken for normal about their median, with their population standard
    deviation: of each picture, or ``pooled``, the root of the mean variance of all. Of one side, the score is the
    standardised margin, which orders pictures as 1 - P(Z > margin) does and never saturates; of two, minus the log
    density.

    Args:
        margins: Of the model in question, (n,).
        out: Of models that never learned the pictures, (models, n).
        sides: Which departures count.
        pooled: Whether all pictures share one spread.
    """
    variance = out.var(axis=0)
    spread = np.sqrt(variance.mean() if pooled else variance) + _FLOOR
    standard = (margins - np.median(out, axis=0)) / spread
    if sides == "one":
        return np.asarray(standard, dtype=np.float64)
    return np.asarray(standard**2 / 2 + np.log(spread) + np.log(2 * np.pi) / 2, dtype=np.float64)


def rmia_scores(asked: Floats, out: Floats, population: Floats, population_out: Floats, *, a: float) -> Floats:
    """Return the share of the population whose ratio each picture exceeds: in [0, 1] (Zarifzadeh et al. 2024, offline).

    A ratio is p_y of the model in question over ((1 + a) * mean of p_y over the other models + 1 - a) / 2.

    Args:
        asked: p_y of the model in question, (n,).
        out: p_y of models that never learned the pictures, (models, n).
        population: As ``asked``, of pictures that none has learned, (z,).
        population_out: As ``out``, of these, (models, z).
        a: Of the paper, in [0, 1].

    Raises:
        ComputeError: With a = 1, the other models give some picture no probability at all.
    """
    ratios = asked / (((1 + a) * out.mean(axis=0) + 1 - a) / 2)
    others = population / (((1 + a) * population_out.mean(axis=0) + 1 - a) / 2)
    if not (np.isfinite(ratios).all() and np.isfinite(others).all()):
        raise ComputeError("retrained models give a picture no probability at all", hint="Use a below 1.")
    return np.asarray(np.searchsorted(np.sort(others), ratios, side="left") / len(others), dtype=np.float64)


class CalibratedAttack(AnswerMetric):
    """How well an attack tells D_f from the test pictures of its classes, neither of which retrained models learned."""

    config: LiraConfig | RmiaConfig

    def lacking(self, answered: Answered) -> dict[str, tuple[int, int]]:
        """Return what else the attack needs, by name how many there are and how many are needed."""
        raise NotImplementedError

    def scores(self, forget: Answered, test: Answered, answered: Answered) -> tuple[Floats, Floats]:
        """Return how much each picture of both sets looks learned, given all that was ``answered``."""
        raise NotImplementedError

    def read(self, forget: Floats, test: Floats) -> tuple[float | None, dict[str, Any]]:
        """Return the number of two sets of scores, and its interval or a note that says why there is none."""
        area = auc(forget, test)
        return area, {"interval": auc_interval(area, len(forget), len(test))}

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the number in the group ``forget``."""
        chosen = self.forgotten(TRAIN)
        forget, test = self.forget_and_test(answered)
        counts = {"pictures to forget": (len(forget), FEW), "test pictures of their classes": (len(test), FEW)}
        needed = {**counts, **self.lacking(answered)}
        lacking = few(needed)
        impossible = min(count for count, _ in needed.values()) < _LEAST_MODELS
        if impossible or (lacking and not self.config.allow_few):
            return [self.number(FORGET, None, len(forget), chosen, note=lacking)]
        value, further = self.read(*self.scores(forget, test, answered))
        note = "; ".join(filter(None, (lacking, further.pop("note", ""))))
        return [self.number(FORGET, value, len(forget), chosen, note=note, **further)]


class Lira(CalibratedAttack):
    """Area under the curve of the likelihood-ratio attack."""

    config: LiraConfig

    def lacking(self, answered: Answered) -> dict[str, tuple[int, int]]:
        """Return how many retrained models there are."""
        return {"retrained models": (len(answered.beside), POOLED)}

    def scores(self, forget: Answered, test: Answered, answered: Answered) -> tuple[Floats, Floats]:
        """Return the scores; below `OWN` models one spread is pooled over both sets."""
        (own, out), (own_test, out_test) = _margins(forget), _margins(test)
        both = np.concatenate([own, own_test]), np.concatenate([out, out_test], axis=1)
        found = lira_scores(*both, sides=self.config.sides, pooled=len(out) < OWN)
        return found[: len(own)], found[len(own) :]


class Rmia(CalibratedAttack):
    """Area under the curve of the relative attack; the population are the validation pictures."""

    config: RmiaConfig

    def lacking(self, answered: Answered) -> dict[str, tuple[int, int]]:
        """Return how many retrained models and validation pictures there are."""
        population = sum(sample.split == VALIDATION for sample in answered.samples)
        return {
            "retrained models": (len(answered.beside), _LEAST_MODELS),
            "validation pictures": (population, POPULATION),
        }

    def scores(self, forget: Answered, test: Answered, answered: Answered) -> tuple[Floats, Floats]:
        """Return the scores."""
        population = _confidences(answered.where(lambda sample: sample.split == VALIDATION))
        asked = _confidences(forget), _confidences(test)
        first, second = (rmia_scores(*one, *population, a=self.config.a) for one in asked)
        return first, second


class _Balanced(CalibratedAttack):
    def read(self, forget: Floats, test: Floats) -> tuple[float | None, dict[str, Any]]:
        """Return the largest mean of the rates of right answers on both sets, in percent."""
        return SUCCESS * balanced_accuracy(forget, test), {"note": _CHOSEN}


class _TruePositives(CalibratedAttack):
    def read(self, forget: Floats, test: Floats) -> tuple[float | None, dict[str, Any]]:
        """Return the percentage of D_f above a threshold that so few test pictures reach."""
        fpr = self.config.fpr
        if len(test) * fpr < 1:
            return None, {"note": f"not resolvable: a rate of {fpr:g} needs {math.ceil(1 / fpr)} test pictures"}
        share = true_positive_rate(forget, test, fpr)
        interval = wilson(round(share * len(forget)), len(forget))
        low, high = SUCCESS * interval.low, SUCCESS * interval.high
        return SUCCESS * share, {
            "interval": replace(interval, low=low, high=high),
            "note": f"at a false-positive rate of {fpr:g}",
        }


class LiraBalanced(_Balanced, Lira):
    """Balanced accuracy of the likelihood-ratio attack at its best threshold."""


class LiraTpr(_TruePositives, Lira):
    """True-positive rate of the likelihood-ratio attack at a small false-positive rate."""


class RmiaBalanced(_Balanced, Rmia):
    """Balanced accuracy of the relative attack at its best threshold."""


class RmiaTpr(_TruePositives, Rmia):
    """True-positive rate of the relative attack at a small false-positive rate."""


def _margins(answered: Answered) -> tuple[Floats, Floats]:
    own, *out = (features.margin(one.logits, one.labels).numpy() for one in (answered, *answered.beside))
    return own, np.stack(out)


def _confidences(answered: Answered) -> tuple[Floats, Floats]:
    own, *out = (features.confidence(one.logits, one.labels).numpy() for one in (answered, *answered.beside))
    return own, np.stack(out)
