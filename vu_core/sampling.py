"""Drawing a protocol's pictures through the cache, so that each is drawn once for all runs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core.cache import ContentCache, key_sha256
from vu_core.edits import applied, check_unedited, effect_of
from vu_core.errors import ComputeError
from vu_core.files import write_bytes

if TYPE_CHECKING:
    import torch

    from vu_core.context import RunContext
    from vu_core.edits import Edit
    from vu_core.interfaces import Model, Samples
    from vu_core.types import Sample, SamplerSettings


@dataclass(frozen=True)
class Folder:
    """A folder of pictures named after the samples they show."""

    root: Path

    def path(self, sample: Sample) -> Path:
        """Return where the picture of ``sample`` lies or will lie."""
        return self.root / f"{sample.id}.png"

    def read(self, sample: Sample) -> torch.Tensor:
        """Return a picture: uint8 (3, H, W) RGB.

        Raises:
            OSError: It is missing or damaged.
        """
        return read_png(self.path(sample))


def draw(
    model: Any,
    edits: Sequence[Edit],
    samples: Sequence[Sample],
    settings: SamplerSettings,
    folder: Folder,
    ctx: RunContext,
    *,
    cache: ContentCache,
    label: str,
) -> dict[str, int]:
    """Put the picture of every sample into ``folder``, from the cache or newly drawn.

    Pictures enter cache and folder one by one, so an interruption loses at most one micro-batch.

    Args:
        model: Offers `Samples`.
        edits: In effect while drawing; empty for the base model.
        samples: What to draw.
        settings: The protocol's sampler.
        folder: Where the pictures go.
        ctx: For progress.
        cache: Looked into first, and filled.
        label: What the progress bar says.

    Returns:
        How many were ``drawn`` and how many came from the ``cached``.

    Raises:
        ComputeError: The model drew pictures that are not finite.
        EditError: Another edit is applied to the model now.
    """
    check_unedited(model)
    keys = _keys(model, edits, samples, settings)
    missing = []
    for sample in samples:
        content = cache.get(keys[sample.id])
        if content is None:
            missing.append(sample)
        else:
            write_bytes(folder.path(sample), content)
    if missing and settings.noise == "sequential":
        missing = list(samples)
    with applied(model, edits) if missing else nullcontext():
        pictures = _drawn(model, missing, settings)
        for sample, picture in ctx.progress(pictures, total=len(missing), label=label):
            content = png_bytes(picture)
            cache.put(keys[sample.id], content)
            write_bytes(folder.path(sample), content)
    return {"drawn": len(missing), "cached": len(samples) - len(missing)}


def png_bytes(picture: torch.Tensor) -> bytes:
    """Return ``picture``, uint8 (3, H, W) RGB, as the bytes of a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(stream, format="png")
    return stream.getvalue()


def read_png(path: Path) -> torch.Tensor:
    """Return a PNG file's picture: uint8 (3, H, W) RGB.

    Raises:
        OSError: It is missing or damaged.
    """
    import numpy
    import torch
    from PIL import Image

    with Image.open(path) as image:
        return torch.from_numpy(numpy.array(image.convert("RGB"))).permute(2, 0, 1)


def _keys(
    model: Samples, edits: Sequence[Edit], samples: Sequence[Sample], settings: SamplerSettings
) -> dict[str, Mapping[str, Any]]:
    common: dict[str, Any] = {
        "model": dict(model.sampling_key(settings)),
        "settings": asdict(settings),
        "edits": effect_of(edits),
    }
    if settings.noise == "sequential":
        order = [[sample.prompt, sample.seed] for sample in samples]
        common["sequence"] = key_sha256({"samples": order})
    return {
        sample.id: {**common, "prompt": sample.prompt, "seed": sample.seed, **_position(settings, i)}
        for i, sample in enumerate(samples)
    }


def _position(settings: SamplerSettings, index: int) -> dict[str, int]:
    return {"position": index} if settings.noise == "sequential" else {}


def _drawn(model: Model, samples: Sequence[Sample], settings: SamplerSettings) -> Any:
    if not samples:
        return
    prompts = [sample.prompt for sample in samples]
    pictures = model.sample(prompts, [sample.seed for sample in samples], settings)  # type: ignore[attr-defined]
    for sample, picture in zip(samples, pictures, strict=True):
        if str(picture.dtype) != "torch.uint8" or picture.ndim != 3:
            raise ComputeError(f"{model.name} drew {picture.dtype} {tuple(picture.shape)}, not uint8 (3, H, W)")
        yield sample, picture
