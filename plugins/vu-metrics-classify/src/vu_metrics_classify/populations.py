"""Many models that forgot the same beside many that never learned it, picture by picture: U-LiRA and KLoM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vu_core import Measurement, Sample
from vu_core.splits import TRAIN
from vu_core.types import FORGET, RETAIN
from vu_metrics_classify import features
from vu_metrics_classify.answered import SUCCESS, Answered, AnswerMetric, few
from vu_metrics_classify.config import FewConfig, KlomConfig

Floats = NDArray[np.float64]

MANY = 100
"""Models of each kind that KLoM needs."""
SOME = 16
"""Models of each kind that U-LiRA needs with one spread for all pictures."""
OWN = 32
"""Models of each kind from which every picture has a spread of its own."""

_LEAST = 3
_CLIPPED = 100.0
_BINS = 20
_EMPTY = 1e-5
_SPREAD = 1e-3
_NO_INTERVAL = "no interval: a percentile of pictures; the retrained models' own halves show the noise"


def klom(unlearned: Floats, retrained: Floats) -> Floats:
    """Return, for each picture, KL of the unlearned models' margins from the retrained models': in nats, (n,).

    Margins are clipped to [-100, 100] and counted in 20 equal bins over the range of both, the last one closed on the
    right, as released code leaves it open and loses the largest. Where unlearned models have some and retrained ones
    none, these count as 1e-5 (Georgiev et al. 2024).

    Args:
        unlearned: Margins, (models, n).
        retrained: Margins, (models, n).

    Example:
        >>> round(float(klom(np.array([[0.0], [0], [1], [1]]), np.array([[0.0], [1], [1], [1]]))[0]), 5)
        0.14384
    """
    sets = [one.clip(-_CLIPPED, _CLIPPED) for one in (unlearned, retrained)]
    both = np.concatenate(sets)
    low, width = both.min(axis=0), np.ptp(both, axis=0)
    p, q = (_shares(one, low, width) for one in sets)
    q = np.where((p > 0) & (q == 0), _EMPTY, q)
    q /= q.sum(axis=0)
    parts = np.where(p > 0, p * (np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(p > 0, q, 1.0))), 0.0)
    return np.asarray(parts.sum(axis=0).clip(min=0.0), dtype=np.float64)


def _shares(margins: Floats, low: Floats, width: Floats) -> Floats:
    """Return the share of models in each bin, (bins, n)."""
    places = np.floor((margins - low) / np.where(width > 0, width, 1.0) * _BINS).astype(np.int64).clip(0, _BINS - 1)
    counts = np.stack([(places == place).sum(axis=0) for place in range(_BINS)])
    return np.asarray(counts / len(margins), dtype=np.float64)


def unlearned_probability(asked: Floats, unlearned: Floats, retrained: Floats, *, pooled: bool) -> Floats:
    """Return how probable it is, for each picture, that a model learned and forgot it rather than never learned it.

    The margins of both kinds of models are taken for normal, with equal chances (Hayes et al. 2024).

    Args:
        asked: Margins of the model in question, (n,).
        unlearned: Margins of models that learned the pictures and forgot them, (models, n).
        retrained: Margins of models that never learned them, (models, n).
        pooled: Whether all pictures share one spread a kind.

    Example:
        >>> u, r = np.array([[2.0], [4.0]]), np.array([[0.0], [2.0]])
        >>> round(float(unlearned_probability(np.array([2.5]), u, r, pooled=False)[0]), 5)
        0.73106
    """
    logs = []
    for margins in (unlearned, retrained):
        variance = margins.var(axis=0)
        spread = np.maximum(np.sqrt(variance.mean() if pooled else variance), _SPREAD)
        logs.append(-(((asked - margins.mean(axis=0)) / spread) ** 2) / 2 - np.log(spread))
    return np.asarray(1 / (1 + np.exp(np.clip(logs[1] - logs[0], -700, 700))), dtype=np.float64)


def attack_accuracy(unlearned: Floats, retrained: Floats, *, pooled: bool) -> Floats:
    """Return the share of models that the attack tells right, for each picture: in [0, 1], (n,).

    Each model is judged by the others of its kind and all of the other kind; both kinds count the same.

    Args:
        unlearned: Margins, (models, n), at least 3 models.
        retrained: Margins, (models, n), at least 3 models.
        pooled: As in `unlearned_probability`.
    """
    right = [
        unlearned_probability(one, np.delete(unlearned, place, axis=0), retrained, pooled=pooled) > 1 / 2
        for place, one in enumerate(unlearned)
    ]
    wrong = [
        unlearned_probability(one, unlearned, np.delete(retrained, place, axis=0), pooled=pooled) > 1 / 2
        for place, one in enumerate(retrained)
    ]
    return np.asarray((np.mean(right, axis=0) + 1 - np.mean(wrong, axis=0)) / 2, dtype=np.float64)


class PopulationMetric(AnswerMetric):
    """A number of the margins of two kinds of models."""

    least = MANY
    config: FewConfig

    def lacking(self, part: Answered) -> tuple[str, bool]:
        """Return which kind of models has too few, and whether so few that nothing can be measured."""
        unlearned = 1 + part.alike
        retrained = len(part.beside) - part.alike
        kinds = {"unlearned models": (unlearned, self.least), "retrained models": (retrained, self.least)}
        missing = few(kinds)
        return missing, min(unlearned, retrained) < _LEAST or bool(missing and not self.config.allow_few)


class Klom(PopulationMetric):
    """KLoM: a percentile over pictures of the divergence of their margins."""

    config: KlomConfig

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return it on the pictures of the split that show a forgotten concept, and on the others."""
        chosen = {FORGET: self.forgotten(self.config.split), RETAIN: self.retained(self.config.split)}
        return [self._percentile(group, answered.where(one), one) for group, one in chosen.items()]

    def _percentile(self, group: str, part: Answered, chosen: Callable[[Sample], bool]) -> Measurement:
        missing, impossible = self.lacking(part)
        if impossible or not len(part):
            return self.number(group, None, len(part), chosen, note=missing or "there is no picture")
        value = float(np.percentile(klom(*_margins(part)), self.config.percentile))
        note = "; ".join(filter(None, (missing, _NO_INTERVAL)))
        return self.number(group, value, len(part), chosen, note=note)


class Ulira(PopulationMetric):
    """U-LiRA: percentage of models, averaged over D_f, of which it is told right whether they ever learned it."""

    least = SOME

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the percentage on D_f."""
        chosen = self.forgotten(TRAIN)
        part = answered.where(chosen)
        missing, impossible = self.lacking(part)
        if impossible or not len(part):
            return [self.number(FORGET, None, len(part), chosen, note=missing or "there is no picture")]
        unlearned, retrained = _margins(part)
        shares = attack_accuracy(unlearned, retrained, pooled=min(len(unlearned), len(retrained)) < OWN)
        return [self.mean(FORGET, part, SUCCESS * torch.from_numpy(shares), chosen, note=missing)]


def _margins(part: Answered) -> tuple[Floats, Floats]:
    """Return the margins of the unlearned models, the one in question among them, and of the retrained ones."""
    found = np.stack([features.margin(one.logits, one.labels).numpy() for one in (part, *part.beside)])
    return found[: 1 + part.alike], found[1 + part.alike :]
