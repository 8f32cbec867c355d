"""A training step of the testbed's U-Net on a device: the CPU's loss and the CPU's step."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("precise")]

BATCH, POSITIONS, WIDTH, STEPS = 16, 16, 128, 3


def losses(unet, settings, device) -> list[float]:
    """Train a copy for some steps on data and noise that depend on the step alone; return its losses."""
    from vu_emoji.train.optimizers import build_optimizer
    from vu_emoji.train.unet import noise_levels, velocity_loss

    model = deepcopy(unet).to(device).train()
    optimizer = build_optimizer(
        model, settings.optimizer, 1e-3, settings.weight_decay, outer_rate=settings.outer_learning_rate
    )
    noise, data = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    found = []
    for _ in range(STEPS):
        latents = torch.randn(BATCH, 4, 16, 16, generator=data)
        states = torch.randn(BATCH, POSITIONS, WIDTH, generator=data)
        times = torch.randint(0, 1000, (BATCH,), generator=data)
        batch = [part.to(device) for part in (latents, states, times)]
        loss = velocity_loss(model, *batch, noise_levels(device), noise, settings.gamma)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_training_steps_agree_with_the_cpus(device, measured):
    from vu_emoji.train.latents import LatentPool
    from vu_emoji.train.settings import UnetSettings
    from vu_emoji.train.unet import build_unet

    settings = UnetSettings()
    none = torch.zeros(1, dtype=torch.int64)
    cache = LatentPool(torch.zeros(1, 4, 16, 16), none, none, none, torch.zeros(1, POSITIONS, WIDTH))
    unet = build_unet(settings, cache)
    ours, theirs = (losses(unet, settings, at) for at in (device, "cpu"))
    measured(f"training, losses of {STEPS} steps: {ours} beside the CPU's {theirs}")
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert ours[1] != ours[0]
