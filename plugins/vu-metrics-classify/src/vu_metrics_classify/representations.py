"""What a model's features still hold: likeness to retrained models' features, and what a linear classifier reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vu_core import Measurement, Sample
from vu_core.splits import TEST, TRAIN, VALIDATION
from vu_core.types import FORGET, RETAIN
from vu_metrics_classify.answered import FEW, SUCCESS, Answered, AnswerMetric, few
from vu_metrics_classify.config import FewConfig, ProbeConfig
from vu_metrics_classify.membership import subset

ENOUGH = 10
"""Pictures a feature from which the plain CKA is unbiased enough."""

_SMALLEST = 4
_ROUNDING = 1e-12
_PENALTIES = (0.01, 0.1, 1.0, 10.0)
_ITERATIONS = 1000


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float | None:
    """Return |Yc' Xc|^2 / (|Xc' Xc| |Yc' Yc|), Frobenius norms of centred features: in [0, 1] (Kornblith et al. 2019).

    Args:
        x: Features of one model, (n, d).
        y: Features of another, (n, e), of the same pictures.

    Returns:
        None where the features of a model do not vary.
    """
    return _ratio(lambda a, b: float((a.T @ b).square().sum()), x, y)


def debiased_cka(x: torch.Tensor, y: torch.Tensor) -> float | None:
    """Return CKA of the unbiased HSIC of Song et al. 2012: in [-1, 1], about 0 for unrelated features of any width.

    Args:
        x: Features of one model, (n, d), n at least 4.
        y: Features of another, (n, e), of the same pictures.

    Returns:
        None where the features of a model do not vary.
    """
    return _ratio(_hsic, x, y)


def _hsic(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the unbiased HSIC of linear kernels, without building them: O(n d e)."""
    n = len(x)
    own_x, own_y = x.square().sum(dim=1), y.square().sum(dim=1)
    rows_x, rows_y = x @ x.sum(dim=0) - own_x, y @ y.sum(dim=0) - own_y
    trace = (x.T @ y).square().sum() - (own_x * own_y).sum()
    outer = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    mixed = 2 * (rows_x * rows_y).sum() / (n - 2)
    return float((trace + outer - mixed) / (n * (n - 3)))


def _ratio(product: Callable[[torch.Tensor, torch.Tensor], float], x: torch.Tensor, y: torch.Tensor) -> float | None:
    """Return <x, y> / sqrt(<x, x> <y, y>) of the centred features; None where one of them does not vary."""
    centred = [one.double() - one.double().mean(dim=0) for one in (x, y)]
    if any(
        float(one.abs().max()) <= _ROUNDING * float(given.abs().max())
        for one, given in zip(centred, (x, y), strict=True)
    ):
        return None
    a, b = centred
    norms = product(a, a) * product(b, b)
    return product(a, b) / norms**0.5 if norms > 0 else None


def probe(
    learned: tuple[torch.Tensor, torch.Tensor], held_out: tuple[torch.Tensor, torch.Tensor], asked: torch.Tensor
) -> torch.Tensor:
    """Return the classes that a linear classifier of features gives to ``asked``: int64 (m,).

    A multinomial logistic regression of standardised features, by lbfgs; the penalty that does best on ``held_out`` is
    taken, the strongest of equals.

    Args:
        learned: Features (n, d) and labels (n,) that it learns.
        held_out: The same, for the choice of the penalty.
        asked: Features (m, d).
    """
    fitted = []
    for inverse in _PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse, max_iter=_ITERATIONS))
        model.fit(learned[0].numpy(), learned[1].numpy())
        fitted.append((float(model.score(held_out[0].numpy(), held_out[1].numpy())), -inverse, model))
    best = max(fitted, key=lambda one: one[:2])[2]
    return torch.from_numpy(cast("NDArray[np.int64]", best.predict(asked.numpy())))


class Cka(AnswerMetric):
    """Mean over retrained models of the likeness of their features to the model's."""

    reads_features = True
    config: FewConfig

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the likeness on D_f and on D_r."""
        groups = {FORGET: self.forgotten(TRAIN), RETAIN: self.retained(TRAIN)}
        return [self._measurement(group, answered.where(chosen), chosen) for group, chosen in groups.items()]

    def _measurement(self, group: str, part: Answered, chosen: Callable[[Sample], bool]) -> Measurement:
        lacking = few({"pictures": (len(part), FEW), "retrained models": (len(part.beside), 1)})
        if len(part) < _SMALLEST or not part.beside or (lacking and not self.config.allow_few):
            return self.number(group, None, len(part), chosen, note=lacking)
        width = max(one.features.shape[1] for one in (part, *part.beside))
        biased = len(part) >= ENOUGH * width
        compare = linear_cka if biased else debiased_cka
        found = [compare(part.features, other.features) for other in part.beside]
        known = [value for value in found if value is not None]
        value = sum(known) / len(known) if len(known) == len(found) else None
        kind = "" if biased else f"debiased: fewer than {ENOUGH} pictures a feature"
        why = "no interval: it is no mean of pictures" if value is not None else "a model's features do not vary"
        return self.number(group, value, len(part), chosen, note="; ".join(filter(None, (lacking, kind, why))))


class LinearProbe(AnswerMetric):
    """Accuracy of a linear classifier of the features on what was forgotten."""

    reads_features = True
    config: ProbeConfig

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the accuracy on new pictures of the forgotten classes, or else on D_f, and on other new pictures."""
        test = answered.where(self.forgotten(TEST))
        chosen = self.forgotten(TEST) if len(test) else self.forgotten(TRAIN)
        forget = answered.where(self.forgotten(TRAIN))
        learned = [
            subset(answered.where(self.retained(TRAIN)), self.config.most, seed=self.config.seed, purpose="probe")
        ]
        learned += [forget] if len(test) else []
        groups = {FORGET: chosen, RETAIN: self.retained(TEST)}
        asked = {group: answered.where(shown) for group, shown in groups.items()}
        held_out = answered.where(lambda sample: sample.split == VALIDATION)
        counts = {"pictures to learn": sum(map(len, learned)), "validation pictures": len(held_out)}
        lacking = few({name: (count, FEW) for name, count in counts.items()})
        labels = torch.cat([one.labels for one in learned])
        nothing = not sum(map(len, asked.values()))
        if (
            nothing
            or not min(counts.values())
            or bool((labels == labels[0]).all())
            or (lacking and not self.config.allow_few)
        ):
            note = lacking or ("there are no pictures to ask about" if nothing else "what it learns is of one class")
            return [self.number(group, None, len(asked[group]), shown, note=note) for group, shown in groups.items()]
        seen = probe(
            (torch.cat([one.features for one in learned]), labels),
            (held_out.features, held_out.labels),
            torch.cat([one.features for one in asked.values()]),
        )
        parts = zip(groups.items(), torch.split(seen, [len(one) for one in asked.values()]), strict=True)
        return [self._accuracy(group, asked[group], part, shown, lacking) for (group, shown), part in parts]

    def _accuracy(
        self, group: str, asked: Answered, seen: torch.Tensor, chosen: Callable[[Sample], bool], note: str
    ) -> Measurement:
        right = SUCCESS * (seen == asked.labels).double()
        return self.mean(group, asked, right, chosen, success=SUCCESS, note=note)
