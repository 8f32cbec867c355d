"""Shadow models trained at once beside one by one, and gradients of single images without a loop over them.

    python benchmarks/shadow.py [--networks 32] [--alone 3] [--epochs N] [--images 128] [--rounds 3] [--json FILE]

Shadow models are the digits' perceptron, by its own recipe, each from its own seed on its own random half of the
training pictures, float32. Contestants, alternately in one process, timed in CPU seconds of one thread:

(a) published: one network after another, a plain loop of torch over batches that lie in memory;
(b) vu, one by one: `vu_train.classifying.train_on`, with its checkpoints, checks and seeds;
(c) vu, together: `vu_train.ensembles.train_together`, which ``vu retrain`` uses;
(d) vectorised: the same stacked arithmetic written for this network alone, its gradients by hand.

(a) and (b) train the first ``--alone`` of the networks, (c) and (d) all. Fisher diagonals are sums of squared gradients
of single images: (a) one backward pass an image; (b) `vu_classify.gradients.gradient_sum_by_image`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from vu_train.labelled import LabelledImages
from vu_train.randomness import generator_of
from vu_train.settings import ClassifierSettings

import vu_core as vu
from vu_core.context import RunContext


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=32, help="trained at once")
    parser.add_argument("--alone", type=int, default=3, help="trained one by one")
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    parser.add_argument("--images", type=int, default=128, help="whose gradients are squared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file that receives all numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        "machine": {"cores": os.cpu_count(), "torch": torch.__version__},
        "networks": options.networks,
        "shadow": shadow(options.networks, options.alone, options.epochs, options.rounds),
        "fisher": {name: fisher(name, options.images, options.rounds) for name in ("digits", "fashion")},
    }
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class World:
    """What shadow models learn: row i of ``members`` are the images of the network of ``seeds[i]``."""

    model: Any
    images: LabelledImages
    settings: ClassifierSettings
    seeds: Sequence[int]
    members: torch.Tensor

    def order(self, place: int, epoch: int) -> torch.Tensor:
        """Return the images of a network in the order of an epoch, as all contestants take them."""
        own = self.members[place]
        return own[torch.randperm(len(own), generator=generator_of(self.seeds[place], "train", epoch, "order"))]


def world(networks: int, epochs: int | None) -> World:
    from vu_core.config import validate

    model = vu.load_model("digits", device="cpu")
    recipe = dict(model.recipe())
    recipe.pop("seed")
    settings = validate(ClassifierSettings, {**recipe, **({"epochs": epochs} if epochs else {})})
    images = pictures_of("digits", model)
    generator = torch.Generator().manual_seed(0)
    halves = [torch.randperm(len(images), generator=generator)[: len(images) // 2] for _ in range(networks)]
    return World(model, images, settings, range(1, networks + 1), torch.stack(halves))


def pictures_of(name: str, model: Any) -> LabelledImages:
    from vu_train.labelled import read_labelled

    from vu_core.datasets import open_dataset
    from vu_core.registry import Registry

    dataset = open_dataset(Registry.discover().get("dataset", name), {})
    ctx = RunContext(out_dir=Path())
    return read_labelled(dataset.pictures("train"), model.kind, model.classes, model.picture_size, ctx)


# Shadow models ---------------------------------------------------------------------------------------


def shadow(networks: int, alone: int, epochs: int | None, rounds: int) -> dict:
    given = world(networks, epochs)
    contestants: dict[str, tuple[Callable[[World, int], list[dict]], int]] = {
        "published": (published, alone),
        "vu, one by one": (one_by_one, alone),
        "vu, together": (together, networks),
        "vectorised": (vectorised, networks),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    trained: dict[str, list[dict]] = {}
    for _ in range(rounds):
        for name, (train, count) in contestants.items():
            start = time.process_time()
            trained[name] = train(given, count)
            times[name].append((time.process_time() - start) / count)
    differences = {name: largest_difference(found, trained["published"]) for name, found in trained.items()}
    labels = {name: predictions(given, found[:alone]) for name, found in trained.items()}
    same = {name: float((found == labels["published"]).float().mean()) for name, found in labels.items()}
    rows = {
        name: {"seconds": summary(times[name]), "difference": differences[name], "same": same[name]} for name in times
    }
    return {"epochs": given.settings.epochs, "alone": alone, **rows}


def published(given: World, count: int) -> list[dict]:
    settings, pixels = given.settings, given.images.images.float() / 255
    states = []
    for place in range(count):
        network = given.model.fresh(given.seeds[place]).train().requires_grad_(True)
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        for epoch in range(settings.epochs):
            for part in torch.split(given.order(place, epoch), settings.batch_size):
                optimizer.zero_grad()
                cross_entropy(network(pixels[part]), given.images.labels[part]).backward()
                optimizer.step()
        states.append(network.state_dict())
    return states


def one_by_one(given: World, count: int) -> list[dict]:
    from vu_train.classifying import train_on

    states = []
    for place in range(count):
        network = given.model.fresh(given.seeds[place])
        with tempfile.TemporaryDirectory() as folder:
            ctx = RunContext(out_dir=Path(folder), seed=given.seeds[place])
            train_on(network, given.images.at(given.members[place]), given.settings, ctx)
        states.append(network.state_dict())
    return states


def together(given: World, count: int) -> list[dict]:
    from vu_train.ensembles import train_together

    networks = [given.model.fresh(seed) for seed in given.seeds[:count]]
    ctx = RunContext(out_dir=Path())
    train_together(
        networks, given.images, given.settings, ctx, seeds=given.seeds[:count], members=given.members[:count]
    )
    return [network.state_dict() for network in networks]


def vectorised(given: World, count: int) -> list[dict]:
    """Two layers of all networks as batched products, ReLU between, SGD with momentum and weight decay."""
    settings = given.settings
    pixels = (given.images.images.float() / 255).mean(1).flatten(1)
    states = [given.model.fresh(seed).state_dict() for seed in given.seeds[:count]]
    names = list(states[0])
    w1, b1, w2, b2 = parameters = [torch.stack([state[name] for state in states]) for name in names]
    velocities = [torch.zeros_like(one) for one in parameters]
    with torch.no_grad():
        for epoch in range(settings.epochs):
            orders = torch.stack([given.order(place, epoch) for place in range(count)])
            for part in torch.split(orders, settings.batch_size, dim=1):
                x, y = pixels[part], given.images.labels[part]
                hidden = torch.baddbmm(b1[:, None], x, w1.mT).relu_()
                error = torch.baddbmm(b2[:, None], hidden, w2.mT).softmax(2)
                error.scatter_add_(2, y[..., None], torch.full_like(error[..., :1], -1.0))
                error /= part.shape[1]
                back = error @ w2
                back *= hidden > 0
                gradients = (back.mT @ x, back.sum(1), error.mT @ hidden, error.sum(1))
                for one, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    velocity.mul_(settings.momentum).add_(gradient).add_(one, alpha=settings.weight_decay)
                    one.sub_(velocity, alpha=settings.learning_rate)
    return [{name: one[place] for name, one in zip(names, parameters, strict=True)} for place in range(count)]


def largest_difference(found: list[dict], other: list[dict]) -> float:
    pairs = zip(found, other, strict=False)
    return max(float((one[name] - two[name]).abs().max()) for one, two in pairs for name in two)


@torch.no_grad()
def predictions(given: World, states: list[dict]) -> torch.Tensor:
    network, pixels = given.model.fresh(0), given.images.images.float() / 255
    found = []
    for state in states:
        network.load_state_dict(state)
        found.append(network(pixels).argmax(1))
    return torch.stack(found)


# Fisher diagonals ------------------------------------------------------------------------------------


def fisher(name: str, count: int, rounds: int) -> dict:
    from vu_classify.gradients import gradient_sum_by_image
    from vu_train.batches import Batches
    from vu_train.classifying import mean_cross_entropy

    model = vu.load_model(name, device="cpu")
    network = model.fresh(0).requires_grad_(True)
    images = pictures_of(name, model).at(torch.arange(count))
    ctx = RunContext(out_dir=Path())

    def by_loop() -> dict[str, torch.Tensor]:
        sums = {key: torch.zeros_like(one) for key, one in network.named_parameters()}
        for batch in Batches(images, 1, network):
            gradients = torch.autograd.grad(mean_cross_entropy(network, batch), list(network.parameters()))
            for total, gradient in zip(sums.values(), gradients, strict=True):
                total += gradient.square()
        return sums

    def vectorised() -> dict[str, torch.Tensor]:
        return gradient_sum_by_image(network, Batches(images, 64, network), mean_cross_entropy, ctx, of=torch.square)

    times: dict[str, list[float]] = {"loop over images": [], "vu": []}
    found = {}
    for _ in range(rounds):
        for key, function in (("loop over images", by_loop), ("vu", vectorised)):
            start = time.process_time()
            found[key] = function()
            times[key].append((time.process_time() - start) / count)
    slow, fast = found["loop over images"], found["vu"]
    difference = max(float((fast[key] - slow[key]).abs().max() / slow[key].abs().max()) for key in slow)
    return {"images": count, "difference": difference, **{key: summary(one) for key, one in times.items()}}


# Numbers ---------------------------------------------------------------------------------------------


def summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def show(results: Mapping[str, Any]) -> None:
    shadow_, base = results["shadow"], results["shadow"]["vu, together"]["seconds"]["median"]
    rows = [name for name in shadow_ if name not in ("epochs", "alone")]
    print(
        f"torch {results['machine']['torch']}, 1 thread; {results['networks']} networks, {shadow_['epochs']} epochs\n"
    )
    print(
        "| shadow models | CPU time a network | beside vu, together | largest difference of a weight | same answers |"
    )
    print("|---|---|---|---|---|")
    for name in rows:
        row = shadow_[name]
        ratio = row["seconds"]["median"] / base
        print(f"| {name} | {as_ms(row['seconds'])} | {ratio:.2f} | {row['difference']:.1e} | {row['same']:.2%} |")
    print("\n| Fisher diagonal | loop over images, an image | vu, an image | ratio | largest relative difference |")
    print("|---|---|---|---|---|")
    for name, row in results["fisher"].items():
        slow, fast = row["loop over images"], row["vu"]
        ratio = slow["median"] / fast["median"]
        print(f"| {name} | {as_ms(slow)} | {as_ms(fast)} | {ratio:.1f} | {row['difference']:.1e} |")


def as_ms(found: Mapping[str, float]) -> str:
    return f"{1000 * found['median']:.2f} ms ({1000 * found['low']:.2f} to {1000 * found['high']:.2f})"


if __name__ == "__main__":
    main()
