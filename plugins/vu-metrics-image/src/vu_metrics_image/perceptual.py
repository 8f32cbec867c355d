"""LPIPS as a scorer: features in which it is a squared distance.

R. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (arXiv:1801.03924),
version 0.1: sum over layers l of mean over places of sum over channels c of w_lc (f_c - g_c)^2, where f and g are
activations of two pictures, divided by their length over channels at each place. With features
sqrt(w_lc / places) f_c that is the squared distance of two feature vectors. The weights w are not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vu_core import PluginError
from vu_metrics_image.checkpoints import fill, read_weights

# Of pictures in [-1, 1]; the published code's rounding of ImageNet's statistics.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

_EPSILON = (
    1e-10  # as the authors' code; torchmetrics adds 1e-8 under the root, which differs where activations are tiny
)
_PIXELS = 2**20  # judged at once: the first layer of vgg keeps 64 numbers a pixel


def alexnet() -> tuple[nn.Sequential, tuple[int, ...]]:
    """Return the convolutions of torchvision's AlexNet, and where its five activations end."""
    layers: list[nn.Module] = [
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()),
    ]
    return nn.Sequential(*layers), (2, 5, 8, 10, 12)


def vgg16() -> tuple[nn.Sequential, tuple[int, ...]]:
    """Return the convolutions of torchvision's VGG16, and where the last activation of each block ends."""
    layers: list[nn.Module] = []
    for block in ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512)):
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for inside, outside in pairwise(block):
            layers += [nn.Conv2d(inside, outside, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers), (4, 9, 16, 23, 30)


NETWORKS = {
    "alex": (alexnet, "alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
    "vgg": (vgg16, "vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth"),
}


class LpipsFeatures:
    """Features in which LPIPS is the squared distance.

    The backbone's weights are torchvision's, from torch's folder of checkpoints; those of the layers are version 0.1
    of the authors, which torchmetrics carries.

    Args:
        network: ``"alex"``, the authors' choice for measuring, or ``"vgg"``.
        device: Where it computes.
        file: Weights of the backbone, instead of the published file.

    Raises:
        DataError: The weights are not on this machine.
        PluginError: They are another network's.
    """

    def __init__(self, network: str, *, device: str = "cpu", file: Path | None = None) -> None:
        build, name, source = NETWORKS[network]
        self.name = f"lpips-{network}"
        tensors, self.version = read_weights(name, source, file)
        layers, self._ends = build()
        fill(layers, {key.removeprefix("features."): value for key, value in tensors.items()}, str(file or name))
        self._network = layers.eval().requires_grad_(False).to(device)
        self._roots = [weights.sqrt().to(device) for weights in layer_weights(network)]
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return features float32 (N, d) of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at.

        d grows with the pictures: 31,872 for alex at 64 x 64.
        """
        at_once = max(1, _PIXELS // (images.shape[-1] * images.shape[-2]))
        return torch.cat([self._features(part).cpu() for part in torch.split(images, at_once)])

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        shift, scale = (torch.tensor(values, device=self._device)[:, None, None] for values in (SHIFT, SCALE))
        x = (images.to(self._device).float() / 127.5 - 1 - shift) / scale
        rows = []
        for root, (start, end) in zip(self._roots, pairwise((0, *self._ends)), strict=True):
            x = self._network[start:end](x)
            places = x.shape[-2] * x.shape[-1]
            rows.append((root * x / (x.norm(dim=1, keepdim=True) + _EPSILON) / places**0.5).flatten(1))
        return torch.cat(rows, dim=1)


def layer_weights(network: str) -> list[torch.Tensor]:
    """Return the weights of the channels of every layer, float32 (1, C, 1, 1), at least 0.

    Raises:
        PluginError: torchmetrics is not installed, or carries none.
    """
    # Found without importing it, which takes seconds.
    found = find_spec("torchmetrics")
    folder = Path(found.origin).parent if found and found.origin else Path()
    path = folder / "functional" / "image" / "lpips_models" / f"{network}.pth"
    if not path.is_file():
        raise PluginError(
            "the weights of LPIPS's layers come with torchmetrics, which is not installed or carries none",
            hint="pip install 'vu-metrics-image[lpips]'",
        )
    tensors: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return [tensors[f"lin{i}.model.1.weight"].clamp(min=0) for i in range(len(tensors))]


def alex(*, device: str = "cpu") -> LpipsFeatures:
    """Return the features of LPIPS over AlexNet."""
    return LpipsFeatures("alex", device=device)


def vgg(*, device: str = "cpu") -> LpipsFeatures:
    """Return the features of LPIPS over VGG16."""
    return LpipsFeatures("vgg", device=device)
