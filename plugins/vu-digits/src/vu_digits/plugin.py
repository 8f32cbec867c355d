"""What this plugin provides: pictures of digits, and a classifier trained on them."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, ModelSpec, hookimpl

# Published defaults are for CIFAR-10, with forty times as many pictures. These were chosen on the digit 0 alone.
_SMALL = {"learning_rate": 0.05, "batch_size": 64}
_LABELS = {**_SMALL, "weight_decay": 0.0}
_SCRUB = {
    "epochs": 15,
    "max_epochs": 10,
    "learning_rate": 0.1,
    "teacher_weight": 0.1,
    "clip": 1.0,
    "batch_size": 64,
}
_ASCENT = {
    "epochs": 50,
    "learning_rate": 0.02,
    "batch_size": 1024,
    "weight_decay": 0.0,
    "target_accuracy": 0.0,
}
_PRESETS = {
    "fine-tune": {"default": _SMALL},
    "l1-sparse": {"default": {**_SMALL, "sparsity": 1e-3}},
    "random-label": {"default": _LABELS},
    "salun": {"default": _LABELS},
    "scrub": {"default": _SCRUB},
    "bad-teacher": {"default": {"epochs": 5, "learning_rate": 0.01, "batch_size": 64, "retain_share": 1.0}},
    "boundary-shrink": {"default": {"step": 0.4, "learning_rate": 0.05, "epochs": 10}},
    "gradient-ascent": {"default": _ASCENT},
    "neggrad-plus": {"default": {**_SMALL, "epochs": 10, "retain_weight": 0.9, "max_forget_loss": 10.0}},
    "lfssd": {"default": {"selection": 8.0}},
    "unsir": {"default": {"epochs": 2, "learning_rate": 0.002, "batch_size": 64}},
    "jit": {"default": {"learning_rate": 0.1}},
}


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
        presets=_PRESETS,
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
