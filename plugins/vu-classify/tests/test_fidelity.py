"""Several steps of each method on softmax regression, against its equations written out in numpy, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_worlds import FORGET, LinearWorld, Sgd, ce_gradient, linear, logits, softmax, through, unlearn
from torch import nn
from vu_classify.config import JitConfig, UnsirConfig
from vu_classify.jit import roughness
from vu_classify.unsir import learn_noise
from vu_classify.work import Work

from vu_core import Concept, Data, Request
from vu_core.context import RunContext

TOLERANCE = 1e-12


@pytest.fixture
def ctx(tmp_path):
    return RunContext(out_dir=tmp_path, seed=4)


def expect_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE)


def add(*gradients):
    """Return the sum of (factor, gradient) pairs."""
    return [sum(factor * gradient[i] for factor, gradient in gradients) for i in range(2)]


def test_fine_tune_with_an_anchor(ctx):
    world = LinearWorld()
    edit = unlearn("fine-tune", world.model, world.dataset, ctx, epochs=3, learning_rate=0.1, anchor=0.3)
    theta, sgd = world.start, Sgd(0.1)
    for _ in range(3):
        pull = [a - b for a, b in zip(theta, world.start, strict=True)]
        kept = ce_gradient(theta, world.x[world.retain], world.y[world.retain])
        theta = sgd.step(theta, add((1, kept), (0.3, pull)))
    expect_close(world.after(edit), theta)


def test_gradient_ascent(ctx):
    world = LinearWorld()
    edit = unlearn("gradient-ascent", world.model, world.dataset, ctx, epochs=3, learning_rate=0.05)
    theta, sgd = world.start, Sgd(0.05)
    for _ in range(3):
        theta = sgd.step(theta, add((-1, ce_gradient(theta, world.x[world.forget], world.y[world.forget]))))
    expect_close(world.after(edit), theta)


@pytest.mark.parametrize("limit", [None, 1e-3])
def test_neggrad_plus(ctx, limit):
    """A forget loss beyond the limit pushes no further."""
    world = LinearWorld()
    edit = unlearn("neggrad-plus", world.model, world.dataset, ctx, epochs=3, retain_weight=0.8, max_forget_loss=limit)
    theta, sgd = world.start, Sgd(0.01)
    for _ in range(3):
        kept = ce_gradient(theta, world.x[world.retain], world.y[world.retain])
        away = ce_gradient(theta, world.x[world.forget], world.y[world.forget])
        theta = sgd.step(theta, add((0.8, kept), (-0.2 if limit is None else 0.0, away)))
    expect_close(world.after(edit), theta)


def test_neggrad_plus_takes_a_batch_of_each_set_a_step(ctx):
    world = LinearWorld()
    seen = []
    original = nn.Sequential.forward

    class Counting(nn.Sequential):
        def forward(self, x):
            seen.append(len(x))
            return original(self, x)

    world.model.network = Counting(*world.network)
    unlearn("neggrad-plus", world.model, world.dataset, ctx, epochs=2, batch_size=3, forget_batch_size=2)
    # 7 retained in batches of 3, 3, 1; 4 forgotten in batches of 2, which go round.
    assert seen == [3, 2, 3, 2, 1, 2] * 2


def test_l1_sparse(ctx):
    world = LinearWorld()
    edit = unlearn("l1-sparse", world.model, world.dataset, ctx, epochs=4, sparsity=0.02, dense_epochs=1)
    theta, sgd = world.start, Sgd(0.01)
    for epoch in range(4):
        weight = 0.02 * (1 - epoch / 3) if epoch < 3 else 0.0
        kept = ce_gradient(theta, world.x[world.retain], world.y[world.retain])
        theta = sgd.step(theta, add((1, kept), (weight, [np.sign(one) for one in theta])))
    expect_close(world.after(edit), theta)


@pytest.mark.parametrize("order", ["forget-then-retain", "mixed"])
def test_random_label(ctx, order):
    """Of two classes, the label that is not the true one is known."""
    world = LinearWorld(classes=2)
    edit = unlearn("random-label", world.model, world.dataset, ctx, epochs=2, exclude_true=True, order=order)
    theta, sgd = world.start, Sgd(0.01)
    labels = np.where(np.arange(len(world.y)) < 4, 1 - world.y, world.y)
    sets = [world.forget, world.retain] if order != "mixed" else [np.arange(len(labels))]
    for _ in range(2):
        for chosen in sets:
            theta = sgd.step(theta, ce_gradient(theta, world.x[chosen], labels[chosen]))
    expect_close(world.after(edit), theta)


@pytest.mark.parametrize("frozen", ["weights", "gradients"])
def test_salun(ctx, frozen):
    world = LinearWorld(classes=2)
    options = {"epochs": 2, "exclude_true": True, "share": 0.4, "frozen": frozen, "weight_decay": 0.1}
    edit = unlearn("salun", world.model, world.dataset, ctx, **options)
    gradient = ce_gradient(world.start, world.x[world.forget], world.y[world.forget])
    flat = np.concatenate([np.abs(one).ravel() for one in gradient])
    # Of two classes the gradients are equal in pairs: a stable order takes the first.
    chosen = np.argsort(-np.round(flat, 15), kind="stable")[: int(0.4 * len(flat))]
    mask = np.isin(np.arange(len(flat)), chosen)
    masks = [mask[:24].reshape(2, 12), mask[24:]]
    theta, sgd = world.start, Sgd(0.013, decay=0.1)
    for _ in range(2):
        for part, labels in ((world.forget, 1 - world.y), (world.retain, world.y)):
            found = ce_gradient(theta, world.x[part], labels[part])
            theta = sgd.step(theta, [m * g for m, g in zip(masks, found, strict=True)])
            if frozen == "weights":
                theta = [np.where(m, t, s) for m, t, s in zip(masks, theta, world.start, strict=True)]
    expect_close(world.after(edit), theta)


def squared_gradients(world, which, *, batches):
    """Return the mean over ``batches`` parts of the squared gradient of a part's mean loss."""
    parts = [ce_gradient(world.start, world.x[part], world.y[part]) for part in np.array_split(which, batches)]
    return [np.mean([part[i] ** 2 for part in parts], axis=0) for i in range(2)]


def dampened(world, on_forget, on_all, alpha, factor):
    return [
        np.where(f > alpha * a, t * np.minimum(1, factor * a / np.where(f > 0, f, 1)), t)
        for t, f, a in zip(world.start, on_forget, on_all, strict=True)
    ]


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("compared", ["all", "retain"])
def test_ssd(ctx, per_sample, compared):
    world = LinearWorld()
    options = {"selection": 1.5, "dampening": 0.7, "per_sample": per_sample, "compared": compared}
    edit = unlearn("ssd", world.model, world.dataset, ctx, **options)
    others = np.arange(len(world.y)) if compared == "all" else world.retain
    on_forget = squared_gradients(world, world.forget, batches=4 if per_sample else 1)
    on_all = squared_gradients(world, others, batches=len(others) if per_sample else 1)
    expected = dampened(world, on_forget, on_all, 1.5, 0.7)
    expect_close(world.after(edit), expected)
    selected = sum(int((f > 1.5 * a).sum()) for f, a in zip(on_forget, on_all, strict=True))
    assert 0 < selected < 39
    assert edit.info["selected_parameters"] == edit.info["changed_parameters"] == selected


def test_lfssd(ctx):
    world = LinearWorld()
    edit = unlearn("lfssd", world.model, world.dataset, ctx, selection=1.1)

    def importance(which):
        x = world.x[which]
        return [np.abs(one) for one in through(x, 2 * logits(world.start, x))]

    on_forget, on_all = importance(world.forget), importance(np.arange(len(world.y)))
    expect_close(world.after(edit), dampened(world, on_forget, on_all, 1.1, 1.0))
    assert edit.info["selected_parameters"] > 0


def test_assd(ctx):
    world = LinearWorld()
    edit = unlearn("assd", world.model, world.dataset, ctx)
    on_forget = squared_gradients(world, world.forget, batches=1)
    on_retain = squared_gradients(world, world.retain, batches=1)
    ratios = np.sort(np.concatenate([(f / r).ravel() for f, r in zip(on_forget, on_retain, strict=True)]))
    place = (100 - np.log(1 + 100 * 4 / 11)) / 100 * (len(ratios) - 1)
    low = int(place)
    alpha = ratios[low] + (place - low) * (ratios[low + 1] - ratios[low])
    assert edit.info["selection"] == pytest.approx(alpha, rel=1e-12)
    expect_close(world.after(edit), dampened(world, on_forget, on_retain, alpha, 0.1))


def test_scrub(ctx):
    world = LinearWorld()
    options = {"epochs": 3, "max_epochs": 2, "learning_rate": 0.05, "temperature": 2.0, "teacher_weight": 0.3}
    edit = unlearn("scrub", world.model, world.dataset, ctx, **options)
    theta, sgd = world.start, Sgd(0.05)

    def distance_gradient(theta, x):
        """d / dz of T² KL(p_T(teacher) || p_T(student)) is T (p_T(student) − p_T(teacher))."""
        return through(x, 2 * (softmax(logits(theta, x) / 2) - softmax(logits(world.start, x) / 2)))

    for epoch in range(3):
        if epoch < 2:
            theta = sgd.step(theta, add((-1, distance_gradient(theta, world.x[world.forget]))))
        x, y = world.x[world.retain], world.y[world.retain]
        theta = sgd.step(theta, add((0.99, ce_gradient(theta, x, y)), (0.3, distance_gradient(theta, x))))
    expect_close(world.after(edit), theta)


@pytest.mark.parametrize("reduction", ["batch-mean", "element-mean"])
def test_bad_teacher(ctx, reduction):
    world = LinearWorld()
    options = {"epochs": 3, "optimizer": "sgd", "learning_rate": 0.2, "retain_share": 1.0, "temperature": 2.0}
    edit = unlearn("bad-teacher", world.model, world.dataset, ctx, **options, reduction=reduction)
    bad = [one.detach().numpy() for one in world.model.untrained.parameters()]
    target = softmax(logits(world.start, world.x) / 2)
    target[world.forget] = softmax(logits(bad, world.x[world.forget]) / 2)
    theta, sgd = world.start, Sgd(0.2, decay=0.0)
    for _ in range(3):
        change = (softmax(logits(theta, world.x) / 2) - target) / 2
        theta = sgd.step(theta, through(world.x, change / (3 if reduction == "element-mean" else 1)))
    expect_close(world.after(edit), theta)
    assert edit.info["bad_teacher_seed"] == 4


def test_bad_teacher_uses_a_part_of_what_is_retained(ctx):
    world = LinearWorld()
    seen = []
    world.model.untrained.register_forward_pre_hook(lambda part, inputs: seen.append(len(inputs[0])))
    unlearn("bad-teacher", world.model, world.dataset, ctx, retain_share=0.4)
    assert seen == [4 + 3]


def test_boundary_shrink(ctx):
    world = LinearWorld()
    edit = unlearn("boundary-shrink", world.model, world.dataset, ctx, epochs=3, learning_rate=0.1, step=0.4)
    x, y = world.x[world.forget], world.y[world.forget]
    slope = (softmax(logits(world.start, x)) - np.eye(3)[y]) @ world.start[0]
    moved = np.round(np.clip(x + 0.4 * np.sign(slope), 0, 1) * 255) / 255
    nearest = logits(world.start, moved).argmax(axis=1)
    theta, sgd = world.start, Sgd(0.1, decay=0.0)
    for _ in range(3):
        theta = sgd.step(theta, ce_gradient(theta, x, nearest))
    expect_close(world.after(edit), theta)
    assert edit.info["labels_that_stay"] == int((nearest == y).sum())


def unsir_work(world, ctx, config):
    request = Request(forget=(Concept(name="0", kind="class"),))
    return Work(
        world.model,
        request,
        Data(forget=request.forget, retain=(), dataset=world.dataset),
        config,
        ctx,
        reads=["retain"],
    )


def test_unsir_noise_is_what_the_model_is_most_wrong_about(ctx):
    world = LinearWorld()
    start = learn_noise(unsir_work(world, ctx, UnsirConfig(noise_images=5, noise_steps=0)), 0)
    found = learn_noise(unsir_work(world, ctx, UnsirConfig(noise_images=5, noise_steps=3)), 0)
    noise = start.reshape(5, 12).numpy().copy()
    first, second = np.zeros_like(noise), np.zeros_like(noise)
    for step in range(1, 4):
        error = softmax(logits(world.start, noise)) - np.eye(3)[np.zeros(5, dtype=int)]
        gradient = (-error @ world.start[0] + 0.1 * 2 * noise) / 5
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        noise -= 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(found.reshape(5, 12).numpy(), noise, rtol=0, atol=1e-12)


@pytest.mark.parametrize("legacy", [False, True])
def test_unsir(ctx, legacy):
    world = LinearWorld()
    options = {"optimizer": "sgd", "noise_images": 5, "noise_steps": 2, "repeats": 3, "retain_each": 2}
    forgotten = Concept(name="1", kind="class")
    edit = unlearn("unsir", world.model, world.dataset, ctx, forgotten, **options, legacy_noise_count=legacy)
    config = UnsirConfig(noise_images=5, noise_steps=2, legacy_noise_count=legacy)
    noise = learn_noise(unsir_work(world, ctx, config), 1).reshape(-1, 12).numpy()
    assert len(noise) == (3 if legacy else 5)
    kept = [i for label in (0, 2) for i in np.flatnonzero(world.y == label)[:2]]
    x, y = world.x[kept], world.y[kept]
    impaired = np.concatenate([x, *[noise] * 3]), np.concatenate([y, [0 if legacy else 1] * 3 * len(noise)])
    theta = Sgd(0.02, decay=0.0).step(world.start, ce_gradient(world.start, *impaired))
    theta = Sgd(0.01, decay=0.0).step(theta, ce_gradient(theta, x, y))
    expect_close(world.after(edit), theta)
    assert edit.info["impair_images"] == 4 + 3 * len(noise)


@pytest.mark.parametrize("detach", [False, True])
def test_jit_gradient(detach):
    network = linear(3, 0)
    images = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    config = JitConfig(noise=0.3, samples=3, detach_perturbed=detach)
    loss = roughness(network, images, config, torch.Generator().manual_seed(2))
    found = [one.numpy() for one in torch.autograd.grad(loss, list(network.parameters()))]
    generator, weight = torch.Generator().manual_seed(2), network[1].weight.detach().numpy()
    expected, total, bias = np.zeros((3, 12)), 0.0, np.zeros(3)
    for _ in range(3):
        noise = 0.3 * torch.randn(images.shape, generator=generator).double()
        moved = (images + noise).clamp(images.min(), images.max())
        for x, other in zip(images.reshape(4, 12).numpy(), moved.reshape(4, 12).numpy(), strict=True):
            d = x - other
            change, length = np.linalg.norm(weight @ d), np.linalg.norm(d)
            total += change / length / 3
            direction = weight @ d / change
            expected += np.outer(direction, x if detach else d) / length / 3
            bias += direction / length / 3 if detach else 0
    assert loss.item() == pytest.approx(total, abs=1e-12)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1], bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("detach", "expected"), [(False, 1.0), (True, -10.0)])
def test_jit_slope_of_a_line(detach, expected, monkeypatch):
    """f(x) = 2 x at x = 1 with ξ = 0.1: the released gradient is −10, the full one 1."""
    noise = torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64)[:, None, None, None]
    monkeypatch.setattr(torch, "randn", lambda *size, generator: noise)
    # Between pictures that do not move, so that clamping to the batch's range undoes nothing.
    images = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)[:, None, None, None]
    slope = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    config = JitConfig(noise=1.0, samples=1, detach_perturbed=detach)
    ratio = roughness(lambda x: slope * x.flatten(1), images, config, torch.Generator())
    (gradient,) = torch.autograd.grad(ratio, slope)
    assert ratio.item() == pytest.approx(2.0, rel=1e-9)
    assert gradient.item() == pytest.approx(expected, rel=1e-9)


def test_jit_leaves_a_constant_network_alone(ctx):
    world = LinearWorld()
    with torch.no_grad():
        world.network[1].weight.zero_()
    edit = unlearn("jit", world.model, world.dataset, ctx)
    assert edit.is_identity()


@pytest.mark.parametrize("accumulate", [False, True])
def test_jit_accumulates_gradients_where_asked_to(ctx, accumulate):
    world = LinearWorld(n_forget=3)
    options = {"noise": 0.2, "samples": 1, "learning_rate": 0.01, "batch_size": 1, "accumulate": accumulate}
    edit = unlearn("jit", world.model, world.dataset, ctx, **options)
    seen = []

    def record(part, inputs):
        seen.append(inputs[0].reshape(-1).numpy().copy())

    world.network[1].register_forward_pre_hook(record)
    again = RunContext(out_dir=ctx.out_dir / "again", seed=4)
    unlearn("jit", world.model, world.dataset, again, **options)
    weight, total = world.start[0], np.zeros((3, 12))
    for x, other in zip(seen[::2], seen[1::2], strict=True):
        d = x - other
        gradient = np.outer(weight @ d / np.linalg.norm(weight @ d), d) / np.linalg.norm(d)
        total = total + gradient if accumulate else gradient
        weight = weight - 0.01 * total
    expect_close(world.after(edit), [weight, world.start[1]])


def test_retraining_is_training_without_what_is_forgotten(ctx):
    world = LinearWorld()
    world.model.recipe_ = {"seed": 5, "epochs": 3, "learning_rate": 0.1, "batch_size": 20, "weight_decay": 0.01}
    edit = unlearn("retrain", world.model, world.dataset, ctx)
    theta, sgd = [one.detach().numpy() for one in world.model.untrained.parameters()], Sgd(0.1, decay=0.01)
    for _ in range(3):
        theta = sgd.step(theta, ce_gradient(theta, world.x[world.retain], world.y[world.retain]))
    expect_close(world.after(edit), theta)


def test_forgetting_what_was_never_learned_gives_the_model_back(ctx):
    """Trained on D_r alone, the model is its own retraining from its own seed, bit for bit."""
    world = LinearWorld()
    world.model.recipe_ = {"seed": 5, "epochs": 4, "batch_size": 3, "learning_rate": 0.1, "augment": "crop-flip"}
    first = unlearn("retrain", world.model, world.dataset, ctx, FORGET, seed="recipe")
    with torch.no_grad():
        for name, tensor in first.tensors.items():
            world.network.get_parameter(name.removeprefix("classifier.")).copy_(tensor)
    again = RunContext(out_dir=ctx.out_dir / "again", seed=9)
    assert unlearn("retrain", world.model, world.dataset, again, FORGET, seed="recipe").is_identity()
    other = RunContext(out_dir=ctx.out_dir / "other", seed=9)
    assert not unlearn("retrain", world.model, world.dataset, other, FORGET).is_identity()
