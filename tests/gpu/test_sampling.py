"""Pictures and verdicts on a device: as on the CPU, up to rounding; and the memory they take."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vu_core import SamplerSettings
from vu_core.records import MemoryMeter

pytestmark = pytest.mark.gpu

OBJECTS = ("cat", "dog", "car", "apple", "house", "rocket")
STYLES = ("noto", "mono")
PROMPTS = [f"a {thing} image in {style} style" for thing in OBJECTS for style in STYLES]
SEEDS = list(range(len(PROMPTS)))
SETTINGS = SamplerSettings(steps=20, guidance_scale=3.0, micro_batch=6)
MEBIBYTE = 2**20


def draw(model, prompts=PROMPTS, seeds=SEEDS, settings=SETTINGS) -> torch.Tensor:
    return torch.stack(list(model.sample(prompts, seeds, settings)))


def difference(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    """Return the mean difference of pixels, and that of the picture that differs most, in levels of 0 to 255."""
    apart = (a.float() - b.float()).abs().mean(dim=(1, 2, 3))
    return apart.mean().item(), apart.max().item()


def verdicts(pictures: torch.Tensor) -> list[int]:
    from vu_emoji.scorers import object_judge

    with torch.no_grad():
        return object_judge().score(pictures, PROMPTS).probabilities.argmax(1).tolist()


@pytest.fixture(scope="module")
def on_cpu(embedded) -> torch.Tensor:
    return draw(embedded("cpu"))


@pytest.fixture(scope="module")
def model(device, embedded):
    return embedded(device)


@pytest.mark.usefixtures("precise")
def test_float32_pictures_are_the_cpus(model, on_cpu, measured):
    mean, worst = difference(draw(model), on_cpu)
    measured(f"pictures, float32 beside the CPU's: {mean:.4f} levels apart, at most {worst:.4f}")
    assert worst < 0.05


def test_pictures_at_the_devices_default_precision_are_nearly_the_cpus(model, on_cpu, measured):
    drawn = draw(model)
    mean, worst = difference(drawn, on_cpu)
    measured(f"pictures, the device's default float32 beside the CPU's: {mean:.3f} levels apart, at most {worst:.3f}")
    assert worst < 0.5
    assert verdicts(drawn) == verdicts(on_cpu)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_the_same_things(device, embedded, on_cpu, measured, dtype):
    drawn = draw(embedded(device, dtype))
    mean, worst = difference(drawn, on_cpu)
    measured(f"pictures, {dtype} beside float32 of the CPU: {mean:.2f} levels apart, at most {worst:.2f}")
    assert mean < {"bfloat16": 2, "float16": 0.5}[dtype]
    assert sum(a == b for a, b in zip(verdicts(drawn), verdicts(on_cpu), strict=True)) >= len(PROMPTS) - 1


def test_a_picture_does_not_depend_on_its_company(model):
    settings = replace(SETTINGS, steps=4, micro_batch=5)
    together = draw(model, settings=settings)
    backwards = draw(model, PROMPTS[::-1], SEEDS[::-1], settings)
    assert torch.equal(together, backwards.flip(0))


def test_noise_added_in_the_steps_is_the_cpus(model, embedded):
    settings = replace(SETTINGS, steps=4, scheduler="EulerAncestralDiscreteScheduler")
    ours, theirs = (draw(at, PROMPTS[:6], SEEDS[:6], settings) for at in (model, embedded("cpu")))
    assert difference(ours, theirs)[1] < 0.5


def test_the_cache_tells_devices_apart(model, embedded, device):
    on_device, on_cpu = (dict(at.sampling_key(SETTINGS)) for at in (model, embedded("cpu")))
    assert on_device["device"] == device
    assert (on_device == on_cpu) == (device == "cpu")


def test_the_cache_tells_tf32_from_float32(model, device, request):
    default = dict(model.sampling_key(SETTINGS))
    request.getfixturevalue("precise")
    precise = dict(model.sampling_key(SETTINGS))
    assert (precise == default) == (device != "cuda")
    assert "float32" not in precise


def test_the_callers_default_device_draws_nothing_else(model, device):
    settings = replace(SETTINGS, steps=2)
    expected = draw(model, settings=settings)
    with torch.device(device), torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(draw(model, settings=settings), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sampling_memory(device, embedded, measured, dtype):
    meter = MemoryMeter(device)
    draw(embedded(device, dtype))
    peak = meter.device_bytes()
    if device != "cuda":
        assert peak is None
        return
    measured(f"memory, {SETTINGS.micro_batch} pictures at once in {dtype}: {peak / MEBIBYTE:.0f} MiB on the device")
    assert 10 * MEBIBYTE < peak < 4096 * MEBIBYTE


def test_the_meter_counts_what_was_allocated_since_it_was_made(device):
    before = MemoryMeter(device).device_bytes()
    meter = MemoryMeter(device)
    held = torch.ones(64 * MEBIBYTE, dtype=torch.uint8, device=device)
    del held
    after, later = meter.device_bytes(), MemoryMeter(device).device_bytes()
    if device != "cuda":
        assert before is after is later is None
        return
    assert 64 * MEBIBYTE <= after - before < 80 * MEBIBYTE
    assert later - before < 16 * MEBIBYTE


@pytest.mark.parametrize("judge", ["object_judge", "style_judge", "ClipJudge"])
def test_judges_say_what_they_say_on_the_cpu(device, on_cpu, judge):
    from vu_emoji import scorers

    with torch.no_grad():
        ours, theirs = (getattr(scorers, judge)(device=at).score(on_cpu, PROMPTS) for at in (device, "cpu"))
    if judge != "ClipJudge":
        assert ours.names == theirs.names
        ours, theirs = ours.probabilities, theirs.probabilities
        assert torch.equal(ours.argmax(1), theirs.argmax(1))
    assert ours.device.type == "cpu"
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)
