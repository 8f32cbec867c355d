"""Scorers with published weights, as specs: nothing heavy is imported."""

from __future__ import annotations

from functools import partial

from vu_core import ScorerSpec

_inception = partial(
    ScorerSpec,
    reference="arXiv:1706.08500",
    outputs="features",
    role="features",
)

_mobilenet = partial(ScorerSpec, reference="arXiv:1801.04381")

_clip = partial(ScorerSpec, reference="arXiv:2103.00020")

CLIPS = (
    _clip(
        name="clip-vit-base-patch32",
        summary="Cosine of picture and prompt in CLIP ViT-B/32.",
        target="vu_metrics_image.clip:base_agreement",
        outputs="similarity",
        role="clip",
    ),
    _clip(
        name="clip-vit-large-patch14",
        summary="Cosine of picture and prompt in CLIP ViT-L/14.",
        target="vu_metrics_image.clip:large_agreement",
        outputs="similarity",
        role="clip",
    ),
    _clip(
        name="clip-vit-base-patch32-cifar10",
        summary="CLIP ViT-B/32 among CIFAR-10's ten classes, as MACE asks it.",
        target="vu_metrics_image.clip:base_cifar10",
        reference="arXiv:2403.06135",
        outputs="classes",
        role="object",
    ),
    _clip(
        name="clip-vit-large-patch14-336",
        summary="Embedding of CLIP ViT-L/14 at 336 pixels, in which CMMD is published.",
        target="vu_metrics_image.clip:large_336_embedding",
        outputs="features",
        role="features",
    ),
    _clip(
        name="q16-clip-vit-large-patch14",
        summary="Q16: two vectors learned in CLIP ViT-L/14 tell inappropriate pictures from others.",
        target="vu_metrics_image.clip:Q16",
        reference="arXiv:2202.06675",
        outputs="detections",
        role="q16",
    ),
)

SCORERS = (
    ScorerSpec(
        name="lpips-alex",
        summary="Features of AlexNet in which LPIPS is the squared distance.",
        target="vu_metrics_image.perceptual:alex",
        reference="arXiv:1801.03924",
        outputs="features",
        role="lpips",
    ),
    ScorerSpec(
        name="lpips-vgg",
        summary="Features of VGG16 in which LPIPS is the squared distance.",
        target="vu_metrics_image.perceptual:vgg",
        reference="arXiv:1801.03924",
        outputs="features",
        role="lpips",
    ),
    _inception(
        name="inception-v3-torch-fidelity",
        summary="Features of FID's Inception, pictures resized as torch-fidelity does: no antialiasing.",
        target="vu_metrics_image.inception:torch_fidelity",
    ),
    _inception(
        name="inception-v3-torchmetrics",
        summary="Features of FID's Inception, pictures resized as torchmetrics does: bilinear, antialiased.",
        target="vu_metrics_image.inception:torchmetrics",
    ),
    _inception(
        name="inception-v3-clean-fid",
        summary="Features of FID's Inception, pictures resized as clean-fid does: Pillow's bicubic.",
        target="vu_metrics_image.inception:clean_fid",
        reference="arXiv:2104.11222",
    ),
    _mobilenet(
        name="mobilenet-v2-imagenet",
        summary="The 1280 features of torchvision's MobileNetV2, trained on ImageNet.",
        target="vu_metrics_image.mobilenet:features",
        outputs="features",
        role="features",
    ),
    _mobilenet(
        name="imagenette-mobilenet-v2",
        summary="Which of Imagenette's ten classes MobileNetV2 sees, or another of ImageNet's thousand.",
        target="vu_metrics_image.mobilenet:imagenette",
        outputs="classes",
        role="object",
    ),
    ScorerSpec(
        name="brisque-live",
        summary="BRISQUE with the support vectors of its authors: how natural a picture looks.",
        target="vu_metrics_image.brisque:Brisque",
        reference="doi:10.1109/TIP.2012.2214050",
        outputs="features",
        role="quality",
    ),
    ScorerSpec(
        name="open-nsfw",
        summary="Yahoo's open_nsfw: how likely a picture is not safe for work.",
        target="vu_metrics_image.nsfw:OpenNsfw",
        reference="https://github.com/yahoo/open_nsfw",
        outputs="detections",
        role="nsfw",
    ),
    ScorerSpec(
        name="nudenet-320n",
        summary="NudeNet's small detector of 18 covered and exposed parts of bodies.",
        target="vu_metrics_image.nsfw:NudeNet",
        reference="https://github.com/notAI-tech/NudeNet",
        outputs="detections",
        role="nudity",
    ),
    *CLIPS,
)
