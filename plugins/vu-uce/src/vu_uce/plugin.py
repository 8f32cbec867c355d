"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import UnlearnerSpec, hookimpl


@hookimpl
def vu_unlearners() -> Iterator[UnlearnerSpec]:
    """Yield Unified Concept Editing."""
    yield UnlearnerSpec(
        name="uce",
        summary="Unified Concept Editing: a closed-form edit of the key and value matrices, without training.",
        target="vu_uce.unlearner:Uce",
        config="vu_uce.config:UceConfig",
        reference="arXiv:2308.14761",
        needs=("TensorSource", "HasSites", "Encodes"),
        families=("text-to-image",),
    )
