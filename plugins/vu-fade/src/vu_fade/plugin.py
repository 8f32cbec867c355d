"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from vu_core import UnlearnerSpec, hookimpl

_spec = partial(
    UnlearnerSpec,
    reference="arXiv:2602.07058",
    needs=("TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses"),
    families=("text-to-image",),
)


@hookimpl
def vu_unlearners() -> Iterator[UnlearnerSpec]:
    """Yield the three variants of FADE."""
    yield _spec(
        name="fade",
        summary="FADE: self-distil a forgotten concept into another one, in a LoRA of the attention layers.",
        target="vu_fade.unlearner:Fade",
        config="vu_fade.config:FadeConfig",
    )
    yield _spec(
        name="fade-per-module",
        summary="FADE with a LoRA of the layers that the forgotten concept depends on most.",
        target="vu_fade.unlearner:FadePerModule",
        config="vu_fade.config:FadePerModuleConfig",
    )
    yield _spec(
        name="fade-per-weight",
        summary="FADE with a LoRA masked to the weights that the forgotten concept depends on most.",
        target="vu_fade.unlearner:FadePerWeight",
        config="vu_fade.config:FadePerWeightConfig",
    )
