"""Pictures of some prompts, with or without edits: what ``vu sample`` and ``vu_core.sample`` draw."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vu_core.cache import ContentCache
from vu_core.config import validate
from vu_core.errors import RequestError
from vu_core.files import atomic_path
from vu_core.models import plan_of
from vu_core.report import grid
from vu_core.sampling import Folder, draw
from vu_core.types import Sample, SamplerSettings

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.interfaces import Model

GRID = "grid.png"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Pictures:
    """Pictures of some prompts, all from the same noises; a notebook shows them as one grid.

    Attributes:
        prompts: One a row.
        seeds: Of the initial noise, one a column.
        images: uint8 (rows, columns, 3, H, W) RGB, on the CPU.

    Example:
        >>> import torch
        >>> images = torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8)
        >>> pictures = Pictures(prompts=("a cat",), seeds=(0, 1), images=images)
        >>> pictures, pictures.grid().size
        (2 pictures: a cat; seeds 0, 1, (132, 64))
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    images: torch.Tensor

    def grid(self) -> Picture:
        """Return them as one picture, a row a prompt, a column a seed."""
        return grid(list(self.images.flatten(0, 1)), columns=len(self.seeds))

    def __repr__(self) -> str:
        count = len(self.prompts) * len(self.seeds)
        return f"{count} pictures: {', '.join(self.prompts)}; seeds {', '.join(map(str, self.seeds))}"

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.grid().save(stream, format="png")
        return stream.getvalue()


def settings_of(model: Any, given: Mapping[str, Any]) -> SamplerSettings:
    """Return the settings that suit ``model``, with those ``given`` in their place.

    Raises:
        ConfigError: A name is unknown, or a value is ill-typed or out of range.
        ModelError: The model draws no pictures.
    """
    plan_of(model).check_capability("Samples")
    return validate(SamplerSettings, {**asdict(model.default_settings()), **given})


def draw_prompts(
    model: Model,
    edits: Sequence[Edit],
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: SamplerSettings,
    ctx: RunContext,
) -> Pictures:
    """Draw every prompt from every seed, through the cache, into ``ctx.out_dir``; ``grid.png`` shows all.

    Raises:
        RequestError: There is no prompt, or no seed.
        EditError: An edit was made for another model, or another one is applied to it now.
        RunError: The files cannot be written.
    """
    import torch

    if not prompts or not seeds:
        raise RequestError(f"no {'seed' if prompts else 'prompt'} was given", hint="Pass at least one of each.")
    samples = [
        Sample(id=f"{row:02d}-{seed}", prompt=prompt, seed=seed) for row, prompt in enumerate(prompts) for seed in seeds
    ]
    folder = Folder(ctx.out_dir)
    draw(model, edits, samples, settings, folder, ctx, cache=ContentCache.of_user(), label="drawing")
    read = torch.stack([folder.read(sample) for sample in samples])
    images = read.view(len(prompts), len(seeds), *read.shape[1:])
    found = Pictures(prompts=tuple(prompts), seeds=tuple(seeds), images=images)
    with atomic_path(ctx.out_dir / GRID) as temporary:
        found.grid().save(temporary, format="png")
    return found
