"""Networks trained at once, beside the same ones trained one by one."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from vu_train.classifying import train_on
from vu_train.ensembles import train_together
from vu_train.labelled import LabelledImages
from vu_train.settings import ClassifierSettings

from vu_core import ComputeError, ConfigError
from vu_core.context import RunContext

SEEDS = (3, 1, 4)


def some_images(n=25):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return LabelledImages(images=images, labels=torch.arange(n) % 3, ids=tuple(f"p{i}" for i in range(n)))


def network_of(seed, dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        convolution = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten())
        return nn.Sequential(*convolution, nn.Dropout(dropout), nn.Linear(16, 3)).double().eval().requires_grad_(False)


PLAIN = ClassifierSettings(epochs=3, learning_rate=0.1, batch_size=8)
SETTINGS = {
    "plain": PLAIN,
    "clipped": replace(PLAIN, clip=0.5),
    "adam": replace(PLAIN, optimizer="adam", learning_rate=0.01),
    "falling": replace(PLAIN, schedule="multistep", milestones=(1, 2)),
    "augmented": replace(PLAIN, augment="crop-flip"),
    "fixed statistics": replace(PLAIN, batch_norm="eval"),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_together_each_network_becomes_what_it_becomes_alone(tmp_path, settings):
    """25 images in batches of 8: the last batch is a single image."""
    images = some_images()
    alone = [network_of(seed) for seed in SEEDS]
    together = copy.deepcopy(alone)
    apart, logged = [], []
    for seed, network in zip(SEEDS, alone, strict=True):
        ctx = RunContext(out_dir=tmp_path / str(seed), seed=seed, log=lambda step, values: apart.append(values))
        train_on(network, images, settings, ctx)
    ctx = RunContext(out_dir=tmp_path / "together", log=lambda step, values: logged.append((step, values)))
    train_together(together, images, settings, ctx, seeds=SEEDS)
    for one, other in zip(alone, together, strict=True):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=1e-11, msg=name)
    assert [step for step, _ in logged] == [1, 2, 3]
    means = [sum(values["loss/train"] for values in apart[epoch::3]) / 3 for epoch in range(3)]
    assert [values["loss/train"] for _, values in logged] == pytest.approx(means, rel=1e-6)
    assert logged[0][1]["learning_rate"] == apart[0]["learning_rate"]
    assert not any(module.training for network in together for module in network.modules())
    assert not any(parameter.requires_grad for network in together for parameter in network.parameters())
    assert not (tmp_path / "together").exists()


def test_each_network_learns_its_own_images(tmp_path):
    images, members = some_images(), torch.stack([torch.arange(12), torch.arange(24, 0, -2)])
    alone = [network_of(seed) for seed in SEEDS[:2]]
    together = copy.deepcopy(alone)
    for seed, network, own in zip(SEEDS, alone, members, strict=False):
        train_on(network, images.at(own), PLAIN, RunContext(out_dir=tmp_path / str(seed), seed=seed))
    train_together(together, images, PLAIN, RunContext(out_dir=tmp_path), seeds=SEEDS[:2], members=members)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other[0].weight, one[0].weight, rtol=0, atol=1e-11)
        torch.testing.assert_close(other[1].running_var, one[1].running_var, rtol=0, atol=1e-11)


def test_global_randomness_stays_as_it_was(tmp_path):
    before = torch.get_rng_state()
    train_together([network_of(0)], some_images(), PLAIN, RunContext(out_dir=tmp_path), seeds=[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_trained_together_is_refused(tmp_path):
    images, ctx = some_images(), RunContext(out_dir=tmp_path)
    with pytest.raises(ConfigError, match="2 networks, 1 seeds, 2 sets"):
        train_together([network_of(0), network_of(1)], images, PLAIN, ctx, seeds=[0])
    with pytest.raises(ConfigError, match="0 networks"):
        train_together([], images, PLAIN, ctx, seeds=[])
    with pytest.raises(ConfigError, match="dropout"):
        train_together([network_of(0, dropout=0.1)], images, PLAIN, ctx, seeds=[0])


def test_a_loss_that_is_not_finite_names_the_seed(tmp_path):
    networks = [network_of(seed) for seed in SEEDS]
    networks[1][0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ComputeError, match="seed 1 is not finite in epoch 1"):
        train_together(networks, some_images(), PLAIN, RunContext(out_dir=tmp_path), seeds=SEEDS)
