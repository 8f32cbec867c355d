"""A small training that tests run here, in other processes, and kill."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from vu_train.loop import Training, train
from vu_train.randomness import generator_of
from vu_train.settings import TrainSettings
from vu_train.streams import Order

from vu_core.context import RunContext


@dataclass(frozen=True)
class Points:
    ids: tuple[str, ...]
    inputs: torch.Tensor
    outputs: torch.Tensor


class PointStream:
    """Points of a noisy line, the noise new at each use."""

    def __init__(self, name: str, size: int, batch_size: int, seed: int = 0) -> None:
        self.name, self.batch_size, self.seed = name, batch_size, seed
        generator = generator_of(seed, name, "points")
        self.inputs = torch.randn(size, 6, generator=generator)
        self.outputs = self.inputs @ torch.arange(6.0)[:, None] + (1.0 if name == "retain" else 0.0)
        self.order = Order(size, seed, name)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, positions: Sequence[int]) -> Points:
        rows = [self.order[position] for position in positions]
        noise = [torch.randn(1, generator=generator_of(self.seed, self.name, position)) for position in positions]
        return Points(
            ids=tuple(f"{self.name}-{row}" for row in rows),
            inputs=self.inputs[rows],
            outputs=self.outputs[rows] + 0.1 * torch.stack(noise),
        )

    def key(self) -> str:
        return f"{self.name} {len(self)} {self.seed}"


class Regression:
    """Two losses of one small network; with dropout, which draws from the global generator."""

    def __init__(self, *, dropout: float = 0.0, forget: int = 4, retain: int = 4, count: Path | None = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = torch.nn.Sequential(
                torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Dropout(dropout), torch.nn.Linear(8, 1)
            )
        self.parameters = dict(self.network.named_parameters())
        self.streams = {"forget": PointStream("forget", 10, forget), "retain": PointStream("retain", 7, retain)}
        self.count = count
        self.pause = 0.0

    def losses(self, batches: Mapping[str, Points]) -> dict[str, torch.Tensor]:
        if self.count:
            with self.count.open("a") as stream:
                stream.write("x\n")
        time.sleep(self.pause)
        return {name: (self.network(b.inputs) - b.outputs).square().mean() for name, b in batches.items()}

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for parameter in self.parameters.values():
            digest.update(parameter.detach().numpy().tobytes())
        return digest.hexdigest()


def train_in(folder: Path, task: Regression, *, weights: Any = None, **options: Any) -> Training:
    return train(task, TrainSettings(**options), RunContext(out_dir=folder), weights=weights)


def train_and_report(folder: Path, count: Path, pause: float, options: dict[str, Any]) -> None:
    """Train with dropout until killed, or write the hash of the result."""
    torch.set_num_threads(1)
    task = Regression(dropout=0.3, count=count)
    task.pause = pause
    train_in(folder, task, **options)
    (folder / "sha256").write_text(task.sha256())


def train_as_rank(rank: int, world: int, port: int, folder: Path, options: dict[str, Any]) -> None:
    """Train as one of several processes, in the environment that ``accelerate launch --cpu`` gives them."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    task = Regression()
    train_in(folder, task, **options)
    (folder / f"rank-{rank}").write_text(
        " ".join(f"{v!r}" for p in task.parameters.values() for v in p.flatten().tolist())
    )
    torch.distributed.destroy_process_group()
