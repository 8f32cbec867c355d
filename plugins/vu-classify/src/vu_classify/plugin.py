"""What this plugin offers to vu; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from vu_core import CommandSpec, UnlearnerSpec, hookimpl

_NEEDS = ("TensorSource", "Classifies")

_spec = partial(UnlearnerSpec, needs=_NEEDS, families=("classifier",))


@hookimpl
def vu_unlearners() -> Iterator[UnlearnerSpec]:
    """Yield the unlearners of image classifiers."""
    yield from _training()
    yield from _dampening()
    yield from _teaching()
    yield from _reshaping()


@hookimpl
def vu_commands() -> Iterator[CommandSpec]:
    """Yield the command that makes many retrained models at once."""
    yield CommandSpec(
        name="retrain",
        summary="Train a classifier again without what is forgotten, many times at once.",
        target="vu_classify.command:retrain_command",
    )


def _training() -> Iterator[UnlearnerSpec]:
    yield _spec(
        name="retrain",
        summary="Train the model again without what is forgotten: the reference of all others.",
        target="vu_classify.retrain:Retrain",
        config="vu_classify.config:RetrainConfig",
        needs=(*_NEEDS, "Retrains"),
    )
    yield _spec(
        name="fine-tune",
        summary="Train on, with what is retained alone.",
        target="vu_classify.fine_tune:FineTune",
        config="vu_classify.config:FineTuneConfig",
    )
    yield _spec(
        name="gradient-ascent",
        summary="Climb the loss of what is forgotten; reads nothing else.",
        target="vu_classify.gradient_ascent:GradientAscent",
        config="vu_classify.config:GradientAscentConfig",
    )
    yield _spec(
        name="neggrad-plus",
        summary="NegGrad+: descend the loss of what is retained while climbing that of what is forgotten.",
        target="vu_classify.gradient_ascent:NegGradPlus",
        config="vu_classify.config:NegGradPlusConfig",
        reference="arXiv:2302.09880",
    )
    yield _spec(
        name="random-label",
        summary="Train on with random labels for what is forgotten.",
        target="vu_classify.random_label:RandomLabel",
        config="vu_classify.config:RandomLabelConfig",
        reference="arXiv:2010.10981",
    )
    yield _spec(
        name="l1-sparse",
        summary="Fine-tune with an l1 penalty on all weights, which falls with the epochs.",
        target="vu_classify.fine_tune:L1Sparse",
        config="vu_classify.config:L1SparseConfig",
        reference="arXiv:2304.04934",
    )
    yield _spec(
        name="salun",
        summary="SalUn: random labels, learned by the weights with the largest gradients on the forget set.",
        target="vu_classify.salun:Salun",
        config="vu_classify.config:SalunConfig",
        reference="arXiv:2310.12508",
    )


def _dampening() -> Iterator[UnlearnerSpec]:
    ssd = partial(_spec, config="vu_classify.config:SsdConfig")
    yield ssd(
        name="ssd",
        summary="SSD: make weights smaller that matter far more to what is forgotten than to the rest.",
        target="vu_classify.ssd:Ssd",
        reference="arXiv:2308.07707",
    )
    yield ssd(
        name="lfssd",
        summary="Loss-free SSD: importance from the size of the logits, without labels.",
        target="vu_classify.ssd:Lfssd",
        reference="arXiv:2402.19308",
    )
    yield _spec(
        name="assd",
        summary="Adaptive SSD: what is dampened follows from the size of the forget set.",
        target="vu_classify.ssd:Assd",
        config="vu_classify.config:AssdConfig",
        reference="arXiv:2402.10098",
    )


def _teaching() -> Iterator[UnlearnerSpec]:
    yield _spec(
        name="scrub",
        summary="SCRUB: away from the original on what is forgotten, near to it on the rest; can rewind.",
        target="vu_classify.scrub:Scrub",
        config="vu_classify.config:ScrubConfig",
        reference="arXiv:2302.09880",
    )
    yield _spec(
        name="bad-teacher",
        summary="Bad Teacher: learn what is forgotten from an untrained teacher, the rest from the original.",
        target="vu_classify.bad_teacher:BadTeacher",
        config="vu_classify.config:BadTeacherConfig",
        reference="arXiv:2205.08096",
        needs=(*_NEEDS, "Retrains"),
    )
    yield _spec(
        name="boundary-shrink",
        summary="Boundary shrink: give what is forgotten the label of the nearest other class.",
        target="vu_classify.boundary_shrink:BoundaryShrink",
        config="vu_classify.config:BoundaryShrinkConfig",
        reference="arXiv:2303.11570",
    )


def _reshaping() -> Iterator[UnlearnerSpec]:
    yield _spec(
        name="unsir",
        summary="UNSIR: impair with noise that stands for a class, then repair; reads nothing of the class.",
        target="vu_classify.unsir:Unsir",
        config="vu_classify.config:UnsirConfig",
        reference="arXiv:2111.08947",
    )
    yield _spec(
        name="jit",
        summary="JIT: make the answers vary little around what is forgotten; reads nothing else, no label.",
        target="vu_classify.jit:Jit",
        config="vu_classify.config:JitConfig",
        reference="arXiv:2402.01401",
    )
    yield _spec(
        name="ct",
        summary="CT: transpose all kernels, then fine-tune on what is retained.",
        target="vu_classify.reshaping:Ct",
        config="vu_classify.config:CtConfig",
        reference="arXiv:2410.01276",
    )
    yield _spec(
        name="msg",
        summary="MSG: draw anew the weights that tell forgetting from retaining least, then fine-tune.",
        target="vu_classify.reshaping:Msg",
        config="vu_classify.config:MsgConfig",
        reference="arXiv:2410.01276",
    )
