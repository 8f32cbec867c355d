"""What the unlearners share: a copy of the network, the images, training it, and the edit that it makes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch
from vu_train.batches import Augment, Batches, ImageBatch, endless
from vu_train.classifying import Pass, train_classifier
from vu_train.labelled import LabelledImages, load_labelled
from vu_train.settings import EpochSettings

from vu_core import ComputeError, Data, Edit, PluginError, Request
from vu_core.context import RunContext
from vu_core.edits import tensor_sha256
from vu_core.interfaces import Retrains

COMPONENT = "classifier"

Images = Literal["forget", "retain", "validation"]


class Work:
    """One unlearning in progress.

    Args:
        model: Offers `TensorSource` and `Classifies`; it is never changed.
        request: What is forgotten.
        data: What may be used.
        config: The unlearner's options.
        ctx: The run.
        reads: The sets of images that the method reads; the others cannot be had.

    Attributes:
        original: The model's network, in eval mode: not to be changed.
        network: A copy of it, in eval mode, which `edit` compares with it.
    """

    def __init__(
        self, model: Any, request: Request, data: Data, config: Any, ctx: RunContext, *, reads: Sequence[Images]
    ) -> None:
        self.model, self.request, self.config, self.ctx = model, request, config, ctx
        self.original: torch.nn.Module = model.component(COMPONENT)
        self.network = _copy(self.original)
        self._own = next(self.original.parameters()).dtype
        self._reads = reads
        self.labelled = load_labelled(model, request, data, ctx)
        self._used: dict[str, LabelledImages] = {}
        self._trainings: dict[str, Any] = {}

    @property
    def forget(self) -> LabelledImages:
        """D_f."""
        return self._set("forget")

    @property
    def retain(self) -> LabelledImages:
        """D_r."""
        return self._set("retain")

    @property
    def labelled_validation(self) -> LabelledImages:
        """The validation images of what is forgotten; all of D_v where it has none of it, as for samples."""
        self._set("validation")
        return self.labelled.validation_of_forgotten()

    @property
    def key(self) -> dict[str, Any]:
        """What decides a training besides its settings: JSON values."""
        return {
            "model": self.model.fingerprint(),
            "forget": [asdict(concept) for concept in self.request.forget],
            "options": asdict(self.config),
        }

    @property
    def dtype(self) -> torch.dtype:
        """In which the copy computes."""
        return next(self.network.parameters()).dtype

    @property
    def classes(self) -> int:
        """How many classes the model knows: C."""
        return len(self.model.classes)

    def batches(self, images: LabelledImages, *place: object, size: int | None = None) -> Batches:
        """Return shuffled batches of ``images``, augmented as the options say.

        Args:
            images: The set.
            place: What order and augmentation are seeded by, besides the run's seed: use, epoch.
            size: Images a batch; None for ``batch_size``.
        """
        size = size or self.config.batch_size
        return Batches(images, size, self.network, (self.ctx.seed, *place), augment=self._augment())

    def endless(self, images: LabelledImages, *place: object, size: int | None = None) -> Iterator[ImageBatch]:
        """Yield batches for ever; the arguments are those of `batches`."""
        size = size or self.config.batch_size
        return endless(images, size, self.network, (self.ctx.seed, *place), augment=self._augment())

    def plain_batches(self, images: LabelledImages, *place: object) -> Batches:
        """Return shuffled batches of ``images`` as they are; in their order without a ``place``."""
        where = (self.ctx.seed, *place) if place else ()
        return Batches(images, self.config.batch_size, self.network, where)

    def answers(self, batch: ImageBatch) -> torch.Tensor:
        """Return the original's logits (n, C) for a batch, without gradient."""
        with torch.no_grad():
            logits: torch.Tensor = self.original(batch.images.to(self._own))
        return logits.to(batch.images.dtype)

    def anchor(self) -> torch.Tensor | float:
        """Return the option ``anchor`` times ½ ‖θ − θ_o‖² over all parameters."""
        if not self.config.anchor:
            return 0.0
        pairs = zip(self.network.parameters(), self.original.parameters(), strict=True)
        squares = [(one - other.detach()).square().sum() for one, other in pairs]
        half: float = self.config.anchor / 2
        return half * torch.stack(squares).sum()

    def train(
        self,
        passes: Callable[[int], Sequence[Pass]],
        settings: EpochSettings | None = None,
        *,
        name: str = "train",
        after_step: Callable[[], None] | None = None,
        stop: Callable[[int], str] | None = None,
    ) -> None:
        """Train the copy, as `train_classifier` does, with the unlearner's options unless others are given."""
        settings = settings or self.config
        training = train_classifier(
            self.network, passes, settings, self.ctx, name=name, key=self.key, after_step=after_step, stop=stop
        )
        self._trainings[name] = {"epochs": training.epochs, "stopped": training.stopped}

    def edit(self, **info: Any) -> Edit:
        """Return what turns the original into the copy: all parameters and buffers that differ.

        Args:
            info: JSON values for the record.

        Raises:
            ComputeError: A value is not finite.
        """
        before = _tensors(self.original)
        changed = {
            name: one
            for name, one in _tensors(self.network).items()
            if not torch.equal(before[name].to(one.dtype), one)
        }
        for name, tensor in changed.items():
            if not bool(tensor.isfinite().all()):
                raise ComputeError(f"values of '{name}' are not finite", hint="Try a smaller learning_rate, or clip.")
        base = {f"{COMPONENT}.{name}": tensor_sha256(self.model.tensor(COMPONENT, name)) for name in changed}
        replaced = {f"{COMPONENT}.{name}": tensor for name, tensor in changed.items()}
        return Edit.dense(replaced, base=base, info={**self._facts(before, changed), **info})

    def _facts(self, before: Mapping[str, torch.Tensor], changed: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        parameters = dict(self.network.named_parameters())
        moved = sum(int((before[name] != changed[name]).sum()) for name in parameters if name in changed)
        return {
            "pictures": {name: len(images) for name, images in self._used.items()},
            "trainings": self._trainings,
            "changed_parameters": moved,
            "parameters": sum(one.numel() for one in parameters.values()),
            "changed_buffers": sorted(set(changed) - set(parameters)),
        }

    def _set(self, name: Images) -> LabelledImages:
        if name not in self._reads:
            raise PluginError(f"this method reads {', '.join(self._reads)}, and asks for '{name}' all the same")
        found: LabelledImages = getattr(self.labelled, name)
        self._used[name] = found
        return found

    def _augment(self) -> Augment:
        chosen: str = self.config.augment
        if chosen != "as-trained":
            return "crop-flip" if chosen == "crop-flip" else "none"
        if not isinstance(self.model, Retrains):
            warning = f"how '{self.model.name}' was trained is not known: its images are taken as they are"
            if warning not in self.ctx.warnings:
                self.ctx.warnings.append(warning)
            return "none"
        return "crop-flip" if self.model.recipe().get("augment") == "crop-flip" else "none"


def accuracy_and_loss(network: torch.nn.Module, batches: Batches) -> tuple[float, float]:
    """Return the share of images that ``network``, in eval mode, answers rightly, and its mean cross-entropy."""
    right, loss, total = 0, 0.0, 0
    with torch.no_grad():
        for batch in batches:
            logits = network(batch.images)
            right += int((logits.argmax(1) == batch.labels).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum"))
            total += len(batch.ids)
    return right / total, loss / total


def _copy(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy in eval mode that takes gradients, of at least 32 bits a number."""
    wide = torch.float64 if next(network.parameters()).dtype == torch.float64 else torch.float32
    return copy.deepcopy(network).to(wide).eval().requires_grad_(True)


def _tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and floating-point buffers by name."""
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
