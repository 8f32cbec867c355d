"""Options of the unlearners; the defaults are published ones for CIFAR-10 and ResNet-18."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vu_train.settings import EpochSettings, with_default

Augment = Literal["as-trained", "none", "crop-flip"]

_AUGMENT = {
    "help": "as-trained: shift and mirror images as the model's recipe says; none: as they are; crop-flip: in any case"
}
_FORGET_BATCH = {"help": "images a step on the forget set; none: batch_size", "ge": 1}
_ANCHOR = {"help": "weight of half the squared distance from the original weights", "ge": 0}


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """How the model is trained again; everything else is its recipe."""

    seed: Literal["run", "recipe"] = field(
        default="run",
        metadata={"help": "weights and order are decided by the run's seed, or by the one the model was trained with"},
    )


@dataclass(frozen=True, kw_only=True)
class UnlearnSettings(EpochSettings):
    """What the methods that train the model further share; weight_decay acts on all weights."""

    learning_rate: float = with_default(EpochSettings, "learning_rate", 0.01)
    augment: Augment = field(default="as-trained", metadata=_AUGMENT)


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(UnlearnSettings):
    """Fine-tuning, as Jia et al. run it."""

    anchor: float = field(default=0.0, metadata=_ANCHOR)


@dataclass(frozen=True, kw_only=True)
class GradientAscentConfig(UnlearnSettings):
    """Gradient ascent, as Jia et al. run it."""

    epochs: int = with_default(EpochSettings, "epochs", 5)
    learning_rate: float = with_default(EpochSettings, "learning_rate", 1e-4)
    target_accuracy: float | None = field(
        default=None,
        metadata={
            "help": "end when the accuracy on the forget set is at most this share; none: never",
            "ge": 0,
            "le": 1,
        },
    )
    max_loss: float | None = field(
        default=None, metadata={"help": "end when the loss on the forget set is larger; none: never", "gt": 0}
    )


@dataclass(frozen=True, kw_only=True)
class NegGradPlusConfig(UnlearnSettings):
    """NegGrad+, with the weight that SCRUB's authors give it."""

    retain_weight: float = field(
        default=0.95,
        metadata={"help": "weight of the retain loss; the rest is the forget loss's", "ge": 0, "le": 1, "symbol": "α"},
    )
    forget_batch_size: int | None = field(default=None, metadata=_FORGET_BATCH)
    max_forget_loss: float | None = field(
        default=None, metadata={"help": "a batch's forget loss beyond which it pushes no further; none: any", "gt": 0}
    )
    anchor: float = field(default=0.0, metadata={**_ANCHOR, "help": f"{_ANCHOR['help']}, inside the retain term"})


@dataclass(frozen=True, kw_only=True)
class RandomLabelConfig(UnlearnSettings):
    """Random labels, as SalUn's code draws them for CIFAR-10."""

    exclude_true: bool = field(default=False, metadata={"help": "whether a random label is never the true one"})
    redraw: Literal["once", "epoch"] = field(default="epoch", metadata={"help": "when labels are drawn"})
    order: Literal["forget-then-retain", "mixed"] = field(
        default="forget-then-retain", metadata={"help": "an epoch is one pass over each set, or one over both mixed"}
    )


@dataclass(frozen=True, kw_only=True)
class L1SparseConfig(UnlearnSettings):
    """Fine-tuning with an l1 penalty that falls from epoch to epoch."""

    sparsity: float = field(
        default=5e-4, metadata={"help": "weight of the sum of all absolute weights", "ge": 0, "symbol": "γ"}
    )
    course: Literal["decay", "constant"] = field(
        default="decay", metadata={"help": "decay: the weight falls linearly, by epochs"}
    )
    dense_epochs: int = field(default=0, metadata={"help": "last epochs without the penalty", "ge": 0})


@dataclass(frozen=True, kw_only=True)
class ImportanceSettings:
    """How the importance of weights is measured, in eval mode, on images as they are."""

    batch_size: int = field(
        default=128, metadata={"help": "images whose mean loss makes one gradient, for both sets", "ge": 1}
    )
    per_sample: bool = field(
        default=False,
        metadata={"help": "square each image's own gradient, as Fisher's information does, not a batch's mean"},
    )


@dataclass(frozen=True, kw_only=True)
class SsdConfig(ImportanceSettings):
    """Selective synaptic dampening."""

    selection: float = field(
        default=10.0,
        metadata={
            "help": "a weight is dampened when it is so many times as important to the forget set as to all images",
            "gt": 0,
            "example": 1.0,
            "symbol": "α",
        },
    )
    dampening: float = field(
        default=1.0,
        metadata={"help": "times the ratio of importances: what a weight is multiplied by", "ge": 0, "symbol": "λ"},
    )
    compared: Literal["all", "retain"] = field(
        default="all", metadata={"help": "with whose importance that of the forget set is compared"}
    )


@dataclass(frozen=True, kw_only=True)
class AssdConfig(ImportanceSettings):
    """SSD whose selection follows from the size of the forget set."""

    dampening: float = field(
        default=0.1,
        metadata={"help": "times the ratio of importances: what a weight is multiplied by", "ge": 0, "symbol": "λ"},
    )
    compared: Literal["all", "retain"] = field(
        default="retain", metadata={"help": "with whose importance that of the forget set is compared"}
    )


@dataclass(frozen=True, kw_only=True)
class SalunConfig(RandomLabelConfig):
    """Random labels for the weights with the largest gradients on the forget set."""

    learning_rate: float = with_default(EpochSettings, "learning_rate", 0.013)
    share: float = field(
        default=0.5, metadata={"help": "share of all weights that may change", "ge": 0, "le": 1, "symbol": "s"}
    )
    frozen: Literal["weights", "gradients"] = field(
        default="weights",
        metadata={
            "help": "weights: the others stay as they are, as since 2026 in the authors' code; gradients: only their "
            "gradients are 0, so weight_decay moves them, as in the published tables"
        },
    )


@dataclass(frozen=True, kw_only=True)
class ScrubConfig(UnlearnSettings):
    """SCRUB, as its authors run it on CIFAR-10."""

    epochs: int = with_default(EpochSettings, "epochs", 3)
    learning_rate: float = with_default(EpochSettings, "learning_rate", 5e-4)
    batch_size: int = with_default(EpochSettings, "batch_size", 128)
    forget_batch_size: int | None = field(default=32, metadata=_FORGET_BATCH)
    max_epochs: int = field(
        default=2,
        metadata={"help": "first epochs that begin with steps away from the teacher", "ge": 0, "symbol": "msteps"},
    )
    temperature: float = field(default=4.0, metadata={"help": "of both softmaxes", "gt": 0, "symbol": "T"})
    task_weight: float = field(
        default=0.99, metadata={"help": "of the cross-entropy on the retain set", "ge": 0, "symbol": "γ"}
    )
    teacher_weight: float = field(
        default=0.001, metadata={"help": "of the distance to the teacher on the retain set", "ge": 0, "symbol": "α"}
    )
    rewind: bool = field(
        default=False,
        metadata={
            "help": "SCRUB+R: take the epoch whose forget error is nearest to the last one's error on validation images"
        },
    )


@dataclass(frozen=True, kw_only=True)
class BadTeacherConfig(UnlearnSettings):
    """Two teachers: the original for what is retained, an untrained one for what is forgotten."""

    epochs: int = with_default(EpochSettings, "epochs", 1)
    learning_rate: float = with_default(EpochSettings, "learning_rate", 1e-4)
    optimizer: Literal["sgd", "adam", "adamw"] = with_default(EpochSettings, "optimizer", "adam")
    weight_decay: float = with_default(EpochSettings, "weight_decay", 0.0)
    temperature: float = field(default=1.0, metadata={"help": "of all softmaxes", "gt": 0, "symbol": "T"})
    retain_share: float = field(
        default=0.3, metadata={"help": "share of the retain set that is used, drawn by the seed", "gt": 0, "le": 1}
    )
    reduction: Literal["batch-mean", "element-mean"] = field(
        default="batch-mean",
        metadata={
            "help": "element-mean divides the divergence by the number of classes, too, as the released code does"
        },
    )


@dataclass(frozen=True, kw_only=True)
class BoundaryShrinkConfig(UnlearnSettings):
    """Boundary shrink: each image to forget takes the label of the nearest other class."""

    epochs: int = with_default(EpochSettings, "epochs", 20)
    learning_rate: float = with_default(EpochSettings, "learning_rate", 1e-4)
    weight_decay: float = with_default(EpochSettings, "weight_decay", 0.0)
    batch_size: int = with_default(EpochSettings, "batch_size", 128)
    step: float = field(
        default=0.1,
        metadata={"help": "length of the step across the boundary, in pixel values", "ge": 0, "symbol": "ε"},
    )


@dataclass(frozen=True, kw_only=True)
class UnsirConfig(UnlearnSettings):
    """UNSIR: learn noise for a class, then repair; epochs are those of each of the two phases."""

    epochs: int = with_default(EpochSettings, "epochs", 1)
    learning_rate: float = with_default(EpochSettings, "learning_rate", 0.02)
    repair_learning_rate: float = field(default=0.01, metadata={"help": "of the repair phase", "ge": 0})
    optimizer: Literal["sgd", "adam", "adamw"] = with_default(EpochSettings, "optimizer", "adam")
    weight_decay: float = with_default(EpochSettings, "weight_decay", 0.0)
    noise_images: int = field(default=256, metadata={"help": "noise images a class", "ge": 1})
    noise_steps: int = field(default=40, metadata={"help": "steps that maximise their loss", "ge": 0})
    noise_learning_rate: float = field(default=0.1, metadata={"help": "of these steps, by Adam", "gt": 0})
    noise_penalty: float = field(
        default=0.1, metadata={"help": "weight of the mean squared norm of the noise", "ge": 0, "symbol": "λ"}
    )
    repeats: int = field(default=20, metadata={"help": "times that each noise image is shown", "ge": 1})
    retain_each: int = field(default=1000, metadata={"help": "at most so many images of each retained class", "ge": 1})
    legacy_noise_count: bool = field(
        default=False, metadata={"help": "use the first three noise images only, as the released code does"}
    )


@dataclass(frozen=True, kw_only=True)
class JitConfig:
    """JIT: make the model smooth around the images to forget, in one pass over them."""

    learning_rate: float = field(default=3e-4, metadata={"help": "of plain SGD", "ge": 0, "identity": 0, "symbol": "η"})
    noise: float = field(
        default=0.5,
        metadata={
            "help": "standard deviation of the perturbations: 0.5 for a class, 0.01 for samples",
            "gt": 0,
            "symbol": "σ",
        },
    )
    samples: int = field(default=25, metadata={"help": "perturbations an image", "ge": 1, "symbol": "N"})
    batch_size: int = field(default=64, metadata={"help": "images a step", "ge": 1})
    mode: Literal["train", "eval"] = field(
        default="eval",
        metadata={
            "help": "of the network; in eval BatchNorm takes its running statistics, which stay, and nothing is dropped"
        },
    )
    detach_perturbed: bool = field(
        default=False, metadata={"help": "no gradient through the perturbed images' answers, as the released code does"}
    )
    accumulate: bool = field(
        default=False, metadata={"help": "never clear the gradient between batches, as the released code does"}
    )


@dataclass(frozen=True, kw_only=True)
class ReshapingSettings(UnlearnSettings):
    """What the methods share that change convolutions and then train on what is retained; 0 epochs do not train."""

    learning_rate: float = with_default(EpochSettings, "learning_rate", 1e-3)
    batch_size: int = with_default(EpochSettings, "batch_size", 64)
    augment: Augment = field(default="none", metadata=_AUGMENT)


@dataclass(frozen=True, kw_only=True)
class CtConfig(ReshapingSettings):
    """CT: transpose all kernels, then fine-tune."""

    epochs: int = field(
        default=3, metadata={"help": "passes over the retain set", "ge": 0, "example": 1, "symbol": "E"}
    )
    schedule: Literal["constant", "cosine", "multistep", "triangle"] = with_default(EpochSettings, "schedule", "cosine")


@dataclass(frozen=True, kw_only=True)
class MsgConfig(ReshapingSettings):
    """MSG: draw the weights anew that matter least to forgetting and retaining, then fine-tune, mostly those."""

    epochs: int = field(
        default=5, metadata={"help": "passes over the retain set", "ge": 0, "example": 1, "symbol": "E"}
    )
    schedule: Literal["constant", "cosine", "multistep", "triangle"] = with_default(
        EpochSettings, "schedule", "triangle"
    )
    share: float = field(
        default=0.3, metadata={"help": "share of each convolution's weights that is drawn anew", "ge": 0, "le": 1}
    )
    kept_rate: float = field(
        default=0.1, metadata={"help": "factor of the gradient of a convolution's other weights", "ge": 0}
    )
