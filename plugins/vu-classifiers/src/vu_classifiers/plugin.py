"""What this plugin offers, described without importing anything heavy."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import ModelSpec, hookimpl


@hookimpl
def vu_models() -> Iterator[ModelSpec]:
    """Yield the loaders of classifiers' folders."""
    yield ModelSpec(
        name="classifier",
        summary="Load or train an image classifier: MLP, ResNet-18/20, VGG-16, ViT, or a module of your own.",
        target="vu_classifiers.model:load",
        marker="vu_classifier.json",
        family="classifier",
        capabilities=("TensorSource", "Classifies", "Retrains"),
        trainer="vu_classifiers.train:train",
        config="vu_classifiers.config:TrainOptions",
    )
    yield ModelSpec(
        name="transformers-classifier",
        summary="Load an image classifier that transformers saved, from its folder.",
        target="vu_classifiers.pretrained:load",
        marker="config.json",
        marker_text="ForImageClassification",
        family="classifier",
        capabilities=("TensorSource", "Classifies"),
    )
