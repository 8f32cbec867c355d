"""A model family: a loader of its format, which also takes objects in memory, and a model that travels along."""

from vu_core import ModelSpec, hookimpl

CAPABILITIES = ("TensorSource", "Samples")


@hookimpl
def vu_models():
    yield ModelSpec(
        name="api1-loader",
        summary="Load folders with an api1.json.",
        target="vu_api1_model.work:load",
        marker="api1.json",
        adopts=("vu_api1_model.work.Painter",),
        adopter="vu_api1_model.work:adopt",
        capabilities=CAPABILITIES,
        family="text-to-image",
        api=1,
    )
    yield ModelSpec(
        name="api1-painter",
        summary="Paint five animals.",
        folder="vu_api1_model:painted",
        capabilities=CAPABILITIES,
        family="text-to-image",
        dataset="api1-animals",
        protocol="api1@1",
        quick_protocol="api1@1",
        presets={"api1-repaint": {"default": {"strength": 1.0}, "half": {"strength": 0.5}}},
        api=1,
    )
