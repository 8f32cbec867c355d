"""What this plugin provides: metrics of text-to-image unlearning."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from vu_core import MetricSpec, hookimpl
from vu_core.specs import EACH_KIND

_UNLEARNCANVAS = "arXiv:2402.11846"
_CLIPSCORE = "arXiv:2104.08718"

# Shares of pictures, judged by one classifier a kind of concept.
_share = partial(MetricSpec, unit="%", range=(0.0, 100.0), scorers=(EACH_KIND,))

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
    MetricSpec(
        name="clip_score",
        summary="Cosine of picture and prompt in a CLIP, times 100, not clamped.",
        target="vu_metrics_image.similarity:ClipScore",
        reference=_CLIPSCORE,
        direction="up",
        forget_direction="down",
        unit="100 cos",
        range=(-100.0, 100.0),
        scorers=("clip",),
        label="clip_score[{clip},100*cos]",
    ),
)


@hookimpl
def vu_metrics() -> Iterable[MetricSpec]:
    """Return the metrics."""
    return METRICS
