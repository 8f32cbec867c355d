"""Training of the testbed's U-Net on a device: the CPU's losses, the CPU's weights, and a run that resumes there."""

from __future__ import annotations

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("precise")]

STEPS = 4


@pytest.fixture(scope="module")
def settings():
    from vu_emoji.train.settings import UnetSettings

    return UnetSettings(batch=16)


@pytest.fixture(scope="module")
def cache():
    """A pool of random latents and text states in the shapes of the testbed's."""
    from vu_emoji.catalogue import load_catalogue
    from vu_emoji.train.latents import LatentPool
    from vu_emoji.train.pool import Captioner

    generator = torch.Generator().manual_seed(0)
    zeros = torch.zeros(32, dtype=torch.int64)
    captions = len(Captioner(load_catalogue()).list_all())
    latents, states = (torch.randn(shape, generator=generator) for shape in ((32, 4, 16, 16), (captions, 16, 128)))
    return LatentPool(latents.half(), zeros, zeros, zeros, states.half())


def run(cache, settings, path, device):
    from vu_emoji.train.unet import Run

    found = Run(cache, settings, path, device=device)
    found.model.train()
    return found


def losses(running, batches, steps: int) -> list[float]:
    return [running.take_step(batches) for _ in range(steps)]


def test_training_steps_agree_with_the_cpus(device, measured, cache, settings, tmp_path):
    from vu_emoji.catalogue import load_catalogue
    from vu_emoji.train.unet import CaptionedBatches

    batches = CaptionedBatches(load_catalogue(), cache, settings)
    ours, theirs = (run(cache, settings, tmp_path / f"{name}.safetensors", name) for name in (device, "cpu"))
    found, expected = (losses(running, batches, STEPS) for running in (ours, theirs))
    measured(f"training, losses of {STEPS} steps: {found} beside the CPU's {expected}")
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[1] != found[0]
    for part in (ours.model, ours.average.model):
        assert {weight.device.type for weight in part.parameters()} == {device}
    mine, other = (
        torch.nn.utils.parameters_to_vector(running.average.model.parameters()).cpu() for running in (ours, theirs)
    )
    assert torch.norm(mine - other) < 0.01 * torch.norm(other)

    ours.save()
    resumed = run(cache, settings, tmp_path / f"{device}.safetensors", device)
    assert resumed.step == STEPS
    assert losses(resumed, batches, 1) == pytest.approx(losses(theirs, batches, 1), rel=1e-3)
