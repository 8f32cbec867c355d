"""Training in epochs: what a step computes, resumption, learning rates, BatchNorm, and what is left behind."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from vu_train.batches import Batches
from vu_train.classifying import Pass, learning_rate, mean_cross_entropy, train_classifier, train_on
from vu_train.labelled import LabelledImages
from vu_train.settings import ClassifierSettings, EpochSettings

from vu_core import ComputeError, ConfigError, RunError
from vu_core.config import validate
from vu_core.context import RunContext


def some_images(n=13, classes=3):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return LabelledImages(images=images, labels=torch.arange(n) % classes, ids=tuple(f"p{i}" for i in range(n)))


def small_network(dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = (nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))
        return nn.Sequential(*layers).eval().requires_grad_(False)


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in other)


def test_an_epoch_is_the_method_written_out_by_hand(tmp_path):
    """SGD with momentum and weight decay in float64, own arithmetic, on a network of one layer."""
    images = some_images()
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).double()
    weight, bias = (one.detach().clone() for one in network.parameters())
    settings = ClassifierSettings(epochs=3, learning_rate=0.2, schedule="cosine", batch_size=5, weight_decay=0.01)
    ctx = RunContext(out_dir=tmp_path, seed=3)
    training = train_on(network, images, settings, ctx)
    speed = torch.zeros_like(weight), torch.zeros_like(bias)
    for epoch in range(3):
        rate = 0.1 * (1 + math.cos(math.pi * epoch / 3))
        for batch in Batches(images, 5, network, (3, "train", epoch)):
            x = images.images[batch.positions].reshape(-1, 48).double() / 255
            y = torch.nn.functional.one_hot(images.labels[batch.positions], 3)
            logits = x @ weight.T + bias
            error = (logits.exp() / logits.exp().sum(1, keepdim=True) - y) / len(x)
            speed = 0.9 * speed[0] + error.T @ x + 0.01 * weight, 0.9 * speed[1] + error.sum(0) + 0.01 * bias
            weight, bias = weight - rate * speed[0], bias - rate * speed[1]
    assert training.epochs == 3
    assert training.steps == 9
    torch.testing.assert_close(network[1].weight.detach(), weight, rtol=0, atol=1e-12)
    torch.testing.assert_close(network[1].bias.detach(), bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize("killed_at", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, killed_at, optimizer):
    settings = ClassifierSettings(
        epochs=4, learning_rate=0.05, optimizer=optimizer, batch_size=5, schedule="multistep", milestones=(2,)
    )
    images = some_images()
    whole = small_network(dropout=0.3)
    train_on(whole, images, settings, RunContext(out_dir=tmp_path / "whole"))

    def killing(items, total, label):
        for number, item in enumerate(items):
            if number == killed_at:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        train_on(small_network(0.3), images, settings, RunContext(out_dir=tmp_path / "killed", track=killing))
    resumed = small_network(dropout=0.3)
    training = train_on(resumed, images, settings, RunContext(out_dir=tmp_path / "killed"))
    assert training.resumed_at == killed_at
    assert same(state(resumed), state(whole))
    assert int(resumed[2].num_batches_tracked) == 12


def test_checkpoints_of_another_training_are_refused(tmp_path):
    ctx = RunContext(out_dir=tmp_path)
    train_on(small_network(), some_images(), ClassifierSettings(epochs=1), ctx, key={"model": "a"})
    for settings, key in ((ClassifierSettings(epochs=2), {"model": "a"}), (ClassifierSettings(epochs=1), {})):
        with pytest.raises(RunError, match="belong to another training"):
            train_on(small_network(), some_images(), settings, ctx, key=key)


def test_seed_decides_the_result(tmp_path):
    found = []
    for number, seed in enumerate((1, 1, 2)):
        network = small_network(dropout=0.5)
        settings = ClassifierSettings(epochs=2, batch_size=5, augment="crop-flip")
        train_on(network, some_images(), settings, RunContext(out_dir=tmp_path / str(number), seed=seed))
        found.append(state(network))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


@pytest.mark.parametrize("fails", [False, True])
def test_modes_flags_hooks_gradients_and_random_states_are_restored(tmp_path, fails):
    network, images = small_network(), some_images()
    network[4].train()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()

    def loss(network, batch):
        if fails:
            raise ZeroDivisionError
        return mean_cross_entropy(network, batch)

    def passes(epoch):
        return [Pass(name="retain", batches=Batches(images, 4, network, (epoch,)), loss=loss)]

    with torch.no_grad():
        try:
            train_classifier(network, passes, EpochSettings(epochs=1), RunContext(out_dir=tmp_path))
        except ZeroDivisionError:
            assert fails
        assert not torch.is_grad_enabled()
    assert [part.training for part in network.modules()] == [False] * 5 + [True, False]
    assert not any(one.requires_grad or one.grad is not None for one in network.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


def test_batch_norm_keeps_its_statistics_where_told_to(tmp_path):
    for mode in ("train", "eval"):
        network = small_network()
        before = state(network)
        settings = ClassifierSettings(epochs=1, learning_rate=0.0, batch_norm=mode)
        train_on(network, some_images(), settings, RunContext(out_dir=tmp_path / mode))
        after = state(network)
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        buffers = {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
        assert moved == (buffers if mode == "train" else set())


def test_a_batch_of_one_image_is_trained_on_and_said(tmp_path):
    ctx = RunContext(out_dir=tmp_path)
    network = small_network()
    train_on(network, some_images(9), ClassifierSettings(epochs=2, batch_size=4), ctx)
    assert ctx.warnings == ["a batch was a single image: for it, BatchNorm took its running statistics"]
    assert int(network[2].num_batches_tracked) == 4
    lone = copy.deepcopy(small_network())
    train_on(lone, some_images(1), ClassifierSettings(epochs=1), RunContext(out_dir=tmp_path / "lone"))
    assert not torch.equal(lone[1].weight, small_network()[1].weight)


def test_a_loss_that_is_not_finite_names_epoch_and_batch(tmp_path):
    images, network = some_images(6), small_network()

    def passes(epoch):
        def loss(network, batch):
            factor = math.nan if epoch == 1 and "p5" in batch.ids else 1.0
            return factor * mean_cross_entropy(network, batch)

        return [Pass(name="retain", batches=Batches(images, 2, network), loss=loss)]

    with pytest.raises(
        ComputeError, match=r"'retain' is nan in batch 3 of epoch 2, with the pictures of retain: p4, p5"
    ):
        train_classifier(network, passes, EpochSettings(epochs=3), RunContext(out_dir=tmp_path))


def test_passes_are_walked_in_order_and_logged(tmp_path):
    images, network, seen, logged = some_images(4), small_network(), [], []

    def passes(epoch):
        def of(name):
            def loss(network, batch):
                seen.append((epoch, name))
                return mean_cross_entropy(network, batch)

            return Pass(name=name, batches=Batches(images, 4, network, (name, epoch)), loss=loss)

        return [of("forget"), of("retain")] if epoch == 0 else [of("retain")]

    ctx = RunContext(out_dir=tmp_path, log=lambda step, values: logged.append((step, sorted(values))))
    train_classifier(network, passes, EpochSettings(epochs=2), ctx)
    assert seen == [(0, "forget"), (0, "retain"), (1, "retain")]
    assert logged == [
        (1, ["gradient_norm", "learning_rate", "loss/forget"]),
        (1, ["gradient_norm", "learning_rate", "loss/retain"]),
        (2, ["gradient_norm", "learning_rate", "loss/retain"]),
    ]


def test_stop_is_asked_before_each_epoch_and_after_the_last(tmp_path):
    asked = []

    def passes(epoch):
        return []

    def stop(epoch):
        asked.append(epoch)
        return "forgotten" if epoch == 2 else ""

    for _ in range(2):
        ctx = RunContext(out_dir=tmp_path)
        training = train_classifier(small_network(), passes, EpochSettings(epochs=5), ctx, stop=stop)
        assert training.stopped == "forgotten"
        assert training.epochs == 2
    assert asked == [0, 1, 2, 2]


def test_clipping_and_what_follows_a_step(tmp_path):
    images, network, calls = some_images(4), nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).double(), []
    before = state(network)

    def passes(epoch):
        return [Pass(name="retain", batches=Batches(images, 4, network), loss=mean_cross_entropy)]

    settings = EpochSettings(epochs=1, learning_rate=1.0, clip=0.01, weight_decay=0.0)
    train_classifier(
        network, passes, settings, RunContext(out_dir=tmp_path), after_step=lambda: calls.append(state(network))
    )
    moved = torch.cat([(before[name] - after).flatten() for name, after in state(network).items()])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert len(calls) == 1
    assert same(calls[0], state(network))


def test_learning_rates():
    def rates(**options):
        settings = EpochSettings(learning_rate=1.0, **options)
        return [learning_rate(settings, epoch) for epoch in range(settings.epochs)]

    assert rates(epochs=2) == [1.0, 1.0]
    assert rates(epochs=4, schedule="cosine") == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2])
    assert rates(epochs=5, schedule="multistep", milestones=(1, 3)) == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    assert rates(epochs=5, schedule="triangle") == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    assert rates(epochs=1, schedule="triangle") == [1.0]


@pytest.mark.parametrize(
    "options", [{"schedule": "multistep"}, {"milestones": [3]}, {"optimizer": "lion"}, {"clip": 0}]
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        validate(ClassifierSettings, options)
