"""LPIPS as a squared distance of features: random weights in the published files' format, beside a slow reference."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from vu_metrics_image.pairs import Lpips
from vu_metrics_image.perceptual import NETWORKS, LpipsFeatures, alex, layer_weights
from vu_metrics_image.plugin import SCORERS

from vu_core import Batch, Concept, DataError, PluginError, Request, Sample
from vu_core.testing import Component
from vu_core.testing.checks import scorers

# Input and output channels, side of the kernel, stride and padding of torchvision's convolutions, by their place in
# ``features``; activations are read before each place in ``ENDS``.
LAYERS: dict[str, dict[int, tuple[int, int, int, int, int]]] = {
    "alex": {
        0: (3, 64, 11, 4, 2),
        3: (64, 192, 5, 1, 2),
        6: (192, 384, 3, 1, 1),
        8: (384, 256, 3, 1, 1),
        10: (256, 256, 3, 1, 1),
    },
    "vgg": {
        place: (inside, outside, 3, 1, 1)
        for place, inside, outside in [
            *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)),
            *((17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)),
        ]
    },
}
POOLED = {"alex": {2: (3, 2), 5: (3, 2)}, "vgg": {4: (2, 2), 9: (2, 2), 16: (2, 2), 23: (2, 2)}}
ENDS = {"alex": (2, 5, 8, 10, 12), "vgg": (4, 9, 16, 23, 30)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write files with the names and shapes of torchvision's, their numbers random."""
    folder, generator = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    found = {}
    for network, layers in LAYERS.items():
        tensors = {"classifier.1.weight": torch.zeros(2, 2)}
        for place, (inside, outside, side, _, _) in layers.items():
            spread = math.sqrt(2 / (inside * side * side))
            shape = (outside, inside, side, side)
            tensors[f"features.{place}.weight"] = spread * torch.randn(shape, generator=generator)
            tensors[f"features.{place}.bias"] = 0.1 * torch.randn(outside, generator=generator)
        found[network] = folder / f"{network}.pth"
        torch.save(tensors, found[network])
    return found


def pictures(seed: int, count: int = 2, side: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def slow_lpips(network: str, file: Path, now: torch.Tensor, then: torch.Tensor) -> float:
    """Return LPIPS of two pictures uint8 (3, H, W), as the authors' code computes it, in float64."""
    tensors = {key: value.double() for key, value in torch.load(file, weights_only=True).items()}

    def activations(picture: torch.Tensor) -> list[np.ndarray[Any, Any]]:
        x = picture.double()[None] / 255 * 2 - 1
        x = (x - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)) / torch.tensor([0.458, 0.448, 0.450]).view(
            3, 1, 1
        )
        kept = []
        for place in range(ENDS[network][-1]):
            if place in LAYERS[network]:
                _, _, _, stride, padding = LAYERS[network][place]
                weight, bias = tensors[f"features.{place}.weight"], tensors[f"features.{place}.bias"]
                x = F.conv2d(x, weight, bias, stride, padding)
            elif place in POOLED[network]:
                x = F.max_pool2d(x, *POOLED[network][place])
            else:
                x = x.clamp(min=0)
            if place + 1 in ENDS[network]:
                kept.append(x[0].numpy())
        return kept

    total = 0.0
    for weights, a, b in zip(layer_weights(network), activations(now), activations(then), strict=True):
        unit_a, unit_b = (one / (np.sqrt((one**2).sum(axis=0)) + 1e-10) for one in (a, b))
        total += float(((unit_a - unit_b) ** 2 * weights.double().numpy().reshape(-1, 1, 1)).sum(axis=0).mean())
    return total


def measured(features: LpipsFeatures, now: torch.Tensor, then: torch.Tensor) -> list[float]:
    samples = [Sample(id=str(i), prompt="cat", seed=i) for i in range(len(now))]
    before = Batch(samples=samples, images=then, scores={"lpips": features.score(then, [])})
    batch = Batch(samples=samples, images=now, scores={"lpips": features.score(now, [])}, reference=before)
    return list(Lpips(request=Request(forget=(Concept(name="cat"),))).values(batch))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_distance_is_lpips(network: str, files: dict[str, Path]):
    now, then = pictures(0), pictures(1)
    found = measured(LpipsFeatures(network, file=files[network]), now, then)
    expected = [slow_lpips(network, files[network], a, b) for a, b in zip(now, then, strict=True)]
    assert found == pytest.approx(expected, rel=1e-4)
    assert all(value > 0.05 for value in found)


def test_one_layer_as_worked_by_hand():
    first, second = torch.tensor([3.0, 4.0]) / 5, torch.tensor([4.0, 3.0]) / 5
    roots = torch.tensor([1.0, 2.0]).sqrt()
    assert float((roots * first - roots * second).square().sum()) == pytest.approx(0.12, abs=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_of_the_layers_are_the_authors(network: str):
    weights = layer_weights(network)
    assert [one.shape[1] for one in weights] == {"alex": [64, 192, 384, 256, 256], "vgg": [64, 128, 256, 512, 512]}[
        network
    ]
    assert all(float(one.min()) >= 0 for one in weights)


def test_the_scorer_keeps_the_contract(files: dict[str, Path]):
    build = partial(LpipsFeatures, "alex", file=files["alex"])
    component = Component(spec=SCORERS[0], load=lambda: build)
    for check in scorers.CHECKS:
        check.function(component)


def test_without_torchmetrics_the_layers_have_no_weights(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vu_metrics_image.perceptual.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'vu-metrics-image\[lpips\]'"):
        layer_weights("alex")


def test_large_pictures_are_judged_in_parts(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    features = LpipsFeatures("alex", file=files["alex"])
    whole = features.score(pictures(3, count=5), [])
    monkeypatch.setattr("vu_metrics_image.perceptual._PIXELS", 64 * 64 * 2)
    torch.testing.assert_close(features.score(pictures(3, count=5), []), whole)
    assert whole.shape == (5, 31872)


def test_missing_weights_say_where_to_get_and_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError) as raised:
        alex()
    assert str(tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth") in raised.value.message
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in raised.value.hint


def test_other_files_under_that_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(files["alex"].read_bytes())
    with pytest.raises(PluginError, match=r"is not the published file: its sha256 begins with \w{8}, not 7be5be79"):
        alex()
    with pytest.raises(PluginError, match="lacks 10 of the 10 tensors"):
        torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
        LpipsFeatures("alex", file=tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"no tensors")
    with pytest.raises(PluginError, match="cannot be read as tensors"):
        LpipsFeatures("alex", file=tmp_path / "broken.pth")
