"""Training a classifier in epochs over labelled images; exact resumption, nothing left behind but the network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from vu_core.context import RunContext
from vu_train.batches import Batches, ImageBatch
from vu_train.checkpoints import (
    Checkpoint,
    Checkpoints,
    optimizer_tensors,
    restore_optimizer,
    versions,
)
from vu_train.labelled import LabelledImages
from vu_train.monitor import Monitor
from vu_train.processes import Processes
from vu_train.randomness import preserved, seed_global
from vu_train.settings import ClassifierSettings, EpochSettings
from vu_train.store import FOLDER

# The losses of so many batches are looked at together: none waits for the device.
_LOOK_EVERY = 50

Loss = Callable[[torch.nn.Module, ImageBatch], torch.Tensor]
"""From the network in training and a batch to the scalar that a step makes smaller."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk over batches, with a step for each.

    Attributes:
        name: Of its loss, in the log.
        batches: What it walks over.
        loss: What its steps make smaller.
    """

    name: str
    batches: Iterable[ImageBatch]
    loss: Loss


@dataclass(frozen=True, kw_only=True)
class Training:
    """What `train_classifier` did.

    Attributes:
        epochs: Epochs that the network has behind it.
        steps: Optimiser steps that were made now.
        resumed_at: How many of the epochs a checkpoint brought.
        stopped: Why it ended early; empty when it did not.
        seconds: Time in epochs, that before an interruption included.
    """

    epochs: int
    steps: int
    resumed_at: int
    stopped: str
    seconds: float


def mean_cross_entropy(network: torch.nn.Module, batch: ImageBatch) -> torch.Tensor:
    """Return the mean cross-entropy of the network's answers to a batch."""
    return cross_entropy(network(batch.images), batch.labels)


def train_on(
    network: torch.nn.Module,
    images: LabelledImages,
    settings: ClassifierSettings,
    ctx: RunContext,
    *,
    key: Mapping[str, Any] | None = None,
) -> Training:
    """Train ``network`` in place to tell the classes of ``images`` apart, as `train_classifier` does.

    The same network, images, settings and seed give the same weights, bit for bit on CPU: so a model that is
    retrained on all its images, from its own seed, is the model.
    """

    def passes(epoch: int) -> list[Pass]:
        place = (ctx.seed, "train", epoch)
        batches = Batches(images, settings.batch_size, network, place, augment=settings.augment)
        return [Pass(name="train", batches=batches, loss=mean_cross_entropy)]

    return train_classifier(network, passes, settings, ctx, key=key)


def train_classifier(
    network: torch.nn.Module,
    passes: Callable[[int], Sequence[Pass]],
    settings: EpochSettings,
    ctx: RunContext,
    *,
    name: str = "train",
    key: Mapping[str, Any] | None = None,
    after_step: Callable[[], None] | None = None,
    stop: Callable[[int], str] | None = None,
) -> Training:
    """Train ``network`` in place; continue where an earlier call in this run's folder was interrupted.

    A checkpoint at an epoch's end holds everything: a training that was killed ends with the same weights, bit for bit
    on the same machine type, thread count and versions. All randomness is seeded by seed, name, epoch and batch.
    Modes, gradients, ``requires_grad`` and global random states are as before at the end.

    Args:
        network: All its parameters are trained.
        passes: Called with an epoch, from 0, returns what the epoch consists of, in order.
        settings: How long and how fast.
        ctx: Seed, folder, log, progress.
        name: Of this training, where a run has several.
        key: JSON values that decide the training besides settings, seed and shapes, such as the hash of the model; a
            checkpoint of another key is refused.
        after_step: Called after each step of the optimiser; may change parameters.
        stop: Called with the epochs done, before each epoch and after the last, returns why to end; empty to go on.

    Raises:
        RunError: The folder holds checkpoints of another training, or cannot be written.
        ComputeError: A loss or a gradient is not finite; the message names epoch, batch and pictures.
    """
    with preserved(), torch.enable_grad(), in_training(network, settings), lone_images_allowed(network, ctx):
        loop = _Loop(network, passes, settings, ctx, name, after_step)
        return loop.run({**_key(network, settings, ctx), **(key or {})}, stop or (lambda epoch: ""))


def learning_rate(settings: EpochSettings, epoch: int) -> float:
    """Return the learning rate of an epoch, from 0.

    Example:
        >>> settings = EpochSettings(epochs=5, learning_rate=3.0, schedule="triangle")
        >>> [learning_rate(settings, epoch) for epoch in range(5)]
        [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    if settings.schedule == "cosine":
        share = (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
    elif settings.schedule == "multistep":
        share = settings.decay ** sum(milestone <= epoch for milestone in settings.milestones)
    elif settings.schedule == "triangle":
        number, peak, end = epoch + 1, (settings.epochs + 1) // 2, settings.epochs + 1
        share = number / peak if number <= peak else (end - number) / (end - peak)
    else:
        share = 1.0
    return settings.learning_rate * share


class _Loop:
    """One training in progress."""

    def __init__(
        self,
        network: torch.nn.Module,
        passes: Callable[[int], Sequence[Pass]],
        settings: EpochSettings,
        ctx: RunContext,
        name: str,
        after_step: Callable[[], None] | None,
    ) -> None:
        self.network, self.passes, self.settings, self.ctx, self.name = network, passes, settings, ctx, name
        self.after_step = after_step
        self.parameters = dict(network.named_parameters())
        self.optimizer = optimizer_of(list(self.parameters.values()), settings)
        self.processes = Processes(ctx.device)
        self.checkpoints = Checkpoints(ctx.out_dir / FOLDER / name, keep=2)
        self.steps = 0

    def run(self, key: Mapping[str, Any], stop: Callable[[int], str]) -> Training:
        start, earlier = self._restore(key)
        last, every = self.settings.epochs, self.settings.checkpoint_every
        done, begun, stopped = start, time.monotonic(), stop(start)
        for epoch in self.ctx.progress(range(start, last), label=self.name) if not stopped else ():
            for one in self.passes(epoch):
                self._walk(one, epoch)
            done, stopped = epoch + 1, stop(epoch + 1)
            if done % every == 0 or done == last or stopped:
                self._save(done, earlier + time.monotonic() - begun, key)
            if stopped:
                break
        seconds = earlier + time.monotonic() - begun
        return Training(epochs=done, steps=self.steps, resumed_at=start, stopped=stopped, seconds=seconds)

    def _walk(self, one: Pass, epoch: int) -> None:
        rate = learning_rate(self.settings, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        monitor = Monitor(self.ctx, self.processes, lambda number: f"batch {number} of epoch {epoch + 1}")
        for number, batch in enumerate(one.batches):
            seed_global(self.ctx.seed, self.name, epoch, one.name, number)
            self.optimizer.zero_grad()
            loss = one.loss(self.network, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip or math.inf)
            monitor.add_part(number, {one.name: batch.ids}, {one.name: loss})
            monitor.add_norm(number, norm)
            self.optimizer.step()
            if self.after_step is not None:
                self.after_step()
            self.steps += 1
            if number % _LOOK_EVERY == _LOOK_EVERY - 1:
                monitor.check()
        monitor.report(epoch + 1, rate)

    def _save(self, done: int, seconds: float, key: Mapping[str, Any]) -> None:
        if self.processes.is_first:
            state = {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
            tensors = {**state, **optimizer_tensors(self.optimizer, self.parameters)}
            self.checkpoints.save(
                Checkpoint(step=done, seconds=seconds, key=key, versions=versions(self.ctx), tensors=tensors)
            )
        self.processes.wait()

    def _restore(self, key: Mapping[str, Any]) -> tuple[int, float]:
        """Continue from the newest checkpoint; return epochs done and seconds spent."""
        found = self.checkpoints.continued(key, self.ctx, self.processes, "epoch")
        if found is None:
            return 0, 0.0
        state = {name: found.tensors[f"network/{name}"] for name in self.network.state_dict()}
        self.network.load_state_dict(state)
        restore_optimizer(self.optimizer, self.parameters, found.tensors)
        return found.step, found.seconds


def optimizer_of(parameters: Sequence[torch.Tensor], settings: EpochSettings) -> torch.optim.Optimizer:
    """Return what makes the steps that the settings ask for."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, weight_decay=decay)


def _key(network: torch.nn.Module, settings: EpochSettings, ctx: RunContext) -> dict[str, Any]:
    """Return all that decides the result, as JSON values, besides what the caller knows."""
    chosen = {name: value for name, value in asdict(settings).items() if name != "checkpoint_every"}
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    return {"settings": chosen, "seed": ctx.seed, "tensors": shapes}


@contextmanager
def in_training(network: torch.nn.Module, settings: EpochSettings) -> Iterator[None]:
    """Put the network into the mode that the settings ask for, its parameters taking gradients; then restore both."""
    modes = {part: part.training for part in network.modules()}
    flags = {parameter: parameter.requires_grad for parameter in network.parameters()}
    try:
        network.train().requires_grad_(True)
        if settings.batch_norm == "eval":
            for part in network.modules():
                part.train(part.training and not isinstance(part, _BatchNorm))
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        for parameter, flag in flags.items():
            parameter.grad = None
            parameter.requires_grad_(flag)


@contextmanager
def lone_images_allowed(network: torch.nn.Module, ctx: RunContext) -> Iterator[None]:
    """Let BatchNorm take its running statistics where a batch is one image, of which it can make none; warn once."""
    warning = "a batch was a single image: for it, BatchNorm took its running statistics"
    switched: set[torch.nn.Module] = set()

    def before(part: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if part.training and inputs[0].numel() == inputs[0].shape[1]:
            switched.add(part)
            part.training = False
            if warning not in ctx.warnings:
                ctx.warnings.append(warning)

    def after(part: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if part in switched:
            switched.remove(part)
            part.training = True

    norms = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    hooks = [part.register_forward_pre_hook(before) for part in norms]
    hooks += [part.register_forward_hook(after) for part in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
