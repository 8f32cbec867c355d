"""The training loop: steps over named streams, exact resumption, and nothing left behind but the parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from vu_core import ComputeError, ConfigError, PluginError
from vu_core.context import RunContext
from vu_train.checkpoints import (
    Checkpoint,
    Checkpoints,
    optimizer_tensors,
    restore_optimizer,
    versions,
)
from vu_train.gradients import Gradients, Weights
from vu_train.monitor import Monitor
from vu_train.processes import Processes
from vu_train.randomness import preserved, seed_global
from vu_train.settings import TrainSettings
from vu_train.store import FOLDER
from vu_train.streams import Stream

# Of these settings a result does not depend, or not before the end; they may change when a training continues.
_FREE = {"accumulation", "checkpoint_every", "keep_checkpoints", "log_every", "max_steps", "time_limit"}


class Task(Protocol):
    """What is trained, on what, for which losses.

    Attributes:
        parameters: By name, float32 and requiring gradients; changed in place.
        streams: By name, where the pictures of its losses come from.
    """

    parameters: Mapping[str, torch.nn.Parameter]
    streams: Mapping[str, Stream]

    def losses(self, batches: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
        """Return scalars by name, each the mean over the pictures of a batch; gradients flow.

        Args:
            batches: By the streams' names, a part of the step's batch.
        """


@dataclass(frozen=True, kw_only=True)
class Training:
    """What `train` did.

    Attributes:
        steps: Steps that the parameters have behind them.
        resumed_at: How many of these a checkpoint brought; the others were computed now.
        stopped: ``"max_steps"`` or ``"time_limit"`` when one ended it early, else empty.
        seconds: Time in steps, that before an interruption included.
    """

    steps: int
    resumed_at: int
    stopped: str
    seconds: float


def train(
    task: Task,
    settings: TrainSettings,
    ctx: RunContext,
    *,
    weights: Weights | None = None,
    key: Mapping[str, Any] | None = None,
) -> Training:
    """Train the task's parameters in place; continue where an earlier call in this run's folder was interrupted.

    A checkpoint holds everything: a training that was killed ends with the same parameters, bit for bit
    on the same machine type, thread count and versions. Gradients and random states are as before at the end.

    Args:
        task: Parameters, streams and losses.
        settings: How long and how fast.
        ctx: Seed, folder, log, progress.
        weights: Of the losses, by name or by a rule; None for 1 each.
        key: JSON values that decide the training besides settings, streams and parameters' shapes, such as
            the hash of the model; a checkpoint of another key is refused.

    Raises:
        ConfigError: Batches cannot be split as asked, or a setting does not fit.
        RunError: The folder holds checkpoints of another training, or cannot be written.
        ComputeError: A loss is not finite, or memory does not suffice; the message says for which pictures,
            and what would fit.
    """
    processes = Processes(ctx.device)
    _check(task, settings, processes)
    with preserved(), torch.enable_grad():
        loop = _Loop(task, settings, ctx, Gradients(list(task.parameters.values()), weights, processes), processes)
        try:
            return loop.run(_key(task, settings, ctx, weights, key or {}))
        finally:
            loop.gradients.clear()


class _Loop:
    """One training in progress."""

    def __init__(
        self, task: Task, settings: TrainSettings, ctx: RunContext, gradients: Gradients, processes: Processes
    ) -> None:
        self.task, self.settings, self.ctx = task, settings, ctx
        self.gradients, self.processes = gradients, processes
        self.parameters = dict(task.parameters)
        self.averages = {name: one.detach().clone() for name, one in self.parameters.items()} if settings.ema else {}
        self.optimizer = torch.optim.AdamW(
            list(self.parameters.values()), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.monitor = Monitor(ctx, processes)
        self.checkpoints = Checkpoints(ctx.out_dir / FOLDER, settings.keep_checkpoints)

    def run(self, key: Mapping[str, Any]) -> Training:
        settings = self.settings
        start, earlier = self._restore(key)
        last = settings.steps if settings.max_steps is None else min(settings.steps, settings.max_steps)
        done, begun, stopped = start, time.monotonic(), "max_steps" if last < settings.steps else ""
        schedule: Any = _schedule(self.optimizer, settings, start) if start < last else None
        for step in self.ctx.progress(range(start, last), label="train"):
            if self._out_of_time(earlier + time.monotonic() - begun):
                stopped = "time_limit"
                break
            self._step(step)
            schedule.step()
            done = step + 1
            saves = done % settings.checkpoint_every == 0 and done < last
            if saves or done % settings.log_every == 0:
                self.monitor.report(done, self.optimizer.param_groups[0]["lr"])
            if saves:
                self._save(done, earlier + time.monotonic() - begun, key)
        seconds = earlier + time.monotonic() - begun
        if done > start:
            self.monitor.report(done, self.optimizer.param_groups[0]["lr"])
            self._save(done, seconds, key)
        for name, average in self.averages.items():
            self.parameters[name].data.copy_(average)
        return Training(steps=done, resumed_at=start, stopped=stopped, seconds=seconds)

    def _step(self, step: int) -> None:
        self.gradients.clear()
        seed_global(self.ctx.seed, "step", step, self.processes.index)
        parts = self.settings.accumulation
        for part in range(parts):
            self._part(step, part, parts)
        if self.gradients.waits:
            self.monitor.check()
        norm = self.gradients.combine(self.settings.clip)
        self.monitor.add_norm(step, norm)
        self.optimizer.step()
        for name, average in self.averages.items():
            average.lerp_(self.parameters[name].detach(), 1 - (self.settings.ema or 0.0))

    def _part(self, step: int, part: int, parts: int) -> None:
        try:
            ids, losses = self._losses(step, part, parts)
            self.gradients.add(losses, 1 / (parts * self.processes.count))
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            reason = str(error).partition("\n")[0]
        else:
            self.monitor.add_part(step, ids, losses)
            return
        # Outside of the except clause, whose traceback would keep the tensors of the failed attempt.
        raise self._too_large(step, reason)

    def _losses(
        self, step: int, part: int, parts: int
    ) -> tuple[dict[str, tuple[str, ...]], Mapping[str, torch.Tensor]]:
        """Return ids and losses of one of this process's parts of a step."""
        place, places = self.processes.index * parts + part, self.processes.count * parts
        batches = {}
        for name, stream in self.task.streams.items():
            size = stream.batch_size // places
            first = step * stream.batch_size + place * size
            batches[name] = stream.take(range(first, first + size))
        # Without a cache of cast weights: one filled under no_grad, as for a teacher, would cut the gradient.
        with torch.autocast(
            torch.device(self.ctx.device).type,
            dtype=torch.bfloat16,
            enabled=self.settings.precision == "bfloat16",
            cache_enabled=False,
        ):
            losses = self.task.losses(batches)
        return {name: tuple(batch.ids) for name, batch in batches.items()}, losses

    def _too_large(self, step: int, reason: str) -> ComputeError:
        """Return the error that says how many parts a step must have to fit, found by trying."""
        sizes = [stream.batch_size // self.processes.count for stream in self.task.streams.values()]
        for parts in range(self.settings.accumulation + 1, min(sizes) + 1):
            if any(size % parts for size in sizes):
                continue
            self.gradients.clear()
            clear_device_cache(garbage_collection=True)
            try:
                self.gradients.add(self._losses(step, 0, parts)[1], 1.0)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                continue
            fits = " and ".join(str(size // parts) for size in sizes)
            return ComputeError(
                f"a step's batch does not fit into memory ({reason})",
                hint=f"accumulation={parts} fits, {fits} pictures at a time, and computes the same.",
            )
        return ComputeError(
            f"not even one picture at a time fits into memory ({reason})",
            hint="Try precision=bfloat16, a smaller resolution, or another device.",
        )

    def _out_of_time(self, seconds: float) -> bool:
        limit = self.settings.time_limit
        return limit is not None and self.processes.agreed(seconds >= limit)

    def _save(self, done: int, seconds: float, key: Mapping[str, Any]) -> None:
        if self.processes.is_first:
            tensors = {f"parameter/{name}": one.detach() for name, one in self.parameters.items()}
            tensors |= {f"average/{name}": one for name, one in self.averages.items()}
            tensors |= optimizer_tensors(self.optimizer, self.parameters)
            self.checkpoints.save(
                Checkpoint(step=done, seconds=seconds, key=key, versions=versions(self.ctx), tensors=tensors)
            )
        self.processes.wait()

    def _restore(self, key: Mapping[str, Any]) -> tuple[int, float]:
        """Continue from the newest checkpoint; return steps done and seconds spent."""
        found = self.checkpoints.continued(key, self.ctx, self.processes, "step")
        if found is None:
            return 0, 0.0
        for name, parameter in self.parameters.items():
            parameter.data.copy_(found.tensors[f"parameter/{name}"])
        for name, average in self.averages.items():
            average.copy_(found.tensors[f"average/{name}"])
        restore_optimizer(self.optimizer, self.parameters, found.tensors)
        return found.step, found.seconds


def _check(task: Task, settings: TrainSettings, processes: Processes) -> None:
    if not task.parameters or not task.streams:
        raise PluginError("a task has parameters and streams; one of them is empty")
    for name, parameter in task.parameters.items():
        if parameter.dtype != torch.float32 or not parameter.requires_grad:
            raise PluginError(f"'{name}' cannot be trained: it is {parameter.dtype}, or requires no gradient")
    places = settings.accumulation * processes.count
    for name, stream in task.streams.items():
        if stream.batch_size % places:
            by = f"{settings.accumulation} parts" + (f" in {processes.count} processes" if processes.count > 1 else "")
            raise ConfigError(
                f"a batch of {stream.batch_size} pictures ({name}) cannot be split evenly into {by}",
                hint=f"Choose a batch size that is a multiple of {places}, or another accumulation.",
            )


def _key(
    task: Task, settings: TrainSettings, ctx: RunContext, weights: Weights | None, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that decides the result, as JSON values."""
    chosen = {name: getattr(settings, name) for name in TrainSettings.__dataclass_fields__ if name not in _FREE}
    return {
        "settings": chosen,
        "seed": ctx.seed,
        "streams": {name: [stream.key(), stream.batch_size] for name, stream in task.streams.items()},
        "parameters": {name: list(parameter.shape) for name, parameter in task.parameters.items()},
        "weights": getattr(weights, "__qualname__", type(weights).__name__) if callable(weights) else weights,
        **extra,
    }


def _schedule(optimizer: torch.optim.Optimizer, settings: TrainSettings, step: int) -> Any:
    """Return the learning rate's schedule, standing at ``step``: it is a function of the step alone."""
    from diffusers.optimization import get_scheduler

    for group in optimizer.param_groups:
        group["initial_lr"] = settings.learning_rate
    return get_scheduler(
        settings.schedule,
        optimizer,
        num_warmup_steps=settings.warmup_steps,
        num_training_steps=settings.steps,
        last_epoch=step - 1,
    )
