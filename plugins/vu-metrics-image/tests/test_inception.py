"""FID's Inception: resizing beside worked examples and slow references, the network beside one written out by hand."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from vu_metrics_image.inception import RESIZING, Inception, InceptionFeatures, torch_fidelity
from vu_metrics_image.plugin import SCORERS, vu_metrics
from vu_metrics_image.resizing import antialiased, clean, tensorflow1

from vu_core import Concept, DataError, PluginError, Request
from vu_core.meters import MetricUse
from vu_core.testing import Component
from vu_core.testing.checks import scorers

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file in the published one's format, its numbers random, with the last layer that is not used."""
    generator = torch.Generator().manual_seed(0)
    tensors: Tensors = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for key, value in Inception().state_dict().items():
        noise = torch.randn(value.shape, generator=generator) if value.ndim else value
        if key.endswith("conv.weight"):
            tensors[key] = noise * math.sqrt(2 / value[0].numel())
        elif key.endswith(("running_var", "bn.weight")):
            tensors[key] = 1 + 0.2 * noise.tanh()
        elif not key.endswith("num_batches_tracked"):
            tensors[key] = 0.1 * noise
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(tensors, path)
    return path


def pictures(count: int = 2, height: int = 40, width: int = 56) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


# Resizing.


def row(resize, values: list[float], side: int) -> list[float]:
    """Return the middle row of a picture whose rows are all ``values``."""
    picture = torch.tensor(values).expand(1, 1, 8, -1).contiguous()
    return resize(picture, side)[0, 0, side // 2].tolist()


IMPULSE = [0.0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("resize", "values", "expected"),
    [
        (tensorflow1, [0.0, 1], [0, 0.5, 1, 1]),
        (antialiased, [0.0, 1], [0, 0.25, 0.75, 1]),
        (tensorflow1, IMPULSE, [0, 0, 0, 0]),
        (antialiased, IMPULSE, [0, 0.375, 0.125, 0]),
    ],
)
def test_resizing_of_a_row(resize, values, expected):
    assert row(resize, values, 4) == pytest.approx(expected, abs=1e-6)


def test_clean_resizing_of_a_row_is_cut_to_the_range_of_pixels():
    assert row(clean, [100 * value for value in IMPULSE], 4) == pytest.approx([0, 42.86, 11.20, 0], abs=0.01)
    lifted = row(clean, [100 + 100 * value for value in IMPULSE], 4)
    assert lifted == pytest.approx([96.23, 142.86, 111.20, 98.74], abs=0.01)


def slow_tensorflow1(picture: list[list[float]], side: int) -> list[list[float]]:
    height, width = len(picture), len(picture[0])
    found = []
    for i in range(side):
        y = i * height / side
        top, down = int(y), min(int(y) + 1, height - 1)
        line = []
        for j in range(side):
            x = j * width / side
            left, right = int(x), min(int(x) + 1, width - 1)
            upper = picture[top][left] * (1 - x + left) + picture[top][right] * (x - left)
            lower = picture[down][left] * (1 - x + left) + picture[down][right] * (x - left)
            line.append(upper * (1 - y + top) + lower * (y - top))
        found.append(line)
    return found


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    """Return the kernel of Keys with a = -0.5, which Pillow uses."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def slow_filtered(values: list[float], side: int, kernel, reach: float) -> list[float]:
    """Return a row under a kernel that is widened when it shrinks, its weights made to sum to 1."""
    scale = max(1.0, len(values) / side)
    found = []
    for i in range(side):
        centre = (i + 0.5) * len(values) / side
        near = [j for j in range(len(values)) if abs(j + 0.5 - centre) < reach * scale + 1]
        weights = [kernel((j + 0.5 - centre) / scale) for j in near]
        found.append(sum(w * values[j] for w, j in zip(weights, near, strict=True)) / sum(weights))
    return found


@pytest.mark.parametrize("side", [5, 23])
def test_resizing_agrees_with_slow_references(side: int):
    picture = pictures(1, 12, 9).float()
    plane = picture[0, 0].tolist()
    torch.testing.assert_close(
        tensorflow1(picture, side)[0, 0], torch.tensor(slow_tensorflow1(plane, side)), atol=1e-3, rtol=0
    )
    for resize, kernel, reach in ((antialiased, triangle, 1.0), (clean, cubic, 2.0)):
        rows = [slow_filtered(line, side, kernel, reach) for line in plane]
        columns = [slow_filtered(list(line), side, kernel, reach) for line in zip(*rows, strict=True)]
        expected = torch.tensor(columns).T
        expected = expected.clamp(0, 255) if resize is clean else expected
        torch.testing.assert_close(resize(picture, side)[0, 0], expected, atol=2e-3, rtol=0)


# The network, written out by hand over a file's tensors, after Szegedy et al. 2015 (arXiv:1512.00567).


class ByHand:
    def __init__(self, tensors: Tensors) -> None:
        self.tensors = {key: value.double() for key, value in tensors.items()}

    def conv(self, x: torch.Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> torch.Tensor:
        x = F.conv2d(x, self.tensors[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, variance, weight, bias = (
            self.tensors[f"{name}.bn.{part}"].view(-1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (variance + 1e-3).sqrt() * weight + bias).clamp(min=0)

    def chain(self, x: torch.Tensor, block: str, *names: str) -> torch.Tensor:
        for name in names:
            kernel = self.tensors[f"{block}.{name}.conv.weight"].shape[2:]
            x = self.conv(x, f"{block}.{name}", padding=(kernel[0] // 2, kernel[1] // 2))
        return x

    @staticmethod
    def average(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1)

    def a(self, x: torch.Tensor, block: str) -> torch.Tensor:
        doubled = self.chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        five = self.chain(x, block, "branch5x5_1", "branch5x5_2")
        pooled = self.chain(self.average(x), block, "branch_pool")
        return torch.cat([self.chain(x, block, "branch1x1"), five, doubled, pooled], 1)

    def b(self, x: torch.Tensor, block: str) -> torch.Tensor:
        doubled = self.chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
        doubled = self.conv(doubled, f"{block}.branch3x3dbl_3", stride=2)
        return torch.cat([self.conv(x, f"{block}.branch3x3", stride=2), doubled, F.max_pool2d(x, 3, 2)], 1)

    def c(self, x: torch.Tensor, block: str) -> torch.Tensor:
        seven = self.chain(x, block, *(f"branch7x7_{i}" for i in (1, 2, 3)))
        doubled = self.chain(x, block, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)))
        pooled = self.chain(self.average(x), block, "branch_pool")
        return torch.cat([self.chain(x, block, "branch1x1"), seven, doubled, pooled], 1)

    def d(self, x: torch.Tensor, block: str) -> torch.Tensor:
        three = self.conv(self.chain(x, block, "branch3x3_1"), f"{block}.branch3x3_2", stride=2)
        seven = self.chain(x, block, *(f"branch7x7x3_{i}" for i in (1, 2, 3)))
        return torch.cat([three, self.conv(seven, f"{block}.branch7x7x3_4", stride=2), F.max_pool2d(x, 3, 2)], 1)

    def e(self, x: torch.Tensor, block: str, pooled: torch.Tensor) -> torch.Tensor:
        three = self.chain(x, block, "branch3x3_1")
        doubled = self.chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
        split = [self.chain(three, block, f"branch3x3_2{side}") for side in "ab"]
        split += [self.chain(doubled, block, f"branch3x3dbl_3{side}") for side in "ab"]
        return torch.cat([self.chain(x, block, "branch1x1"), *split, self.chain(pooled, block, "branch_pool")], 1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.conv(x, "Conv2d_1a_3x3", stride=2), "Conv2d_2a_3x3")
        x = F.max_pool2d(self.conv(x, "Conv2d_2b_3x3", padding=1), 3, 2)
        x = F.max_pool2d(self.conv(self.conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.a(x, name)
        x = self.b(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.c(x, name)
        x = self.d(x, "Mixed_7a")
        x = self.e(x, "Mixed_7b", self.average(x))
        x = self.e(x, "Mixed_7c", F.max_pool2d(x, 3, 1, 1))
        return x.mean((2, 3))


def test_the_network_is_that_of_the_paper(file: Path):
    found = InceptionFeatures("torchmetrics", file=file).score(pictures(1), [])
    resized = F.interpolate(pictures(1).double(), (299, 299), mode="bilinear", antialias=True)
    expected = ByHand(torch.load(file, weights_only=True))((resized - 128) / 128)
    assert found.shape == (1, 2048)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3 * float(expected.mean()))


def test_resizing_decides_the_features(file: Path):
    found = {script: InceptionFeatures(script, file=file).score(pictures(1, 400, 400), []) for script in RESIZING}
    spread = float(found["torchmetrics"].std())
    for script in ("torch-fidelity", "clean-fid"):
        assert float((found[script] - found["torchmetrics"]).abs().mean()) > 0.02 * spread


# As scorers.


def test_the_scorer_keeps_the_contract(file: Path):
    spec = next(spec for spec in SCORERS if spec.name == "inception-v3-torch-fidelity")
    build = partial(InceptionFeatures, "torch-fidelity", file=file)
    for check in (scorers.check_version, scorers.check_verdicts, scorers.check_verdicts_alone):
        check(Component(spec=spec, load=lambda: build))


def test_fids_of_two_pipelines_have_two_names(file: Path):
    spec = next(spec for spec in vu_metrics() if spec.name == "fid")
    use = MetricUse(spec=spec, load=lambda: object, request=Request(forget=(Concept(name="cat"),)))
    names = [use.label({"features": InceptionFeatures(script, file=file)}) for script in RESIZING]
    assert names == [f"fid[inception-v3-{script}]" for script in ("torch-fidelity", "torchmetrics", "clean-fid")]


def test_missing_weights_say_where_to_get_and_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError) as raised:
        torch_fidelity()
    assert str(tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth") in raised.value.message
    assert "torch-fidelity/releases" in raised.value.hint


def test_a_file_of_another_inception_is_refused(file: Path, tmp_path: Path):
    tensors = torch.load(file, weights_only=True)
    tensors["Mixed_5b.branch_pool.conv.weight"] = torch.zeros(1, 1, 1, 1)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(PluginError, match=r"lacks 1 of the \d+ tensors.*'Mixed_5b.branch_pool.conv.weight'"):
        InceptionFeatures("clean-fid", file=tmp_path / "other.pth")
