"""CT and MSG on small convolutions: what is changed before training, and how training goes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_worlds import FORGET, LinearWorld, Pictures, SmallModel, unlearn
from torch import nn
from vu_classify.config import MsgConfig
from vu_classify.reshaping import redraw, smallest

from vu_core import ModelError
from vu_core.context import RunContext


@pytest.fixture
def ctx(tmp_path):
    return RunContext(out_dir=tmp_path, seed=4)


def convolutional(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(32, 3))
        return nn.Sequential(*layers).double().eval()


def world(n=9, n_forget=3):
    images = torch.randint(256, (n, 3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels = [i % 3 for i in range(n)]
    dataset = Pictures(images, labels, list(range(n_forget)))
    return SmallModel(convolutional(), 3, size=4), dataset, images.double() / 255, torch.tensor(labels)


def mean_gradient(network, x, y):
    """The gradient of the mean cross-entropy by central differences: no part of the code under test, no autograd."""
    found = {}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            flat, gradient = parameter.view(-1), torch.zeros(parameter.numel(), dtype=torch.float64)
            for i in range(len(flat)):
                old, losses = flat[i].item(), []
                for step in (1e-5, -1e-5):
                    flat[i] = old + step
                    z = network(x).numpy()
                    losses.append(float((np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y.numpy()]).mean()))
                    flat[i] = old
                gradient[i] = (losses[0] - losses[1]) / 2e-5
            found[name] = gradient.view_as(parameter)
    return found


def test_ct_transposes_kernels(ctx):
    model, dataset, *_ = world()
    edit = unlearn("ct", model, dataset, ctx, epochs=0)
    before, after = model.network[0].weight, edit.tensors["classifier.0.weight"]
    assert all(
        after[o, i, a, b] == before[o, i, b, a] for o in range(4) for i in range(3) for a in range(3) for b in range(3)
    )
    # 1 x 1 kernels, biases and linear layers stay.
    assert list(edit.tensors) == ["classifier.0.weight"]


def test_ct_twice_is_nothing_and_symmetric_kernels_stay(ctx, tmp_path):
    model, dataset, *_ = world()
    edit = unlearn("ct", model, dataset, ctx, epochs=0)
    before = model.network[0].weight.detach().clone()
    with torch.no_grad():
        model.network[0].weight.copy_(edit.tensors["classifier.0.weight"])
    again = unlearn("ct", model, dataset, RunContext(out_dir=tmp_path / "again"), epochs=0)
    assert torch.equal(again.tensors["classifier.0.weight"], before)
    with torch.no_grad():
        model.network[0].weight.copy_(before + before.transpose(2, 3))
    assert unlearn("ct", model, dataset, RunContext(out_dir=tmp_path / "same"), epochs=0).is_identity()


def test_ct_then_trains_on_what_is_retained(ctx):
    model, dataset, x, y = world()
    options = {"epochs": 1, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0, "batch_size": 20}
    edit = unlearn("ct", model, dataset, ctx, **options)
    network = convolutional()
    with torch.no_grad():
        network[0].weight.copy_(network[0].weight.transpose(2, 3).clone())
    for name, gradient in mean_gradient(network, x[3:], y[3:]).items():
        expected = network.get_parameter(name).detach() - 0.1 * gradient
        torch.testing.assert_close(edit.tensors[f"classifier.{name}"], expected, rtol=0, atol=1e-9)


def test_msg_redraws_the_smallest_gradients_and_slows_the_others(ctx):
    """All images of D_r are drawn, as there are as many to forget; each set is one batch."""
    model, dataset, x, y = world(n=6)
    plain = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.1, "batch_size": 20}
    unchanged = unlearn("msg", model, dataset, ctx, epochs=0, **plain)
    kept, forgotten = (mean_gradient(convolutional(), x[part], y[part]) for part in (slice(3, 6), slice(0, 3)))
    network = convolutional()
    for name, count in (("0.weight", round(0.3 * 108)), ("2.weight", round(0.3 * 8))):
        size = (kept[name] - forgotten[name]).abs().flatten()
        reset = torch.zeros(len(size), dtype=torch.bool)
        reset[size.argsort()[:count]] = True
        found, old = unchanged.tensors[f"classifier.{name}"].flatten(), network.get_parameter(name).flatten()
        assert torch.equal(found != old, reset)
        assert found[reset].abs().max() < 5 * (2 / (4 * 9 if name[0] == "0" else 2)) ** 0.5
        with torch.no_grad():
            network.get_parameter(name).copy_(unchanged.tensors[f"classifier.{name}"])
        kept[f"rate {name}"] = torch.where(reset, 1.0, 0.1).double().view_as(kept[name])
    assert sorted(unchanged.tensors) == ["classifier.0.weight", "classifier.2.weight"]
    trained = unlearn("msg", model, dataset, RunContext(out_dir=ctx.out_dir / "b", seed=4), epochs=1, **plain)
    for name, gradient in mean_gradient(network, x[3:], y[3:]).items():
        rate = 0.1 * kept.get(f"rate {name}", torch.ones(()))
        expected = network.get_parameter(name).detach() - rate * gradient
        torch.testing.assert_close(trained.tensors[f"classifier.{name}"], expected, rtol=0, atol=1e-9)


def test_how_many_weights_are_redrawn_and_how():
    assert int(smallest(torch.arange(9.0).view(1, 1, 3, 3), 0.3).sum()) == 3
    assert smallest(torch.ones(4), 0.5).tolist() == [True, True, False, False]
    layer = nn.Conv2d(50, 40, 3)
    before = layer.weight.detach().clone()
    mask = torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    redraw(layer, {"weight": mask}, torch.Generator().manual_seed(1))
    assert torch.equal(layer.weight[~mask], before[~mask])
    assert layer.weight[mask].std().item() == pytest.approx((2 / (40 * 9)) ** 0.5, rel=0.03)
    assert MsgConfig().schedule == "triangle"


def test_models_without_convolutions_are_refused(ctx):
    flat = LinearWorld()
    for name in ("ct", "msg"):
        with pytest.raises(ModelError, match="has no convolution"):
            unlearn(name, flat.model, flat.dataset, ctx, FORGET)
    model, dataset, *_ = world()
    model.network[0] = nn.Conv2d(3, 4, (3, 1), padding=(1, 0)).double()
    with pytest.raises(ModelError, match="not square"):
        unlearn("ct", model, dataset, ctx)
