"""What this plugin provides: pictures of clothes, and a classifier trained on them."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, ModelSpec, hookimpl


@hookimpl
def vu_models() -> Iterator[ModelSpec]:
    """Yield the classifier."""
    yield ModelSpec(
        name="fashion",
        summary="Tell clothes apart: a narrow ResNet-18, trained on 9,000 pictures of Fashion-MNIST.",
        folder="vu_fashion:assets/model",
        family="classifier",
        capabilities=("TensorSource", "Classifies", "Retrains"),
        dataset="fashion",
        protocol="classification-class@1",
        retrained="vu_fashion:assets/retrained",
    )


@hookimpl
def vu_datasets() -> Iterator[DatasetSpec]:
    """Yield the pictures."""
    yield DatasetSpec(
        name="fashion",
        summary="12,000 grey pictures of clothes of 28 x 28 pixels, by class: a part of Fashion-MNIST.",
        target="vu_fashion.dataset:Fashion",
        reference="arXiv:1708.07747",
        kinds=("class",),
        config="vu_fashion.config:FashionOptions",
    )
