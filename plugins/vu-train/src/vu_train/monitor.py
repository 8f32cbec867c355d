"""What a training tells while it runs: means in the log, and the first loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from vu_core import ComputeError
from vu_core.context import RunContext
from vu_train.processes import Processes

_NAMED = 8


@dataclass(frozen=True)
class _Part:
    step: int
    ids: Mapping[str, Sequence[str]]
    losses: torch.Tensor


class Monitor:
    """Collects losses on the device and looks at them every few steps, so that no step waits for the device.

    Args:
        ctx: Its log is written by the first process.
        processes: Over which logged losses are averaged.
        place: What a step is called in messages.
    """

    def __init__(self, ctx: RunContext, processes: Processes, place: Callable[[int], str] = "step {}".format) -> None:
        self._place = place
        self._ctx = ctx
        self._processes = processes
        self._names: tuple[str, ...] = ()
        self._parts: list[_Part] = []
        self._norms: list[tuple[int, torch.Tensor]] = []

    def add_part(self, step: int, ids: Mapping[str, Sequence[str]], losses: Mapping[str, torch.Tensor]) -> None:
        """Note the losses of one part of a step, and the pictures they are of."""
        self._names = tuple(losses)
        self._parts.append(_Part(step, ids, torch.stack([loss.detach().float() for loss in losses.values()])))

    def add_norm(self, step: int, norm: torch.Tensor) -> None:
        """Note the norm of a step's gradient, before clipping."""
        self._norms.append((step, norm.detach().float()))

    def report(self, steps_done: int, learning_rate: float) -> None:
        """Log the means since the last report.

        Raises:
            ComputeError: A loss or a gradient was not finite; the message names step and pictures.
        """
        if not self._norms:
            return
        self.check()
        losses = torch.stack([part.losses for part in self._parts])
        norms = torch.stack([norm for _, norm in self._norms])
        means = torch.cat([losses.mean(0), norms.mean()[None]]) / self._processes.count
        self._processes.add_up([means])
        if self._processes.is_first:
            *means_of_losses, norm = means.tolist()
            values = {f"loss/{name}": mean for name, mean in zip(self._names, means_of_losses, strict=True)}
            self._ctx.log(steps_done, {**values, "gradient_norm": norm, "learning_rate": learning_rate})
        self._parts, self._norms = [], []

    def check(self) -> None:
        """Look at what was noted since the last report.

        Raises:
            ComputeError: A loss or a gradient was not finite; the message names step and pictures.
        """
        wrong = []
        losses = torch.stack([part.losses for part in self._parts]).tolist()
        for part, values in zip(self._parts, losses, strict=True):
            for name, value in zip(self._names, values, strict=True):
                if not math.isfinite(value):
                    wrong.append((part.step, f"the loss '{name}' is {value}", part.ids))
        for step, norm in self._norms:
            if not math.isfinite(norm.item()):
                parts = [part.ids for part in self._parts if part.step == step]
                ids = {stream: [id_ for part in parts for id_ in part[stream]] for stream in parts[0]}
                wrong.append((step, f"the norm of the gradient is {norm.item()}", ids))
        if wrong:
            # The first step that went wrong spoiled the weights of those after it; in it, a loss precedes its gradient.
            step, what, pictures = min(wrong, key=lambda found: found[0])
            raise _diverged(what, self._place(step + 1), pictures)


def _diverged(what: str, place: str, ids: Mapping[str, Sequence[str]]) -> ComputeError:
    pictures = "; ".join(f"{stream}: {_some(names)}" for stream, names in ids.items())
    return ComputeError(
        f"{what} in {place}, with the pictures of {pictures}",
        hint="Look at these pictures; else try a smaller learning_rate or clip, or compute in float32.",
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
