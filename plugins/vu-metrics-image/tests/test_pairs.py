"""Metrics of pairs: golden values, slow references that share no function with them, laws and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from vu_metrics_image.pairs import MS_SSIM_SIDE, FeatureCosine, Lpips, MsSsim, PairMean, PixelPairs, Psnr, Ssim
from vu_metrics_image.plugin import vu_metrics

from vu_core import Batch, ComputeError, Concept, Measurement, MetricSpec, Request, Sample

REQUEST = Request(forget=(Concept(name="cat"),))
PIXELS: list[type[PixelPairs]] = [Psnr, Ssim]
FEATURES = {FeatureCosine: "features", Lpips: "lpips"}
SPECS: dict[str, MetricSpec] = {spec.target.partition(":")[2]: spec for spec in vu_metrics()}

Pixels = np.ndarray[Any, np.dtype[np.float64]]


def sample(index: int) -> Sample:
    name = "cat" if index % 3 == 0 else "dog"
    return Sample(id=f"{name}-{index}", prompt=name, seed=index, attributes={"object": name}, cluster=str(index // 2))


def pictures(count: int, seed: int, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def batch(now: torch.Tensor, then: torch.Tensor, **scores: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    samples = [sample(i) for i in range(len(now))]
    before = Batch(samples=samples, images=then, scores={role: pair[1] for role, pair in scores.items()})
    return Batch(samples=samples, images=now, scores={role: pair[0] for role, pair in scores.items()}, reference=before)


def part(whole: Batch, rows: Sequence[int]) -> Batch:
    def taken(one: Batch) -> dict[str, Any]:
        return {
            "samples": [one.samples[i] for i in rows],
            "images": one.images[list(rows)],
            "scores": {role: found[list(rows)] for role, found in one.scores.items()},
        }

    assert whole.reference is not None
    return Batch(**taken(whole), reference=Batch(**taken(whole.reference)))


def measured(metric: type[PairMean], *batches: Batch) -> dict[str, Measurement]:
    instance = metric(request=REQUEST)
    for one in batches:
        instance.update(one)
    return {measurement.group: measurement for measurement in instance.compute()}


def flat(level: float, side: int = 16) -> torch.Tensor:
    return torch.full((1, 3, side, side), level, dtype=torch.float64)


# Golden values of the published definitions.


def test_psnr_of_constant_pictures():
    assert Psnr(request=REQUEST).of_pair(flat(0.1), flat(0.0)) == pytest.approx(20, abs=1e-9)


def test_psnr_is_averaged_over_pictures_not_pooled():
    metric = Psnr(request=REQUEST)
    assert [metric.of_pair(flat(d), flat(0.0)) for d in (0.1, 0.01)] == pytest.approx([20, 40])
    now = torch.cat([torch.full((1, 3, 4, 4), level, dtype=torch.uint8) for level in (51, 5)])
    found = measured(Psnr, batch(now, torch.zeros_like(now)))
    assert found["forget"].value == pytest.approx(-20 * math.log10(51 / 255))
    assert found["retain"].value == pytest.approx(-20 * math.log10(5 / 255))


def test_ssim_of_constant_pictures():
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert Ssim(request=REQUEST).of_pair(flat(0.2), flat(0.8)) == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx(0.4706661, abs=1e-7)


def test_feature_distances_of_small_vectors():
    vectors = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    found = measured(FeatureCosine, batch(pictures(2, 0), pictures(2, 1), features=vectors))
    assert found["forget"].value == pytest.approx(1 - 24 / 25)
    assert found["retain"].value == pytest.approx(2)
    assert measured(Lpips, batch(pictures(2, 0), pictures(2, 1), lpips=vectors))["retain"].value == pytest.approx(9)


# Slow references, in plain numpy.


def slow_psnr(now: Pixels, then: Pixels) -> float:
    return 10 * math.log10(1 / float(np.mean((now - then) ** 2)))


def test_psnr_is_that_of_torchmetrics():
    now, then = pictures(4, 0), pictures(4, 1)
    expected = peak_signal_noise_ratio(now / 255, then / 255, data_range=1.0, dim=(1, 2, 3), reduction="none")
    assert list(Psnr(request=REQUEST).values(batch(now, then))) == pytest.approx(expected.tolist(), abs=1e-4)


def slow_moments(now: Pixels, then: Pixels) -> tuple[Pixels, Pixels]:
    """Return luminance and contrast-structure at every place of one channel, borders reflected."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    padded = [np.pad(one, 5, mode="reflect") for one in (now, then)]
    height, width = now.shape
    luminance, structure = np.empty((height, width)), np.empty((height, width))
    for i in range(height):
        for j in range(width):
            a, b = (one[i : i + 11, j : j + 11] for one in padded)
            mean_a, mean_b = float((window * a).sum()), float((window * b).sum())
            var_a, var_b = float((window * (a - mean_a) ** 2).sum()), float((window * (b - mean_b) ** 2).sum())
            covariance = float((window * (a - mean_a) * (b - mean_b)).sum())
            luminance[i, j] = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
            structure[i, j] = (2 * covariance + 9e-4) / (var_a + var_b + 9e-4)
    return luminance, structure


def slow_ssim(now: Pixels, then: Pixels) -> float:
    parts = [slow_moments(a, b) for a, b in zip(now, then, strict=True)]
    return float(np.mean([luminance * structure for luminance, structure in parts]))


@pytest.mark.parametrize(("metric", "slow"), [(Psnr, slow_psnr), (Ssim, slow_ssim)])
def test_pixels_agree_with_a_slow_reference(metric: type[PixelPairs], slow: Callable[[Pixels, Pixels], float]):
    now = pictures(3, 0)
    then = (now.int() + torch.randint(-40, 40, now.shape, generator=torch.Generator().manual_seed(5))).clamp(0, 255)
    found = metric(request=REQUEST).values(batch(now, then.to(torch.uint8)))
    expected = [slow(a, b) for a, b in zip(now.numpy() / 255, then.numpy() / 255, strict=True)]
    assert list(found) == pytest.approx(expected, abs=1e-6)


def slow_ms_ssim(now: Pixels, then: Pixels) -> float:
    """Return the product over five scales, each moment separable along rows and columns."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def blurred(image: Pixels) -> Pixels:
        for axis in (1, 2):
            pad = [(0, 0), (0, 0), (0, 0)]
            pad[axis] = (5, 5)
            image = np.apply_along_axis(np.convolve, axis, np.pad(image, pad, mode="reflect"), weights, mode="valid")
        return image

    value = 1.0
    for scale, beta in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mean_a, mean_b = blurred(now), blurred(then)
        var_a, var_b = blurred(now**2) - mean_a**2, blurred(then**2) - mean_b**2
        structure = (2 * (blurred(now * then) - mean_a * mean_b) + 9e-4) / (var_a + var_b + 9e-4)
        if scale < 4:
            structure = structure[:, 5:-5, 5:-5]
        else:
            structure = structure * (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        value *= max(float(structure.mean()), 0.0) ** beta
        if scale < 4:
            now, then = (one.reshape(3, one.shape[1] // 2, 2, one.shape[2] // 2, 2).mean((2, 4)) for one in (now, then))
    return value


def test_ms_ssim_agrees_with_a_slow_reference():
    grain = torch.nn.functional.interpolate(pictures(1, 3, 22).double(), 176, mode="bilinear")
    now = grain.round().to(torch.uint8)
    then = (0.8 * grain + 0.2 * pictures(1, 4, 176)).round().to(torch.uint8)
    (found,) = MsSsim(request=REQUEST).values(batch(now, then))
    assert found == pytest.approx(slow_ms_ssim(now[0].numpy() / 255, then[0].numpy() / 255), abs=1e-6)
    assert 0.1 < found < 0.99


@pytest.mark.parametrize(
    ("metric", "reference", "side"),
    [(Ssim, structural_similarity_index_measure, 40), (MsSsim, multiscale_structural_similarity_index_measure, 180)],
)
def test_structural_similarity_is_that_of_torchmetrics(metric, reference, side):
    now, then = pictures(1, 0, side), pictures(1, 1, side)
    then = (0.7 * now + 0.3 * then).round().to(torch.uint8)
    expected = reference(now.double() / 255, then.double() / 255, data_range=1.0)
    assert list(metric(request=REQUEST).values(batch(now, then))) == pytest.approx([float(expected)], abs=1e-6)


@pytest.mark.parametrize("side", [64, 175])
def test_ms_ssim_refuses_small_pictures(side: int):
    small = pictures(1, 0, side)
    with pytest.raises(ComputeError, match=f"pictures of {side} x {side} are too small"):
        measured(MsSsim, batch(small, small))
    large = pictures(1, 0, 176)
    assert measured(MsSsim, batch(large, large))["forget"].value == pytest.approx(1)


# Laws.


def whole() -> Batch:
    generator = torch.Generator().manual_seed(2)
    rows = {role: (torch.randn(9, 5, generator=generator), torch.randn(9, 5, generator=generator)) for role in SCORED}
    return batch(pictures(9, 0), pictures(9, 1), **rows)


SCORED = tuple(FEATURES.values())
METRICS = [*PIXELS, *FEATURES]


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(9)), cut=st.integers(1, 8))
def test_order_and_batches_do_not_matter(metric, order, cut):
    expected = measured(metric, whole())
    found = measured(metric, part(whole(), order[:cut]), part(whole(), order[cut:]))
    assert {group: (m.value, m.interval, m.n) for group, m in found.items()} == {
        group: (m.value, m.interval, m.n) for group, m in expected.items()
    }
    low, high = SPECS[metric.__name__].range
    assert all(low <= m.value <= (high or math.inf) for m in found.values())


@pytest.mark.parametrize("metric", [Ssim, *FEATURES])
def test_pictures_compared_with_themselves_are_ideal(metric):
    one = whole()
    same = Batch(samples=one.samples, images=one.images, scores=one.scores, reference=one)
    assert measured(metric, same)["retain"].value == pytest.approx(SPECS[metric.__name__].ideal, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_now_and_then_may_be_swapped(metric):
    one = whole()
    assert one.reference is not None
    swapped = Batch(samples=one.samples, images=one.reference.images, scores=one.reference.scores, reference=one)
    assert measured(metric, swapped)["retain"].value == pytest.approx(measured(metric, one)["retain"].value)


@pytest.mark.parametrize("metric", METRICS)
def test_an_excluded_pair_changes_its_count_alone(metric):
    instance = metric(request=REQUEST)
    instance.exclude(sample(3), "missing")
    instance.update(whole())
    found, expected = {m.group: m for m in instance.compute()}, measured(metric, whole())
    assert {group: (m.value, m.n) for group, m in found.items()} == {
        group: (m.value, m.n) for group, m in expected.items()
    }
    assert (found["forget"].n_excluded, found["retain"].n_excluded) == (1, 0)


def test_unchanged_pictures_have_no_psnr_and_are_told():
    now, then = pictures(6, 0), pictures(6, 1)
    then[0], then[1], then[3] = now[0], now[1], now[3]
    found = measured(Psnr, batch(now, then))
    assert (found["forget"].value, found["forget"].n) == (None, 0)
    assert found["forget"].note.startswith("2 of 2 pictures did not change")
    assert (found["retain"].n, len(found["retain"].values)) == (3, 3)
    assert "1 of 4 pictures did not change: their ratio is infinite, and the mean is over the others" in (
        found["retain"].note
    )


# Refusals.


@pytest.mark.parametrize("metric", PIXELS)
def test_pictures_in_another_range_are_refused(metric):
    one = whole()
    assert one.reference is not None
    floats = one.reference.images.float() / 255
    wrong = Batch(samples=one.samples, images=one.images, scores={}, reference=batch(floats, floats))
    with pytest.raises(ComputeError, match=r"pictures of torch.float32 were given, not of torch.uint8"):
        measured(metric, wrong)


@pytest.mark.parametrize(("metric", "role"), FEATURES.items())
@pytest.mark.parametrize("bad", [torch.full((9, 5), math.nan), torch.zeros(9), torch.zeros(4, 5), [[0.0]] * 9])
def test_what_is_no_features_is_refused(metric, role, bad):
    one = whole()
    wrong = Batch(samples=one.samples, images=one.images, scores={role: bad}, reference=one.reference)
    with pytest.raises(ComputeError, match="features"):
        measured(metric, wrong)


def test_features_of_only_zeros_have_no_direction():
    one = whole()
    zeros = Batch(samples=one.samples, images=one.images, scores={"features": torch.zeros(9, 5)}, reference=one)
    with pytest.raises(ComputeError, match="only zeros"):
        measured(FeatureCosine, zeros)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_to_compare_with_is_refused(metric):
    one = whole()
    with pytest.raises(ComputeError, match="no pictures from before unlearning"):
        measured(metric, Batch(samples=one.samples, images=one.images, scores=one.scores))


# Less precision: pictures that a model computed in 16 bits, and features that a scorer gives in 16 bits.


def smooth(count: int, seed: int, side: int) -> torch.Tensor:
    """Pictures float32 in [0, 1] whose neighbours resemble each other, as a model's do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 12, 12, generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=False).clamp(0, 1)


def saved(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures.float() * 255).round().to(torch.uint8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("metric", "tolerance"), [(Psnr, 0.1), (Ssim, 0.01), (MsSsim, 0.01)])
def test_pictures_computed_in_half_precision_give_nearly_the_same_number(metric, tolerance, dtype):
    then, moved = smooth(3, 0, MS_SSIM_SIDE), smooth(3, 1, MS_SSIM_SIDE)
    now = 0.8 * then + 0.2 * moved
    exact, near = (
        measured(metric, batch(saved(now.to(precision)), saved(then.to(precision))))["retain"].value
        for precision in (torch.float32, dtype)
    )
    assert exact != near and near == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("metric", "role"), FEATURES.items())
def test_features_of_half_precision_give_nearly_the_same_distance(metric, role, dtype):
    """Only what the features lose is lost: the difference of a pair is taken in float64."""
    generator = torch.Generator().manual_seed(5)
    then = torch.randn(12, 512, generator=generator)
    now = then + 0.3 * torch.randn(12, 512, generator=generator)
    images = pictures(12, 0)
    exact, near = (
        measured(metric, batch(images, images, **{role: (now.to(precision), then.to(precision))}))["retain"].value
        for precision in (torch.float32, dtype)
    )
    assert exact != near and near == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("metric", [*PIXELS, MsSsim])
def test_pictures_in_half_precision_themselves_are_refused(metric, dtype):
    images = smooth(3, 0, MS_SSIM_SIDE).to(dtype)
    with pytest.raises(ComputeError, match=f"pictures of {dtype} were given"):
        measured(metric, batch(images, images))
