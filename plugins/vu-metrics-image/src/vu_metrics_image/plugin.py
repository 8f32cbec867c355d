"""What this plugin provides: metrics of text-to-image unlearning, and scorers with published weights."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from vu_core import MetricSpec, ScorerSpec, hookimpl
from vu_core.specs import EACH_KIND
from vu_metrics_image.scorers import SCORERS

_UNLEARNCANVAS = "arXiv:2402.11846"
_MACE = "arXiv:2403.06135"
_CLIPSCORE = "arXiv:2104.08718"
_IMPROVED_PRECISION = "arXiv:1904.06991"
_DENSITY = "arXiv:2002.09797"
_I2P = "arXiv:2211.05105"
_Q16 = "arXiv:2202.06675"

_SET_OPTIONS = "vu_metrics_image.config:SetConfig"

# Shares of pictures, judged by one classifier a kind of concept.
_share = partial(MetricSpec, unit="%", range=(0.0, 100.0), scorers=(EACH_KIND,))

# Each picture with the prompt it was drawn from.
_agreement = partial(MetricSpec, scorers=("clip",), reference=_CLIPSCORE, direction="up", forget_direction="down")

# One number a picture, after unlearning beside before: little should change on what is retained.
_pairs = partial(MetricSpec, compares="before", min_samples=30)
_distance = partial(_pairs, direction="down", forget_direction="up", ideal=0.0)
_likeness = partial(_pairs, direction="up", forget_direction="down")

# Sets of pictures against real ones, in the features of one scorer, which is part of the result's name.
_sets = partial(MetricSpec, unit="", scorers=("features",), compares="pictures", config=_SET_OPTIONS, min_samples=2)
_distance_of_sets = partial(_sets, direction="down", forget_direction="up")
_cover = partial(_sets, direction="up", forget_direction="down", config="vu_metrics_image.config:ManifoldConfig")

# What a detector finds in a picture, wanted nowhere; thresholds are part of the result's name.
_finding = partial(MetricSpec, direction="down", ideal=0.0)
_rate = partial(_finding, unit="%", range=(0.0, 100.0))

METRICS = (
    _share(
        name="ua",
        summary="Unlearning accuracy: pictures of the forgotten concept that are judged to be anything else.",
        target="vu_metrics_image.classification:UnlearningAccuracy",
        reference=_UNLEARNCANVAS,
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="ua_recognised",
        summary="Pictures of the forgotten concept that are recognised as another listed concept.",
        target="vu_metrics_image.classification:RecognisedUnlearningAccuracy",
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="ua_synonyms",
        summary="Unlearning accuracy of pictures that ask for the forgotten concept in other words.",
        target="vu_metrics_image.classification:SynonymUnlearningAccuracy",
        reference=_MACE,
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="replaced",
        summary="Pictures of the forgotten concept that show what the request puts in its place.",
        target="vu_metrics_image.classification:Replaced",
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="unrecognised",
        summary="Pictures in which nothing is recognisable: destroying is not forgetting.",
        target="vu_metrics_image.classification:Unrecognised",
        direction="down",
        ideal=0.0,
    ),
    _share(
        name="ira",
        summary="In-domain retain accuracy: other concepts of the forgotten one's kind, still recognised.",
        target="vu_metrics_image.classification:InDomainRetainAccuracy",
        reference=_UNLEARNCANVAS,
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="cra",
        summary="Cross-domain retain accuracy: concepts of the other kinds, still recognised.",
        target="vu_metrics_image.classification:CrossDomainRetainAccuracy",
        reference=_UNLEARNCANVAS,
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="confidence",
        summary="Mean probability that the judge gives to what the prompt asks for: MACE's CLIP accuracy.",
        target="vu_metrics_image.classification:Confidence",
        reference=_MACE,
        direction="up",
        forget_direction="down",
        ideal=100.0,
    ),
    _share(
        name="h_c",
        summary="Harmonic mean of ua and ira: what is erased and what is kept, in one number.",
        target="vu_metrics_image.harmonic:ErasedAndKept",
        reference=_MACE,
        direction="up",
        ideal=100.0,
    ),
    _share(
        name="h_o",
        summary="Harmonic mean of ua, ira and ua_synonyms: MACE's number for objects.",
        target="vu_metrics_image.harmonic:ErasedKeptAndGeneral",
        reference=_MACE,
        direction="up",
        ideal=100.0,
    ),
    _agreement(
        name="clip_score",
        summary="Cosine of picture and prompt in a CLIP, times 100, not clamped.",
        target="vu_metrics_image.similarity:ClipScore",
        unit="100 cos",
        range=(-100.0, 100.0),
        label="clip_score[{clip},100*cos]",
    ),
    _agreement(
        name="clip_cosine",
        summary="Cosine of picture and prompt in a CLIP.",
        target="vu_metrics_image.similarity:ClipCosine",
        unit="",
        range=(-1.0, 1.0),
        label="clip_cosine[{clip}]",
    ),
    _agreement(
        name="clip_score_25",
        summary="Cosine of picture and prompt in a CLIP, at least 0, times 2.5: the original CLIPScore's scale.",
        target="vu_metrics_image.similarity:ClipScore25",
        unit="",
        range=(0.0, 2.5),
        label="clip_score_25[{clip},2.5*max(cos,0)]",
    ),
    _likeness(
        name="psnr",
        summary="Peak signal-to-noise ratio of each picture and the one before unlearning.",
        target="vu_metrics_image.pairs:Psnr",
        unit="dB",
        range=(0.0, None),
    ),
    _likeness(
        name="ssim",
        summary="Structural similarity of each picture and the one before unlearning.",
        target="vu_metrics_image.pairs:Ssim",
        reference="doi:10.1109/TIP.2003.819861",
        unit="",
        range=(-1.0, 1.0),
        ideal=1.0,
    ),
    _likeness(
        name="ms_ssim",
        summary="Structural similarity at five scales of each picture and the one before; from 176 pixels.",
        target="vu_metrics_image.pairs:MsSsim",
        reference="doi:10.1109/ACSSC.2003.1292216",
        unit="",
        range=(0.0, 1.0),
        ideal=1.0,
    ),
    _distance(
        name="lpips",
        summary="Learned perceptual distance of each picture and the one before unlearning.",
        target="vu_metrics_image.pairs:Lpips",
        reference="arXiv:1801.03924",
        unit="",
        range=(0.0, None),
        scorers=("lpips",),
        label="lpips[{lpips}]",
    ),
    _distance(
        name="image_distance",
        summary="1 - cos of the features of each picture and the one before: CLIP image distance.",
        target="vu_metrics_image.pairs:FeatureCosine",
        unit="",
        range=(0.0, 2.0),
        scorers=("features",),
        label="image_distance[{features}]",
    ),
    MetricSpec(
        name="brisque",
        summary="BRISQUE: how natural a picture looks by itself, 0 to 100 on ordinary pictures.",
        target="vu_metrics_image.brisque:BrisqueMean",
        reference="doi:10.1109/TIP.2012.2214050",
        direction="down",
        unit="",
        min_samples=100,
        scorers=("quality",),
        label="brisque[{quality}]",
    ),
    _distance_of_sets(
        name="fid",
        summary="Frechet distance between the features of the pictures and of real ones.",
        target="vu_metrics_image.distances:Fid",
        reference="arXiv:1706.08500",
        range=(0.0, None),
        label="fid[{features}]",
    ),
    _distance_of_sets(
        name="fid_to_base",
        summary="Frechet distance between the features of the pictures and of those before unlearning.",
        target="vu_metrics_image.distances:Fid",
        reference="arXiv:1706.08500",
        compares="before",
        ideal=0.0,
        range=(0.0, None),
        label="fid_to_base[{features}]",
    ),
    _distance_of_sets(
        name="kid",
        summary="Unbiased kernel distance between the features of the pictures and of real ones, times 1000.",
        target="vu_metrics_image.distances:Kid",
        reference="arXiv:1801.01401",
        unit="x1000",
        label="kid[{features}]",
    ),
    _distance_of_sets(
        name="cmmd",
        summary="Kernel distance between embeddings of the pictures and of real ones, times 1000.",
        target="vu_metrics_image.distances:Cmmd",
        reference="arXiv:2401.09603",
        unit="x1000",
        range=(0.0, 40.0),
        label="cmmd[{features}]",
    ),
    _cover(
        name="precision",
        summary="Share of the pictures that lie among real ones.",
        target="vu_metrics_image.manifolds:Precision",
        reference=_IMPROVED_PRECISION,
        range=(0.0, 1.0),
        label="precision[{features}]",
    ),
    _cover(
        name="recall",
        summary="Share of the real pictures that lie among those drawn.",
        target="vu_metrics_image.manifolds:Recall",
        reference=_IMPROVED_PRECISION,
        range=(0.0, 1.0),
        label="recall[{features}]",
    ),
    _cover(
        name="density",
        summary="How densely real pictures lie around those drawn; may exceed 1.",
        target="vu_metrics_image.manifolds:Density",
        reference=_DENSITY,
        range=(0.0, None),
        label="density[{features}]",
    ),
    _cover(
        name="coverage",
        summary="Share of the real pictures that have a drawn one nearby.",
        target="vu_metrics_image.manifolds:Coverage",
        reference=_DENSITY,
        range=(0.0, 1.0),
        label="coverage[{features}]",
    ),
    _finding(
        name="nudity_detections",
        summary="How many bare parts of bodies a detector finds in all pictures together, as MACE counts.",
        target="vu_metrics_image.detections:NudityDetections",
        reference=_MACE,
        unit="detections",
        range=(0.0, None),
        scorers=("nudity",),
        label="nudity_detections[{nudity},{operator}{threshold:g}]",
        config="vu_metrics_image.config:NudityConfig",
    ),
    _rate(
        name="nudity_rate",
        summary="Pictures in which a detector finds a bare part of a body.",
        target="vu_metrics_image.detections:NudityRate",
        reference="arXiv:2310.11868",
        scorers=("nudity",),
        label="nudity_rate[{nudity},{operator}{threshold:g}]",
        config="vu_metrics_image.config:NudityConfig",
    ),
    _rate(
        name="nsfw_rate",
        summary="Pictures that a classifier calls not safe for work.",
        target="vu_metrics_image.detections:NsfwRate",
        reference="https://github.com/yahoo/open_nsfw",
        scorers=("nsfw",),
        label="nsfw_rate[{nsfw},{operator}{threshold:g}]",
        config="vu_metrics_image.config:NsfwConfig",
    ),
    _rate(
        name="q16_rate",
        summary="Pictures that Q16 calls inappropriate.",
        target="vu_metrics_image.detections:Q16Rate",
        reference=_Q16,
        scorers=("q16",),
        label="q16_rate[{q16}]",
        config="vu_metrics_image.config:Q16Config",
    ),
    _rate(
        name="inappropriate_rate",
        summary="Pictures that Q16 or a nudity detector objects to: I2P's inappropriate probability.",
        target="vu_metrics_image.detections:InappropriateRate",
        reference=_I2P,
        scorers=("q16", "nudity"),
        label="inappropriate_rate[{q16},{nudity},{operator}{threshold:g}]",
        config="vu_metrics_image.config:InappropriateConfig",
    ),
    _rate(
        name="inappropriate_expected_max",
        summary="Largest share of a prompt's pictures that are objected to, expected among 25 prompts.",
        target="vu_metrics_image.detections:InappropriateExpectedMax",
        reference=_I2P,
        scorers=("q16", "nudity"),
        label="inappropriate_expected_max[{q16},{nudity},{operator}{threshold:g}]",
        config="vu_metrics_image.config:InappropriateConfig",
    ),
)


@hookimpl
def vu_metrics() -> Iterable[MetricSpec]:
    """Return the metrics."""
    return METRICS


@hookimpl
def vu_scorers() -> Iterable[ScorerSpec]:
    """Return the scorers whose weights others publish."""
    return SCORERS
