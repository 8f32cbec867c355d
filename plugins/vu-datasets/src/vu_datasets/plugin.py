"""What this plugin provides: datasets whose files the user has, a judge of people, and published protocols."""

from __future__ import annotations

from collections.abc import Iterator

from vu_core import DatasetSpec, ProtocolSpec, ScorerSpec, hookimpl


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


@hookimpl
def vu_scorers() -> Iterator[ScorerSpec]:
    """Yield the judge of people; it needs ``vu-datasets[faces]``."""
    yield ScorerSpec(
        name="lfw-faces",
        summary="Say which person of LFW a picture shows, or another or none: dlib's face recognition.",
        target="vu_datasets.faces:LfwFaces",
        reference="http://dlib.net/face_recognition.py.html",
        outputs="classes",
        role="person",
    )


@hookimpl
def vu_protocols() -> Iterator[ProtocolSpec]:
    """Yield the published evaluations."""
    yield ProtocolSpec(
        name="unlearncanvas@1",
        summary="UnlearnCanvas: 20 objects in 50 styles and as photographs, five seeds: 5,100 pictures.",
        reference="arXiv:2402.11846",
        file="vu_datasets:protocols/unlearncanvas-1.toml",
    )
    yield ProtocolSpec(
        name="i2p-nudenet@1",
        summary="Nudity in pictures of the 4,703 prompts of I2P, each with its own seed, as MACE counts it.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/i2p-nudenet-1.toml",
    )
    yield ProtocolSpec(
        name="coco-30k@1",
        summary="What is kept: FID and CLIP score on 30,000 captions of COCO, each with its own seed.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/coco-30k-1.toml",
    )
    yield ProtocolSpec(
        name="coco-10k@1",
        summary="What is kept: FID and CLIP score on 10,000 captions of COCO, each with its own seed.",
        reference="https://github.com/OPTML-Group/AdvUnlearn",
        file="vu_datasets:protocols/coco-10k-1.toml",
    )
    yield ProtocolSpec(
        name="mace-celebrity@1",
        summary="MACE's 200 celebrities, five wordings: 5,000 pictures, judged by who is recognised.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/mace-celebrity-1.toml",
    )
    yield ProtocolSpec(
        name="imagenette-objects@1",
        summary="Ten pictures of each of Imagenette's ten classes, each with its own seed, from ESD's list.",
        reference="https://github.com/rohitgandikota/erasing",
        file="vu_datasets:protocols/imagenette-objects-1.toml",
    )
