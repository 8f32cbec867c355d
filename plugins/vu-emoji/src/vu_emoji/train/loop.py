"""What the training loops share: the rate's shape, progress lines, resuming."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from vu_emoji.train.files import Checkpoint

log = logging.getLogger(__name__)


def one_cycle(step: int, steps: int, warm_up: int = 100) -> float:
    """Returns the share of the peak rate: a linear rise, then half a cosine down to zero."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


@dataclass
class Progress:
    """Writes a log line of mean losses and images a second every so many steps."""

    name: str
    every: int = 100
    sums: dict[str, float] = field(default_factory=dict)
    images: int = 0
    count: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, step: int, images: int, **losses: float) -> None:
        """Counts one step, and logs when a stretch is over."""
        for key, value in losses.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.images += images
        self.count += 1
        if (step + 1) % self.every:
            return
        speed = self.images / (time.monotonic() - self.started)
        means = " ".join(f"{k} {v / self.count:.4f}" for k, v in self.sums.items())
        log.info("%s step %d %s, %.0f images/s", self.name, step + 1, means, speed)
        self.sums, self.images, self.count, self.started = {}, 0, 0, time.monotonic()


def resumable(
    name: str,
    checkpoint: Checkpoint,
    generator: torch.Generator,
    steps: int,
    peak: float,
    save_every: int = 500,
) -> Iterator[int]:
    """Yields the steps still to do, with the rate set for each, and keeps the checkpoint."""
    notes = checkpoint.load(generator) or {"step": 0}
    if notes["step"]:
        log.info("%s: resumed at step %d", name, notes["step"])
    for step in range(notes["step"], steps):
        for group in checkpoint.optimizer.param_groups:
            group["lr"] = group.get("peak", peak) * one_cycle(step, steps)
        yield step
        if (step + 1) % save_every == 0 or step + 1 == steps:
            checkpoint.save({"step": step + 1}, generator)
