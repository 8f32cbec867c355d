"""What this plugin provides: datasets whose files the user has, and published protocols."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, hookimpl


@hookimpl
def vu_datasets() -> Iterator[DatasetSpec]:
    """Yield the datasets; each needs files, which ``--data root=DIR`` names."""
    yield DatasetSpec(
        name="images",
        summary="Any pictures: folders, lists and Hugging Face data sets with image and text columns.",
        target="vu_datasets.images:Images",
        config="vu_datasets.config:ImagesOptions",
    )
    yield DatasetSpec(
        name="lfw",
        summary="Labeled Faces in the Wild: photographs of people, by name.",
        target="vu_datasets.lfw:Lfw",
        reference="http://vis-www.cs.umass.edu/lfw",
        kinds=("person",),
        config="vu_datasets.config:LfwOptions",
    )
    yield DatasetSpec(
        name="imagenette",
        summary="Imagenette: ten easily told classes of ImageNet.",
        target="vu_datasets.imagenette:Imagenette",
        reference="https://github.com/fastai/imagenette",
        kinds=("object",),
        config="vu_datasets.config:FileOptions",
    )
    yield DatasetSpec(
        name="unlearncanvas",
        summary="UnlearnCanvas: 20 objects, photographed and painted in 50 styles.",
        target="vu_datasets.unlearncanvas:UnlearnCanvas",
        reference="arXiv:2402.11846",
        kinds=("style", "object"),
        config="vu_datasets.config:FileOptions",
    )
    yield DatasetSpec(
        name="coco-captions",
        summary="COCO captions: photographs with sentences; any text is a concept.",
        target="vu_datasets.coco:CocoCaptions",
        reference="arXiv:1405.0312",
        config="vu_datasets.config:CocoOptions",
    )
