"""Retraining: the model that never learned what is forgotten, by which all others are judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vu_train.classifying import train_on
from vu_train.ensembles import train_together
from vu_train.settings import ClassifierSettings

from vu_classify.config import RetrainConfig
from vu_classify.work import Work
from vu_core import Data, Edit, ModelError, Request
from vu_core.config import validate
from vu_core.context import RunContext

_SEED = "seed"
_SAME = "the seed {} is the model's own: both began from the same weights"


class Retrain:
    """θ_r: trained from fresh weights on D_r, by the recipe of the original: as many epochs, which are shorter."""

    def unlearn(self, model: Any, request: Request, data: Data, config: RetrainConfig, ctx: RunContext) -> Edit:
        """Return the edit that replaces the model by one trained without what is forgotten.

        Raises:
            ModelError: The model does not say what it was trained with.
        """
        work = Work(model, request, data, config, ctx, reads=["retain"])
        settings, original = _recipe(model)
        seed = ctx.seed if config.seed == "run" else original
        if seed is None:
            raise ModelError(f"'{model.name}' does not say which seed it was trained with", hint="Use -o seed=run.")
        if config.seed == "run" and seed == original:
            ctx.warnings.append(_SAME.format(seed))
        work.network = model.fresh(seed).requires_grad_(True)
        train_on(work.network, work.retain, settings, replace(ctx, seed=seed), key=work.key)
        return work.edit(model_seed=seed)


def retrain_together(model: Any, request: Request, data: Data, ctx: RunContext, seeds: Sequence[int]) -> Iterator[Edit]:
    """Yield what `Retrain` returns for each of ``seeds``, but for rounding: all networks are trained at once.

    Raises:
        ConfigError: The network has dropout.
        VuError: As from `Retrain`.
    """
    work = Work(model, request, data, RetrainConfig(), ctx, reads=["retain"])
    settings, original = _recipe(model)
    if original in seeds:
        ctx.warnings.append(_SAME.format(original))
    networks = [model.fresh(seed) for seed in seeds]
    train_together(networks, work.retain, settings, ctx, seeds=seeds)
    for seed, network in zip(seeds, networks, strict=True):
        work.network = network
        yield work.edit(model_seed=seed)


def _recipe(model: Any) -> tuple[ClassifierSettings, int | None]:
    """Return how the model was trained, and from which seed."""
    recipe = dict(model.recipe())
    original = recipe.pop(_SEED, None)
    return validate(ClassifierSettings, recipe), original
