"""How alike a model's answers are to those of retrained or untrained models, picture by picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch

from vu_core import Measurement, Sample
from vu_core.types import FORGET, RETAIN
from vu_metrics_classify.answered import FEW, SUCCESS, Answered, AnswerMetric, few
from vu_metrics_classify.config import DistanceConfig, SplitConfig
from vu_metrics_classify.features import probabilities


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return (KL(p | m) + KL(q | m)) / 2 with m = (p + q) / 2 for each row: float64 (n,), in nats, at most ln 2.

    Summed over classes. Zero probabilities count as 0.

    Example:
        >>> round(js_divergence(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.5, 0.5]])).item(), 5)
        0.10175
    """
    p, q = p.double(), q.double()
    log_m = ((p + q) / 2).log()
    parts = [torch.where(one > 0, one * (one.log() - log_m), 0.0).sum(dim=1) for one in (p, q)]
    return ((parts[0] + parts[1]) / 2).clamp(min=0.0)


def zero_retrain_forgetting(p: torch.Tensor, untrained: torch.Tensor) -> torch.Tensor:
    """Return 1 - JS divergence from an untrained model, for each row: float64 (n,) (Chundawat et al. 2023).

    Their mean on D_f is ZRF, in [1 - ln 2, 1].

    Args:
        p: Probabilities of the model in question, (n, C).
        untrained: Those of a network with random weights, (n, C).
    """
    return 1.0 - js_divergence(p, untrained)


class Likeness(AnswerMetric):
    """Mean over pictures, and over the models beside, of a number of two answers.

    Attributes:
        others: What these models are, in words.
    """

    config: SplitConfig
    others: ClassVar[str] = "retrained models"

    def values(self, answered: Answered, other: Answered) -> torch.Tensor:
        """Return one number a picture, of the answers of two models to it: float64 (n,)."""
        raise NotImplementedError

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the mean on the pictures of the split that show a forgotten concept, and on the others."""
        chosen = {FORGET: self.forgotten(self.config.split), RETAIN: self.retained(self.config.split)}
        return [self.measurement(group, answered.where(one), one) for group, one in chosen.items()]

    def measurement(self, group: str, part: Answered, chosen: Callable[[Sample], bool]) -> Measurement:
        """Return what is measured on ``part``, the pictures of ``group``; no value where they are too few."""
        lacking = few({"pictures": (len(part), FEW), self.others: (len(part.beside), 1)})
        if not (len(part) and part.beside) or (lacking and not self.config.allow_few):
            return self.number(group, None, len(part), chosen, note=lacking)
        return self.combined(group, part, chosen, lacking)

    def combined(self, group: str, part: Answered, chosen: Callable[[Sample], bool], note: str) -> Measurement:
        """Return the number of ``part``, the pictures of ``group``."""
        found = torch.stack([self.values(part, other) for other in part.beside]).mean(dim=0)
        return self.mean(group, part, found, chosen, note=note)


class JsToRetrained(Likeness):
    """JS divergence of probabilities from those of retrained models, in nats."""

    def values(self, answered: Answered, other: Answered) -> torch.Tensor:
        """Return the divergence of each picture."""
        return js_divergence(probabilities(answered.logits), probabilities(other.logits))


class Zrf(Likeness):
    """ZRF on the pictures of the split that show a forgotten concept, averaged over untrained models."""

    others = "untrained models"

    def values(self, answered: Answered, other: Answered) -> torch.Tensor:
        """Return 1 - divergence of each picture."""
        return zero_retrain_forgetting(probabilities(answered.logits), probabilities(other.logits))

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return ZRF in the group ``forget``."""
        chosen = self.forgotten(self.config.split)
        return [self.measurement(FORGET, answered.where(chosen), chosen)]


class Agreement(Likeness):
    """Percentage of pictures for which the most probable class is that of retrained models."""

    def values(self, answered: Answered, other: Answered) -> torch.Tensor:
        """Return 100 where both name the same class, else 0."""
        return SUCCESS * (answered.logits.argmax(dim=1) == other.logits.argmax(dim=1)).double()


class ActivationDistance(Likeness):
    """Distance of probabilities from those of retrained models, in one of three forms that were released."""

    config: DistanceConfig

    def values(self, answered: Answered, other: Answered) -> torch.Tensor:
        """Return the 2-norm or the 1-norm of the difference, or the square of the 2-norm for their root mean."""
        difference = probabilities(answered.logits) - probabilities(other.logits)
        if self.config.form == "l1":
            return difference.abs().sum(dim=1)
        squares = difference.square().sum(dim=1)
        return squares if self.config.form == "rms" else squares.sqrt()

    def combined(self, group: str, part: Answered, chosen: Callable[[Sample], bool], note: str) -> Measurement:
        """Return the mean over pictures, or the root of the mean square, averaged over models."""
        if self.config.form != "rms":
            return super().combined(group, part, chosen, note)
        roots = [float(self.values(part, other).mean().sqrt()) for other in part.beside]
        told = "; ".join(filter(None, (note, "no interval: a root of a mean is no mean of pictures")))
        return self.number(group, sum(roots) / len(roots), len(part), chosen, note=told)
