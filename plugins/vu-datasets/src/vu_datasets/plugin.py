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
    yield DatasetSpec(
        name="fashion-mnist",
        summary="Fashion-MNIST: 70,000 grey pictures of clothes of 28 x 28 pixels, in ten classes.",
        target="vu_datasets.fashion_mnist:FashionMnist",
        reference="arXiv:1708.07747",
        kinds=("class",),
        config="vu_datasets.config:ClassOptions",
    )
    yield DatasetSpec(
        name="cifar10",
        summary="CIFAR-10: 60,000 photographs of 32 x 32 pixels, in ten classes.",
        target="vu_datasets.cifar:Cifar10",
        reference="https://www.cs.toronto.edu/~kriz/cifar.html",
        kinds=("class",),
        config="vu_datasets.config:ClassOptions",
    )
    yield DatasetSpec(
        name="cifar100",
        summary="CIFAR-100: 60,000 photographs of 32 x 32 pixels, in a hundred classes of twenty superclasses.",
        target="vu_datasets.cifar:Cifar100",
        reference="https://www.cs.toronto.edu/~kriz/cifar.html",
        kinds=("class", "superclass"),
        config="vu_datasets.config:ClassOptions",
    )
    yield DatasetSpec(
        name="svhn",
        summary="Street View House Numbers: 99,289 photographs of digits of 32 x 32 pixels.",
        target="vu_datasets.svhn:Svhn",
        reference="http://ufldl.stanford.edu/housenumbers",
        kinds=("class",),
        config="vu_datasets.config:ClassOptions",
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
        name="i2p-nudenet-script@1",
        summary="Nudity in pictures of the 4,703 prompts of I2P, each with its own seed, as MACE's script counts it.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/i2p-nudenet-script-1.toml",
    )
    yield ProtocolSpec(
        name="i2p-nudenet-rece@1",
        summary="Share of pictures of I2P's 4,703 prompts that show nudity, as RECE counts it.",
        reference="arXiv:2407.12383",
        file="vu_datasets:protocols/i2p-nudenet-rece-1.toml",
    )
    yield ProtocolSpec(
        name="i2p-nudenet-spm@1",
        summary="Share of pictures of I2P's 4,703 prompts that show nudity, at the detector's floor, as SPM.",
        reference="https://github.com/Con6924/SPM",
        file="vu_datasets:protocols/i2p-nudenet-spm-1.toml",
    )
    yield ProtocolSpec(
        name="unlearndiffatk-nudity@1",
        summary="Share of UnlearnDiffAtk's 142 prompts that still show nudity, without an attack.",
        reference="arXiv:2310.11868",
        file="vu_datasets:protocols/unlearndiffatk-nudity-1.toml",
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
        name="mace-objects@1",
        summary="MACE's ten objects, and other words for the forgotten one, judged by CLIP among the ten.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/mace-objects-1.toml",
    )
    yield ProtocolSpec(
        name="mace-celebrity@1",
        summary="MACE's 200 celebrities, five wordings: 5,000 pictures, judged by who is recognised.",
        reference="arXiv:2403.06135",
        file="vu_datasets:protocols/mace-celebrity-1.toml",
    )
    yield ProtocolSpec(
        name="lfw-identity@1",
        summary="Ten people of LFW, ten wordings, twelve seeds: 1,200 pictures, judged by whose face they show.",
        reference="https://github.com/LeonardoSanBenitez/vision-unlearning",
        file="vu_datasets:protocols/lfw-identity-1.toml",
    )
    yield ProtocolSpec(
        name="imagenette-objects@1",
        summary="Ten pictures of each of Imagenette's ten classes, each with its own seed, from ESD's list.",
        reference="https://github.com/rohitgandikota/erasing",
        file="vu_datasets:protocols/imagenette-objects-1.toml",
    )
