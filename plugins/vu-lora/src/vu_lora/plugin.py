"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import UnlearnerSpec, hookimpl

_NEEDS = ("TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses")


@hookimpl
def vu_unlearners() -> Iterator[UnlearnerSpec]:
    """Yield task negation, with fixed and with bargained weights of its two gradients."""
    yield UnlearnerSpec(
        name="lora-negation",
        summary="Task negation: learn the forgotten concept even better in a LoRA, then subtract it.",
        target="vu_lora.unlearner:LoraNegation",
        config="vu_lora.config:LoraNegationConfig",
        reference="arXiv:2306.14870",
        needs=_NEEDS,
        families=("text-to-image",),
    )
    yield UnlearnerSpec(
        name="munba",
        summary="Task negation in a LoRA whose forget and retain gradients strike a Nash bargain at each step.",
        target="vu_lora.unlearner:Munba",
        config="vu_lora.config:MunbaConfig",
        reference="arXiv:2411.15537",
        needs=_NEEDS,
        families=("text-to-image",),
    )
