"""What this plugin provides: pictures of digits, and a classifier trained on them."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, ModelSpec, hookimpl


@hookimpl
def vu_models() -> Iterator[ModelSpec]:
    """Yield the embedded classifier."""
    yield ModelSpec(
        name="digits",
        summary="Tell handwritten digits apart: a perceptron 64-64-10, trained in seconds.",
        folder="vu_digits:assets/model",
        embedded=True,
        family="classifier",
        capabilities=("TensorSource", "Classifies", "Retrains"),
        dataset="digits",
        protocol="classification-class@1",
        retrained="vu_digits:assets/retrained",
    )


@hookimpl
def vu_datasets() -> Iterator[DatasetSpec]:
    """Yield the digits."""
    yield DatasetSpec(
        name="digits",
        summary="1,797 handwritten digits of 8 x 8 pixels, by class.",
        target="vu_digits.dataset:Digits",
        reference="doi:10.24432/C50P49",
        kinds=("class",),
        config="vu_digits.config:DigitsOptions",
    )
