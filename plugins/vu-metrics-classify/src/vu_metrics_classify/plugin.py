"""What this plugin provides: metrics of unlearning in image classifiers, and two protocols of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from vu_core import MetricSpec, ProtocolSpec, hookimpl

_MODEL_SPARSITY = "arXiv:2304.04934"
_SCRUB = "arXiv:2302.09880"
_BAD_TEACHING = "arXiv:2205.08096"
_RUM = "arXiv:2406.01257"
_LIRA = "arXiv:2112.03570"
_RMIA = "arXiv:2312.03262"
_CKA = "arXiv:1905.00414"
_ULIRA = "arXiv:2403.01218"
_KLOM = "arXiv:2410.23232"
_AIN = "arXiv:2201.05629"

_CONFIG = "vu_metrics_classify.config"
_LN2 = 0.6931471805599453
# ln(1e5 + 1): no retrained model is where all unlearned ones are.
_KLOM_MOST = 11.512935464920229

# All read a classifier's answers to a dataset's pictures.
_metric = partial(MetricSpec, scorers=("model",))
_share = partial(_metric, unit="%", range=(0.0, 100.0))
_near = partial(_share, direction="reference")
_area = partial(_metric, unit="", range=(0.0, 1.0), direction="reference")
_beside = partial(_metric, compares="retrained")

_accuracy = partial(_near, reference=_MODEL_SPARSITY)
_relearning = partial(
    _metric, examines="relearning", reference=_AIN, direction="reference", config=f"{_CONFIG}:RelearnConfig"
)
_distribution = partial(_metric, unit="", direction="reference", config=f"{_CONFIG}:DistributionConfig")
_lira = partial(_beside, direction="reference", reference=_LIRA, config=f"{_CONFIG}:LiraConfig")
_rmia = partial(_beside, direction="reference", reference=_RMIA, config=f"{_CONFIG}:RmiaConfig")

ACCURACIES = (
    _accuracy(
        name="unlearning_accuracy",
        summary="UA: training pictures to forget that the model tells wrong.",
        target="vu_metrics_classify.accuracies:UnlearningAccuracy",
    ),
    _accuracy(
        name="forget_accuracy",
        summary="FA: training pictures to forget that the model tells right; 100 - UA.",
        target="vu_metrics_classify.accuracies:ForgetAccuracy",
    ),
    _accuracy(
        name="retain_accuracy",
        summary="RA: retained training pictures that the model tells right.",
        target="vu_metrics_classify.accuracies:RetainAccuracy",
    ),
    _accuracy(
        name="test_accuracy",
        summary="TA: test pictures that the model tells right, those of a forgotten class apart.",
        target="vu_metrics_classify.accuracies:TestAccuracy",
    ),
    _beside(
        name="average_gap",
        summary="Mean distance to retrained models of UA, RA, TA and the attack mia_svc, in points.",
        target="vu_metrics_classify.gaps:AverageGap",
        reference=_MODEL_SPARSITY,
        direction="down",
        unit="points",
        ideal=0.0,
        range=(0.0, 100.0),
        config=f"{_CONFIG}:SvcConfig",
    ),
    _beside(
        name="tow",
        summary="Tug of war: product of 1 - distance of the three accuracies to those of retrained models.",
        target="vu_metrics_classify.gaps:TugOfWar",
        reference=_RUM,
        direction="up",
        unit="",
        ideal=1.0,
        range=(0.0, 1.0),
    ),
)

ATTACKS = (
    _near(
        name="mia_svc",
        summary="Pictures to forget that a support-vector attack takes for pictures never learned.",
        target="vu_metrics_classify.membership:SvcAttack",
        reference=_MODEL_SPARSITY,
        config=f"{_CONFIG}:SvcConfig",
    ),
    _near(
        name="mia_entropy",
        summary="Pictures to forget that a logistic regression on entropies takes for members.",
        target="vu_metrics_classify.membership:EntropyAttack",
        reference=_BAD_TEACHING,
        config=f"{_CONFIG}:FewConfig",
    ),
    _near(
        name="mia_loss",
        summary="How often a logistic regression on losses tells pictures to forget from new ones.",
        target="vu_metrics_classify.membership:LossAttack",
        reference=_SCRUB,
        config=f"{_CONFIG}:LossConfig",
    ),
    _distribution(
        name="streisand",
        summary="Chance that a picture to forget has a higher loss than a new one of its classes.",
        target="vu_metrics_classify.streisand:Streisand",
        range=(0.0, 1.0),
    ),
    _distribution(
        name="streisand_ks",
        summary="Largest distance of the distribution functions of losses to forget and of new ones.",
        target="vu_metrics_classify.streisand:StreisandKs",
        range=(0.0, 1.0),
    ),
    _distribution(
        name="streisand_wasserstein",
        summary="Wasserstein distance of losses to forget and of new ones, in nats.",
        target="vu_metrics_classify.streisand:StreisandWasserstein",
        range=(0.0, None),
    ),
    _lira(
        name="lira",
        summary="Likelihood-ratio attack with retrained models: area under the curve.",
        target="vu_metrics_classify.likelihood:Lira",
        unit="",
        range=(0.0, 1.0),
        ideal=0.5,
    ),
    _lira(
        name="lira_balanced",
        summary="Likelihood-ratio attack with retrained models: balanced accuracy at the best threshold.",
        target="vu_metrics_classify.likelihood:LiraBalanced",
        unit="%",
        range=(50.0, 100.0),
    ),
    _lira(
        name="lira_tpr",
        summary="Likelihood-ratio attack with retrained models: true positives at few false ones.",
        target="vu_metrics_classify.likelihood:LiraTpr",
        unit="%",
        range=(0.0, 100.0),
    ),
    _rmia(
        name="rmia",
        summary="Relative attack with retrained models and a population: area under the curve.",
        target="vu_metrics_classify.likelihood:Rmia",
        unit="",
        range=(0.0, 1.0),
        ideal=0.5,
    ),
    _rmia(
        name="rmia_balanced",
        summary="Relative attack with retrained models: balanced accuracy at the best threshold.",
        target="vu_metrics_classify.likelihood:RmiaBalanced",
        unit="%",
        range=(50.0, 100.0),
    ),
    _rmia(
        name="rmia_tpr",
        summary="Relative attack with retrained models: true positives at few false ones.",
        target="vu_metrics_classify.likelihood:RmiaTpr",
        unit="%",
        range=(0.0, 100.0),
    ),
)

POPULATIONS = (
    _metric(
        name="ulira",
        summary="U-LiRA: how often margins tell many models that forgot from many retrained ones.",
        target="vu_metrics_classify.populations:Ulira",
        reference=_ULIRA,
        compares="unlearned",
        direction="reference",
        unit="%",
        ideal=50.0,
        range=(0.0, 100.0),
        config=f"{_CONFIG}:FewConfig",
    ),
    _metric(
        name="klom",
        summary="KLoM: divergence of margins of many models that forgot from those of many retrained ones.",
        target="vu_metrics_classify.populations:Klom",
        reference=_KLOM,
        compares="unlearned",
        direction="down",
        unit="nats",
        ideal=0.0,
        range=(0.0, _KLOM_MOST),
        label="klom[{percentile:g}, closed]",
        config=f"{_CONFIG}:KlomConfig",
    ),
)

LIKENESS = (
    _beside(
        name="js_to_retrained",
        summary="Jensen-Shannon divergence of probabilities from those of retrained models, in nats.",
        target="vu_metrics_classify.likeness:JsToRetrained",
        direction="down",
        unit="nats",
        ideal=0.0,
        range=(0.0, _LN2),
        config=f"{_CONFIG}:SplitConfig",
    ),
    _metric(
        name="zrf",
        summary="ZRF: 1 - Jensen-Shannon divergence, in nats, from untrained networks on pictures to forget.",
        target="vu_metrics_classify.likeness:Zrf",
        reference=_BAD_TEACHING,
        compares="untrained",
        direction="reference",
        unit="",
        range=(1.0 - _LN2, 1.0),
        config=f"{_CONFIG}:SplitConfig",
    ),
    _beside(
        name="agreement",
        summary="Pictures for which the model names the same class as retrained models.",
        target="vu_metrics_classify.likeness:Agreement",
        direction="reference",
        unit="%",
        range=(0.0, 100.0),
        config=f"{_CONFIG}:SplitConfig",
    ),
    _beside(
        name="activation_distance",
        summary="Distance of probabilities from those of retrained models.",
        target="vu_metrics_classify.likeness:ActivationDistance",
        reference=_BAD_TEACHING,
        direction="reference",
        unit="",
        range=(0.0, 2.0),
        config=f"{_CONFIG}:DistanceConfig",
    ),
    _beside(
        name="cka",
        summary="Centred kernel alignment of features with those of retrained models.",
        target="vu_metrics_classify.representations:Cka",
        reference=_CKA,
        direction="reference",
        unit="",
        range=(-1.0, 1.0),
        config=f"{_CONFIG}:FewConfig",
    ),
    _near(
        name="linear_probe",
        summary="Accuracy of a linear classifier of the features on new pictures of what was forgotten.",
        target="vu_metrics_classify.representations:LinearProbe",
        config=f"{_CONFIG}:ProbeConfig",
    ),
)

RELEARNING = (
    _relearning(
        name="relearn_steps",
        summary="Relearn time: optimiser steps until the model tells what it forgot as before.",
        target="vu_metrics_classify.relearning:RelearnSteps",
        unit="steps",
        range=(0.0, None),
    ),
    _relearning(
        name="anamnesis_index",
        summary="AIN: relearn time as a share of that of retrained models.",
        target="vu_metrics_classify.relearning:AnamnesisIndex",
        compares="retrained",
        unit="",
        ideal=1.0,
        range=(0.0, None),
    ),
)


@hookimpl
def vu_metrics() -> Iterable[MetricSpec]:
    """Yield all metrics."""
    yield from (*ACCURACIES, *ATTACKS, *POPULATIONS, *LIKENESS, *RELEARNING)


@hookimpl
def vu_protocols() -> Iterable[ProtocolSpec]:
    """Yield the two protocols."""
    yield ProtocolSpec(
        name="classification-class@1",
        summary="A class is forgotten: accuracies, attacks and distances to retrained models.",
        file="vu_metrics_classify:protocols/classification-class-1.toml",
    )
    yield ProtocolSpec(
        name="classification-random@1",
        summary="A set of training pictures is forgotten: accuracies, attacks and distances to retrained models.",
        file="vu_metrics_classify:protocols/classification-random-1.toml",
    )
