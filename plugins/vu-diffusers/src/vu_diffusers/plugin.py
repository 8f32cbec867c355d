"""What this plugin offers, described without importing anything heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import ModelSpec, hookimpl


@hookimpl
def vu_models() -> Iterator[ModelSpec]:
    """Yield the loader of diffusers' pipeline folders."""
    yield ModelSpec(
        name="diffusers",
        summary="Load a diffusers text-to-image pipeline (SD 1.x, SD 2.x, SDXL) from a folder or hub id.",
        target="vu_diffusers.model:load",
        marker="model_index.json",
        hub=True,
        adopts=("diffusers.pipelines.pipeline_utils.DiffusionPipeline",),
        adopter="vu_diffusers.model:adopt",
        capabilities=("TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses", "Samples"),
        family="text-to-image",
    )
