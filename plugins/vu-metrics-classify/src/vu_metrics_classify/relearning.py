"""How soon a model learns again what it forgot: relearn time, and the anamnesis index."""

from __future__ import annotations

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from vu_train.batches import Batches, endless
from vu_train.classifying import in_training, lone_images_allowed, mean_cross_entropy, optimizer_of
from vu_train.labelled import LabelledImages, read_labelled
from vu_train.randomness import preserved, seed_global
from vu_train.settings import EpochSettings

from vu_core import ComputeError, Concept, Measurement, Request
from vu_core.edits import applied
from vu_core.interfaces import Picture, Subject
from vu_core.splits import TEST, TRAIN
from vu_core.statistics import mean_measurement
from vu_core.types import FORGET
from vu_metrics_classify.config import RelearnConfig

if TYPE_CHECKING:
    from vu_core.context import RunContext
    from vu_core.metrics import Found

RELEARNINGS = 3
"""Relearnings that an interval needs."""

# Two ways to a percentage may differ in their last bit.
_TOLERANCE = 1e-9
_ASKED_AT_ONCE = 1024
_NOTHING = "no number: nothing is forgotten"


def steps_to(accuracies: Iterable[float], target: float) -> int | None:
    """Return the place, from 0, of the first of ``accuracies`` that is at least ``target``; None where none is.

    Args:
        accuracies: Before any step and after each, in percent.
        target: In percent.

    Example:
        >>> steps_to([0, 10, 40, 72, 96], 95)
        4
    """
    return next((step for step, one in enumerate(accuracies) if one >= target - _TOLERANCE), None)


def anamnesis_index(steps: Sequence[float], retrained: Sequence[float]) -> float | None:
    """Return the mean of ``steps`` over that of ``retrained``; None where the latter is 0 (Chundawat et al. 2023).

    Args:
        steps: Of each relearning of the model.
        retrained: Of each relearning of models that never learned what is forgotten.

    Example:
        >>> anamnesis_index([6], [12])
        0.5
    """
    return fmean(steps) / fmean(retrained) if any(retrained) else None


def accuracy_on(network: torch.nn.Module, asked: LabelledImages) -> float:
    """Return how many of ``asked`` the network in eval mode tells right, in percent; it stays in eval mode.

    Raises:
        ComputeError: Its answers are not finite.
    """
    network.eval()
    right = 0
    with torch.no_grad():
        for batch in Batches(asked, _ASKED_AT_ONCE, network):
            logits = network(batch.images)
            if not logits.isfinite().all():
                raise ComputeError("a network that learns again gave answers that are NaN or infinite")
            right += int((logits.argmax(dim=1) == batch.labels).sum())
    return 100.0 * right / len(asked)


def relearn(
    network: torch.nn.Module,
    learned: LabelledImages,
    asked: LabelledImages,
    target: float,
    config: RelearnConfig,
    seed: int,
    ctx: RunContext,
) -> list[float]:
    """Train ``network`` in place until it tells ``target`` percent of ``asked`` right, or the epochs are over.

    Args:
        network: A copy that nobody needs any more.
        learned: The training pictures, in an order that the seed decides.
        asked: The pictures of what was forgotten.
        target: In percent.
        config: The recipe.
        seed: Of the order, and of what is random in the network.
        ctx: Gets warnings.

    Returns:
        Its accuracy on ``asked``, in percent, before any step and after each.

    Raises:
        ComputeError: Its answers are not finite.
    """
    settings = EpochSettings(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        optimizer=config.optimizer,
        weight_decay=0.0,
        batch_size=config.batch_size,
    )
    limit = max(config.epochs * -(-len(learned) // config.batch_size), config.least_steps)
    found = [accuracy_on(network, asked)]
    with preserved(), torch.enable_grad(), in_training(network, settings), lone_images_allowed(network, ctx):
        seed_global(seed, "relearn")
        optimizer = optimizer_of(list(network.parameters()), settings)
        batches = endless(learned, config.batch_size, network, (seed, "relearn"))
        for _ in ctx.progress(range(limit), label="relearning, steps at most"):
            if steps_to(found[-1:], target) is not None:
                break
            optimizer.zero_grad()
            mean_cross_entropy(network.train(), next(batches)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            found.append(accuracy_on(network, asked))
    return found


class Relearning(ABC):
    """A number of how soon a model learns again what it forgot.

    Where a class is forgotten it is asked about the test pictures of that class; where no test picture shows what is
    forgotten, as with a set of samples, about the training pictures that do. A part of the examination is one
    relearning, with a seed of its own.

    Args:
        request: What is forgotten.
        neighbours: Not used.
        config: The recipe.
    """

    def __init__(self, *, request: Request, neighbours: Sequence[Concept] = (), config: RelearnConfig) -> None:
        self.config = config
        self._request = request
        self._seeds = {f"seed {seed}": seed for seed in range(config.seeds)}
        self._pictures: tuple[LabelledImages, LabelledImages] | None = None

    def parts(self, subject: Subject) -> Found:
        """Return the relearnings, each decided by what is learned and asked; none where nothing is forgotten."""
        learned, asked = self._read(subject)
        if not len(asked):
            return {}
        decides = {"learned": _sha256(learned), "asked": _sha256(asked), "vu-train": version("vu-train")}
        return dict.fromkeys(self._seeds, decides)

    def examine(self, part: str, subject: Subject) -> Mapping[str, Any]:
        """Return the steps of one relearning, None where the target was not reached; target and accuracies, in percent.

        Raises:
            ComputeError: Its answers are not finite.
        """
        learned, asked = self._read(subject)
        target = (1 - self.config.margin) * accuracy_on(_copy(subject, subject.original), asked)
        network = _copy(subject, subject.edits)
        found = relearn(network, learned, asked, target, self.config, self._seeds[part], subject.ctx)
        return {"steps": steps_to(found, target), "target": target, "accuracies": found}

    def measure(self, found: Found, retrained: Sequence[Found]) -> list[Measurement]:
        """Return the number in the group ``forget``; its n are relearnings."""
        if not found:
            return [Measurement(group=FORGET, value=None, n=0, note=_NOTHING)]
        return [self.measured(found, retrained)]

    @abstractmethod
    def measured(self, found: Found, retrained: Sequence[Found]) -> Measurement:
        """Return the number, of the relearnings of a model and of retrained ones."""

    def mean(self, found: Found, values: Sequence[float]) -> Measurement:
        """Return the mean of ``values``, one for each relearning in ``found``, its interval over relearnings."""
        names = list(found)
        mean = mean_measurement(FORGET, values, sample_ids=names, clusters=names)
        if len(names) >= RELEARNINGS:
            return mean
        return replace(mean, note=f"no interval: {len(names)} relearnings, {RELEARNINGS} are needed")

    def _read(self, subject: Subject) -> tuple[LabelledImages, LabelledImages]:
        """Return the training pictures, and those of what is forgotten; read once for all models."""
        if self._pictures is None:
            dataset: Any = subject.dataset
            learned, new = dataset.pictures(TRAIN), self._showing(dataset.pictures(TEST))
            asked = new or self._showing(learned)
            self._pictures = _labelled(learned, subject), _labelled(asked, subject)
        return self._pictures

    def _showing(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [one for one in pictures if any(one.shows(concept) for concept in self._request.forget)]


class RelearnSteps(Relearning):
    """Relearn time: optimiser steps until the model tells what it forgot nearly as well as the original did."""

    def measured(self, found: Found, retrained: Sequence[Found]) -> Measurement:
        """Return the mean number of steps; none where a relearning did not reach the target."""
        if unreached := _unreached(found):
            return Measurement(group=FORGET, value=None, n=len(found), note=f">= {_least(found):g} steps: {unreached}")
        return self.mean(found, _steps(found))


class AnamnesisIndex(Relearning):
    """AIN: relearn time as a share of that of models that never learned what is forgotten."""

    def measured(self, found: Found, retrained: Sequence[Found]) -> Measurement:
        """Return the ratio; none where a relearning did not reach the target, or retrained models need no step."""
        others = {f"{number}, {part}": one for number, model in enumerate(retrained) for part, one in model.items()}
        if unreached := _unreached(others):
            return self._undefined(found, f"of retrained models, {unreached}")
        steps = _steps(others)
        if not any(steps):
            return self._undefined(found, "retrained models need no step: they tell what is forgotten without it")
        if unreached := _unreached(found):
            return self._undefined(found, unreached, f">= {math.floor(100 * _least(found) / fmean(steps)) / 100:g}")
        return self.mean(found, [anamnesis_index([one], steps) or 0.0 for one in _steps(found)])

    def _undefined(self, found: Found, why: str, what: str = "undefined") -> Measurement:
        return Measurement(group=FORGET, value=None, n=len(found), note=f"{what}: {why}")


def _copy(subject: Subject, edits: Sequence[Any]) -> torch.nn.Module:
    """Return a copy of the classifier with ``edits`` in its weights."""
    with applied(subject.model, edits):
        network: torch.nn.Module = copy.deepcopy(subject.model.component("classifier"))
    return network


def _labelled(pictures: Sequence[Picture], subject: Subject) -> LabelledImages:
    model = subject.model
    return read_labelled(pictures, model.kind, model.classes, model.picture_size, subject.ctx)


def _steps(found: Found) -> list[float]:
    return [float(one["steps"]) for one in found.values()]


def _least(found: Found) -> float:
    """Return a number, in tenths, that the mean number of steps is no less than: those made, where none was enough."""
    return math.floor(10 * fmean(len(one["accuracies"]) - 1 for one in found.values())) / 10


def _unreached(found: Found) -> str:
    """Return how many relearnings did not reach their target; empty where all did."""
    censored = [one for one in found.values() if one["steps"] is None]
    if not censored:
        return ""
    return f"{len(censored)} of {len(found)} relearnings did not reach {censored[0]['target']:.1f} %"


def _sha256(images: LabelledImages) -> str:
    digest = hashlib.sha256(f"{images.ids} {images.labels.tolist()} {list(images.images.shape)}".encode())
    digest.update(images.images.contiguous().numpy().data)
    return digest.hexdigest()
