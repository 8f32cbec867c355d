"""Models in float64 and pictures given as numbers, small enough to compute everything by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vu_core import Concept, Edit, Request
from vu_core.config import validate
from vu_core.context import RunContext
from vu_core.discovery import resolve
from vu_core.interfaces import Data, Picture

FORGET = Concept(name="chosen", kind="samples")


class Micro(nn.Module):
    """z = w x, two logits, no bias; x is the first pixel's value, 0 to 255."""

    def __init__(self, weight: tuple[float, float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64)[:, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images[:, 0, 0, :1] * 255) @ self.weight.T


class SmallModel:
    """A classifier over any network; ``fresh`` returns a copy of ``untrained``."""

    name, family, device, kind = "small", "classifier", "cpu", "class"

    def __init__(self, network: nn.Module, classes: int, size: int = 2, untrained: nn.Module | None = None) -> None:
        self.network = network.eval()
        self.untrained = untrained
        self.dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
        self.classes = tuple(map(str, range(classes)))
        self.picture_size = (size, size)
        self.recipe_ = {"seed": 5}

    def component(self, name: str) -> nn.Module:
        return self.network

    def tensor_names(self, component: str) -> list[str]:
        return list(self.network.state_dict())

    def tensor(self, component: str, name: str) -> torch.Tensor:
        return self.network.state_dict()[name]

    def fingerprint(self) -> str:
        return "small"

    def classify(self, images: torch.Tensor) -> Any:
        raise NotImplementedError

    def recipe(self) -> dict[str, Any]:
        return self.recipe_

    def fresh(self, seed: int) -> nn.Module:
        return copy.deepcopy(self.untrained)


class Pictures:
    """A dataset of images uint8 (N, 3, H, W) with labels; ``chosen`` marks those to forget."""

    def __init__(self, images: torch.Tensor, labels: list[int], chosen: list[int]) -> None:
        marked = [
            {"class": str(label)} | ({"samples": "chosen"} if i in chosen else {}) for i, label in enumerate(labels)
        ]
        self.found = {
            "train": [
                Picture(id=f"p{i}", caption="", attributes=shown, load=lambda image=image: image)
                for i, (image, shown) in enumerate(zip(images, marked, strict=True))
            ],
            "validation": [],
        }

    def pictures(self, split: str) -> list[Picture]:
        return self.found[split]

    def poison(self, allowed: Callable[[str, Picture], bool]) -> None:
        """Let reading a picture raise unless ``allowed`` says that it may be read."""

        def refuse() -> torch.Tensor:
            raise AssertionError("this picture must not be read")

        for split, pictures in self.found.items():
            self.found[split] = [one if allowed(split, one) else replace(one, load=refuse) for one in pictures]


def unlearn(name: str, model: Any, dataset: Any, ctx: RunContext, *forget: Concept, **options: Any) -> Edit:
    """Return the edit that the unlearner ``name`` of the plugin makes, with its options checked."""
    from vu_classify.plugin import vu_unlearners

    spec = next(spec for spec in vu_unlearners() if spec.name == name)
    request = Request(forget=forget or (FORGET,))
    data = Data(forget=request.forget, retain=(), dataset=dataset)
    config = validate(resolve(spec.config, "vu-classify"), options)
    edit: Edit = resolve(spec.target, "vu-classify")().unlearn(model, request, data, config, ctx)
    return edit


def micro_world(weight: tuple[float, float] = (0.0, 0.0)) -> tuple[SmallModel, Pictures]:
    """D_f = {(x = 1, y = 0)}, D_r = {(x = 2, y = 1)}."""
    images = torch.tensor([1, 2], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 1, 1)
    return SmallModel(Micro(weight), 2, size=1), Pictures(images, [0, 1], [0])


class LinearWorld:
    """Softmax regression on 2 x 2 pictures: the model, the dataset, and its arithmetic in numpy."""

    def __init__(self, classes: int = 3, n: int = 11, n_forget: int = 4) -> None:
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(256, (n, 3, 2, 2), generator=generator, dtype=torch.uint8)
        self.labels = [i % classes for i in range(n)]
        self.network = linear(classes, 2)
        self.model = SmallModel(self.network, classes, untrained=linear(classes, 3))
        self.dataset = Pictures(images, self.labels, list(range(n_forget)))
        self.x = images.reshape(n, 12).numpy().astype(np.float64) / 255
        self.y = np.array(self.labels)
        self.forget, self.retain = np.arange(n_forget), np.arange(n_forget, n)
        self.classes = classes
        self.start = [one.detach().numpy().copy() for one in self.network.parameters()]

    def after(self, edit: Edit) -> list[np.ndarray]:
        """Return weight and bias with the edit applied."""
        names = ("classifier.1.weight", "classifier.1.bias")
        return [
            edit.tensors[name].numpy() if name in edit.tensors else old
            for name, old in zip(names, self.start, strict=True)
        ]


def linear(classes: int, seed: int) -> nn.Module:
    layer = nn.Linear(12, classes).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return nn.Sequential(nn.Flatten(), layer)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def logits(theta: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    return x @ theta[0].T + theta[1]


def through(x: np.ndarray, dz: np.ndarray) -> list[np.ndarray]:
    """Return the gradient of weight and bias for that of the mean loss by logits, ``dz`` (n, C) times n."""
    return [dz.T @ x / len(x), dz.mean(axis=0)]


def ce_gradient(theta: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Return the gradient of the mean cross-entropy."""
    return through(x, softmax(logits(theta, x)) - np.eye(len(theta[1]))[y])


class Sgd:
    """Plain arithmetic of SGD with momentum and weight decay."""

    def __init__(self, rate: float, momentum: float = 0.9, decay: float = 5e-4) -> None:
        self.rate, self.momentum, self.decay = rate, momentum, decay
        self.speed: list[np.ndarray] | None = None

    def step(self, theta: list[np.ndarray], gradient: list[np.ndarray]) -> list[np.ndarray]:
        wanted = [g + self.decay * t for g, t in zip(gradient, theta, strict=True)]
        old = self.speed or [np.zeros_like(t) for t in theta]
        self.speed = [self.momentum * v + g for v, g in zip(old, wanted, strict=True)]
        return [t - self.rate * v for t, v in zip(theta, self.speed, strict=True)]
