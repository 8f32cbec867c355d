"""Membership attacks that one model's answers suffice for: are pictures to forget like members, or like new ones?"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.svm import SVC

from vu_core import Measurement
from vu_core.splits import TEST, TRAIN, draw
from vu_core.types import FORGET
from vu_metrics_classify import features
from vu_metrics_classify.answered import FEW, SUCCESS, Answered, AnswerMetric, few
from vu_metrics_classify.config import Feature, LossConfig, SvcConfig

Floats = NDArray[np.float64]

SHADOWS = 200
"""Pictures of each kind that an attack needs to learn from."""

_FOLDS = 10
_CLIPPED = 100.0


def read_feature(answered: Answered, feature: Feature | Literal["loss"]) -> Floats:
    """Return what an attack reads of each picture: float64 (n, width)."""
    logits, labels = answered.logits, answered.labels
    readers: dict[str, Callable[[], torch.Tensor]] = {
        "correctness": lambda: features.correctness(logits, labels),
        "loss": lambda: features.loss(logits, labels),
        "confidence": lambda: features.confidence(logits, labels),
        "entropy": lambda: features.entropy(logits),
        "modified_entropy": lambda: features.modified_entropy(logits, labels),
        "probabilities": lambda: features.probabilities(logits),
    }
    return cast(Floats, readers[feature]().reshape(len(answered), -1).numpy())


def svc_members(members: Floats, others: Floats, asked: Floats) -> NDArray[np.bool_]:
    """Return which of ``asked`` a support-vector classifier takes for members, having learned the two others.

    A radial kernel with C = 3 and gamma = 1 / width, as in the code of Jia et al. 2023. All are float64 (n, width).
    """
    width = members.shape[1]
    found = _svc_members(width, *(np.ascontiguousarray(one).tobytes() for one in (members, others, asked)))
    return np.array(found, dtype=np.bool_)


@lru_cache(maxsize=512)
def _svc_members(width: int, members: bytes, others: bytes, asked: bytes) -> tuple[bool, ...]:
    """Return `svc_members` of arrays in their bytes: each retrained model is attacked once, however often asked."""
    known, new, wanted = (np.frombuffer(one, np.float64).reshape(-1, width) for one in (members, others, asked))
    learned = np.concatenate([known, new])
    attack = SVC(C=3, gamma="auto", kernel="rbf").fit(learned, _kinds(len(known), len(new)))
    return tuple((attack.predict(wanted) == 1).tolist())


def regression_members(members: Floats, others: Floats, asked: Floats) -> NDArray[np.bool_]:
    """Return which of ``asked`` a balanced logistic regression takes for members; float64 (n, width)."""
    learned = np.concatenate([members, others])
    attack = LogisticRegression(class_weight="balanced").fit(learned, _kinds(len(members), len(others)))
    return cast("NDArray[np.bool_]", attack.predict(asked) == 1)


def loss_accuracies(forget: Floats, test: Floats, *, splits: int, test_share: float, seed: int) -> list[float]:
    """Return how often a logistic regression tells losses (n,) of the two sets apart, one share a random split.

    The order of ``forget`` and ``test`` decides which are drawn; equal numbers of both are expected.
    """
    losses = np.concatenate([test, forget])[:, None]
    kinds = np.concatenate([np.zeros(len(test)), np.ones(len(forget))])
    drawn = StratifiedShuffleSplit(n_splits=splits, test_size=test_share, random_state=seed)
    return [float(share) for share in cross_val_score(LogisticRegression(), losses, kinds, cv=drawn)]


def subset(answered: Answered, most: int, *, seed: int, purpose: str) -> Answered:
    """Return at most ``most`` pictures, drawn by their ids alone, in the order of their ids."""
    places = sorted(range(len(answered)), key=lambda i: draw(seed, purpose, answered.samples[i].id))
    return answered.at(sorted(places[:most]))


class SvcAttack(AnswerMetric):
    """Percentage of D_f that a support-vector classifier takes for pictures never learned."""

    config: SvcConfig

    def percentage(self, answered: Answered) -> tuple[float | None, str]:
        """Return the number, None where sets are too small; and what its note says, if anything."""
        _, outside, lacking = self._attacked(answered)
        return float(outside.mean()) if len(outside) else None, lacking

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the percentage on D_f."""
        forget, outside, lacking = self._attacked(answered)
        chosen = self.forgotten(TRAIN)
        if not len(outside):
            return [self.number(FORGET, None, len(forget), chosen, note=lacking)]
        return [self.mean(FORGET, forget, outside, chosen, success=SUCCESS, note=lacking)]

    def _attacked(self, answered: Answered) -> tuple[Answered, torch.Tensor, str]:
        """Return D_f, 100 for each picture taken for no member, and what sets are too small.

        The attack learns D_t,r as new pictures and equally many of D_r as members.
        """
        forget = answered.where(self.forgotten(TRAIN))
        test, retain = answered.where(self.retained(TEST)), answered.where(self.retained(TRAIN))
        if self.config.subset == "random":
            members = subset(retain, len(test), seed=self.config.seed, purpose="members")
        else:
            members = retain.at(range(min(len(test), len(retain))))
        lacking = few(
            {
                "members": (len(members), SHADOWS),
                "test pictures": (len(test), SHADOWS),
                "pictures to forget": (len(forget), FEW),
            }
        )
        if not (len(members) and len(test) and len(forget)) or (lacking and not self.config.allow_few):
            return forget, torch.zeros(0), lacking
        found = svc_members(*(read_feature(one, self.config.feature) for one in (members, test, forget)))
        return forget, SUCCESS * torch.from_numpy(~found).double(), lacking


class EntropyAttack(AnswerMetric):
    """Percentage of D_f that a logistic regression on entropies takes for members."""

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the percentage on D_f, of an attack that learned D_r and D_t,r, all of both."""
        sets = [answered.where(chosen) for chosen in (self.retained(TRAIN), self.retained(TEST), self.forgotten(TRAIN))]
        names = ("members", "test pictures", "pictures to forget")
        lacking = few({name: (len(one), SHADOWS) for name, one in zip(names, sets, strict=True)})
        forget, chosen = sets[-1], self.forgotten(TRAIN)
        if not all(map(len, sets)) or (lacking and not self.config.allow_few):
            return [self.number(FORGET, None, len(forget), chosen, note=lacking)]
        inside = (
            SUCCESS * torch.from_numpy(regression_members(*(read_feature(one, "entropy") for one in sets))).double()
        )
        return [self.mean(FORGET, forget, inside, chosen, success=SUCCESS, note=lacking)]


class LossAttack(AnswerMetric):
    """Percentage of pictures of D_f and D_t that a logistic regression on losses tells apart, over random splits."""

    config: LossConfig

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the mean over the splits."""
        chosen = self.forgotten(TRAIN)
        whole, test = self.forget_and_test(answered)
        count = min(len(whole), len(test))
        lacking = self.too_few(whole, test, SHADOWS)
        if count < _FOLDS or (lacking and not self.config.allow_few):
            return [self.number(FORGET, None, len(whole), chosen, note=lacking)]
        seed = self.config.seed
        pair = [subset(one, count, seed=seed, purpose="balance") for one in (whole, test)]
        losses = [features.loss(one.logits, one.labels).clamp(max=_CLIPPED).numpy() for one in pair]
        shares = loss_accuracies(*losses, splits=self.config.splits, test_share=self.config.test_share, seed=seed)
        note = "no interval: splits of the same pictures depend on each other; streisand says which losses are higher"
        value = SUCCESS * sum(shares) / len(shares)
        return [self.number(FORGET, value, len(whole), chosen, note="; ".join(filter(None, (lacking, note))))]


def _kinds(members: int, others: int) -> NDArray[np.float64]:
    return np.concatenate([np.ones(members), np.zeros(others)])
