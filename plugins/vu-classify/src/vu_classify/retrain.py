"""Retraining: the model that never learned what is forgotten, by which all others are judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vu_train.classifying import train_on
from vu_train.settings import ClassifierSettings

from vu_classify.config import RetrainConfig
from vu_classify.work import Work
from vu_core import Data, Edit, ModelError, Request
from vu_core.config import validate
from vu_core.context import RunContext

_SEED = "seed"


class Retrain:
    """θ_r: trained from fresh weights on D_r, by the recipe of the original: as many epochs, which are shorter."""

    def unlearn(self, model: Any, request: Request, data: Data, config: RetrainConfig, ctx: RunContext) -> Edit:
        """Return the edit that replaces the model by one trained without what is forgotten.

        Raises:
            ModelError: The model does not say what it was trained with.
        """
        work = Work(model, request, data, config, ctx, reads=["retain"])
        recipe = dict(model.recipe())
        original = recipe.pop(_SEED, None)
        seed = ctx.seed if config.seed == "run" else original
        if seed is None:
            raise ModelError(f"'{model.name}' does not say which seed it was trained with", hint="Use -o seed=run.")
        if config.seed == "run" and seed == original:
            ctx.warnings.append(f"the run's seed, {seed}, is the model's own: both began from the same weights")
        settings = validate(ClassifierSettings, recipe)
        work.network = model.fresh(seed).requires_grad_(True)
        train_on(work.network, work.retain, settings, replace(ctx, seed=seed), key=work.key)
        return work.edit(model_seed=seed)
