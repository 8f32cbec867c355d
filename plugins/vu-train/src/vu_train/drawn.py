"""Pictures to train on that the model draws itself, by prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from vu_core import Concept, Data, Sample
from vu_core.cache import ContentCache
from vu_core.context import RunContext
from vu_core.interfaces import Picture
from vu_core.sampling import Folder, draw
from vu_train.captions import PLACE
from vu_train.processes import Processes
from vu_train.randomness import seed_of
from vu_train.settings import DataSettings
from vu_train.store import FOLDER

_FOLDER = "drawn"
_EACH = 16


def draw_pictures(
    model: Any, concepts: Sequence[Concept], data: Data, settings: DataSettings, ctx: RunContext, size: tuple[int, int]
) -> list[Picture]:
    """Return pictures that the model draws of every concept.

    Prompts are the template of the settings, else the dataset's, else the concept's text. The pictures are
    kept in the run's folder and in the cache of pictures.

    Args:
        model: Offers `Samples`.
        concepts: What they show.
        data: Its dataset has prompts.
        settings: How many pictures, and the template.
        ctx: Seed, folder, progress.
        size: Height and width in pixels.
    """
    samples = [sample for concept in concepts for sample in _samples(concept, data, settings, ctx)]
    folder = Folder(ctx.out_dir / FOLDER / _FOLDER)
    sampler = replace(model.default_settings(), height=size[0], width=size[1])
    with Processes(ctx.device).first_goes_first():
        draw(model, [], samples, sampler, folder, ctx, cache=ContentCache.of_user(), label="draw pictures to train on")
    return [
        Picture(id=sample.id, caption=sample.prompt, attributes=sample.attributes, load=partial(folder.read, sample))
        for sample in samples
    ]


def _samples(concept: Concept, data: Data, settings: DataSettings, ctx: RunContext) -> list[Sample]:
    if settings.caption:
        prompts = [settings.caption.replace(PLACE, concept.text)]
    else:
        prompts = list(data.dataset.prompts(concept)) if data.dataset else [concept.text]
    name = re.sub(r"[^\w-]+", "-", f"{concept.kind}-{concept.name}")
    return [
        Sample(
            id=f"{name}-{number}",
            prompt=prompts[number % len(prompts)],
            seed=seed_of(ctx.seed, _FOLDER, concept.kind, concept.name, number),
            attributes={concept.kind: concept.name},
        )
        for number in range(settings.pictures_each or _EACH)
    ]
