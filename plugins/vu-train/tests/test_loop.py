"""Steps: what they compute, what they refuse, what they leave behind."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from diffusers.optimization import get_scheduler
from vu_train.gradients import Gradients
from vu_train.loop import train
from vu_train.processes import Processes
from vu_train.settings import TrainSettings, with_default
from vu_train_worker import Regression, train_in

from vu_core import ComputeError, ConfigError, PluginError
from vu_core.config import options_of, validate

WEIGHTS = {"forget": 0.3, "retain": 1.0}


def values(task):
    return torch.cat([parameter.detach().flatten() for parameter in task.parameters.values()])


def by_hand(steps, *, learning_rate, clip, decay=None):
    """The same training in a dozen lines: whole batches, own arithmetic of AdamW."""
    task = Regression()
    parameters = list(task.parameters.values())
    first, second = ([torch.zeros_like(one) for one in parameters] for _ in range(2))
    average = [one.detach().clone() for one in parameters]
    for step in range(steps):
        batches = {name: stream.take(range(4 * step, 4 * step + 4)) for name, stream in task.streams.items()}
        losses = task.losses(batches)
        gradients = torch.autograd.grad(0.3 * losses["forget"] + losses["retain"], parameters)
        norm = torch.sqrt(sum(one.square().sum() for one in gradients))
        with torch.no_grad():
            for i, parameter in enumerate(parameters):
                gradient = gradients[i] * min(1.0, clip / norm)
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient**2
                unbiased = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
                parameter -= learning_rate * (unbiased[0] / (unbiased[1].sqrt() + 1e-8) + 0.01 * parameter)
                average[i] = (decay or 0) * average[i] + (1 - (decay or 0)) * parameter
    return torch.cat([one.flatten() for one in average])


@pytest.mark.parametrize("ema", [None, 0.9])
def test_steps_are_those_of_the_method_written_out_by_hand(tmp_path, ema):
    task = Regression()
    train_in(tmp_path, task, weights=WEIGHTS, steps=12, learning_rate=0.01, clip=1.0, ema=ema)
    expected = by_hand(12, learning_rate=0.01, clip=1.0, decay=ema)
    torch.testing.assert_close(values(task), expected, rtol=0, atol=2e-6)


def test_training_learns(tmp_path):
    task = Regression()
    every = {name: stream.take(range(len(stream))) for name, stream in task.streams.items()}
    before = sum(task.losses(every).values()).item()
    train_in(tmp_path, task, steps=400, learning_rate=0.05)
    assert sum(task.losses(every).values()).item() < before / 10


@pytest.mark.parametrize("weights", [WEIGHTS, lambda gram: [0.3, 1.0]], ids=["fixed", "rule"])
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_equals_the_big_batch(tmp_path, weights, parts):
    whole, split = Regression(), Regression()
    train_in(tmp_path / "whole", whole, weights=weights, steps=6, clip=None)
    train_in(tmp_path / "split", split, weights=weights, steps=6, clip=None, accumulation=parts)
    torch.testing.assert_close(values(split), values(whole), rtol=0, atol=1e-6)


def test_fixed_weights_and_a_rule_that_gives_them_agree(tmp_path):
    fixed, ruled = Regression(), Regression()
    train_in(tmp_path / "fixed", fixed, weights=WEIGHTS, steps=6)
    train_in(tmp_path / "ruled", ruled, weights=lambda gram: [0.3, 1.0], steps=6)
    torch.testing.assert_close(values(ruled), values(fixed), rtol=0, atol=1e-6)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_rule_sees_the_gram_matrix_of_the_whole_step(tmp_path, parts):
    seen = []
    task = Regression()
    train_in(tmp_path, task, weights=lambda gram: seen.append(gram) or [1.0, 1.0], steps=1, accumulation=parts)
    fresh = Regression()
    losses = fresh.losses({name: stream.take(range(4)) for name, stream in fresh.streams.items()})
    flat = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(fresh.parameters.values()))]).double()
        for loss in losses.values()
    ]
    expected = torch.stack([torch.stack([a @ b for b in flat]) for a in flat])
    assert seen[0].dtype == torch.float64
    torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rule", [None, lambda gram: [1.0, 1.0]], ids=["sum", "rule"])
def test_clipping_clips(rule):
    task = Regression()
    parameters = list(task.parameters.values())
    gradients = Gradients(parameters, rule, Processes("cpu"))
    batches = {name: stream.take(range(4)) for name, stream in task.streams.items()}
    gradients.add(task.losses(batches), 1.0)
    free = gradients.combine(None)
    direction = torch.cat([one.grad.flatten() for one in parameters])
    gradients.clear()
    gradients.add(task.losses(batches), 1.0)
    assert gradients.combine(0.5) == free > 1
    clipped = torch.cat([one.grad.flatten() for one in parameters])
    assert clipped.norm().item() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(clipped, direction * (0.5 / free), rtol=1e-4, atol=1e-7)


def test_zero_steps_change_and_write_nothing(tmp_path):
    task = Regression()
    before = task.sha256()
    result = train_in(tmp_path, task, steps=0)
    assert (result.steps, result.stopped, task.sha256()) == (0, "", before)
    assert not list(tmp_path.iterdir())


def test_everything_else_is_as_before(tmp_path):
    task = Regression(dropout=0.5)
    other = torch.nn.Parameter(torch.ones(1))
    plain = task.losses
    task.losses = lambda batches: {name: loss * other.sum() for name, loss in plain(batches).items()}
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with torch.no_grad():
        train_in(tmp_path, task, steps=3)
        assert not torch.is_grad_enabled()
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())
    assert other.grad is None and all(one.grad is None for one in task.parameters.values())


def test_the_random_state_is_restored_when_progress_is_interrupted(tmp_path, ctx):
    def stop(items, total, label):
        yield from list(items)[:2]
        raise KeyboardInterrupt

    object.__setattr__(ctx, "track", stop)
    before = torch.get_rng_state()
    task = Regression(dropout=0.5)
    with pytest.raises(KeyboardInterrupt):
        train(task, TrainSettings(steps=5), ctx)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(one.grad is None for one in task.parameters.values())


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant_with_warmup", "polynomial"])
def test_schedules_are_those_of_diffusers_also_when_resumed(tmp_path, ctx, schedule):
    options = {"steps": 9, "schedule": schedule, "warmup_steps": 2, "learning_rate": 0.01, "log_every": 1}
    train(Regression(), TrainSettings(**options, max_steps=4), ctx)
    train(Regression(), TrainSettings(**options), ctx)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    reference = get_scheduler(schedule, optimizer, num_warmup_steps=2, num_training_steps=9)
    expected = []
    for _ in range(9):
        optimizer.step()
        reference.step()
        expected.append(reference.get_last_lr()[0])
    assert [step for step, _ in ctx.lines] == list(range(1, 10))
    assert [line["learning_rate"] for _, line in ctx.lines] == pytest.approx(expected, rel=1e-12)


def test_the_log_holds_means_since_the_last_line(ctx):
    train(Regression(), TrainSettings(steps=7, log_every=3), ctx)
    grouped = list(ctx.lines)
    ctx.lines.clear()
    fresh = type(ctx)(out_dir=ctx.out_dir.parent / "other", log=ctx.log)
    train(Regression(), TrainSettings(steps=7, log_every=1), fresh)
    assert [step for step, _ in grouped] == [3, 6, 7]
    assert set(grouped[0][1]) == {"loss/forget", "loss/retain", "gradient_norm", "learning_rate"}
    singles = [line["loss/forget"] for _, line in ctx.lines]
    assert grouped[0][1]["loss/forget"] == pytest.approx(sum(singles[:3]) / 3, rel=1e-5)
    assert grouped[2][1]["loss/forget"] == pytest.approx(singles[6], rel=1e-5)


@pytest.mark.parametrize("weights", [None, lambda gram: [1.0, 1.0]], ids=["sum", "rule"])
def test_a_loss_that_is_not_finite_stops_and_names_step_and_pictures(tmp_path, weights):
    task = Regression(retain=2)
    task.streams["retain"].outputs[3] = float("nan")
    order = task.streams["retain"].order
    step = next(step for step in range(4) if 3 in (order[2 * step], order[2 * step + 1]))
    with pytest.raises(ComputeError, match=rf"the loss 'retain' is nan in step {step + 1}, .*retain: .*retain-3"):
        train_in(tmp_path, task, weights=weights, steps=40, log_every=20, checkpoint_every=30)
    assert not list(tmp_path.rglob("step-*"))


def test_a_gradient_that_is_not_finite_stops(tmp_path):
    task = Regression()
    plain = task.losses
    # The square root of zero: a finite value whose slope is not.
    task.losses = lambda batches: {name: loss + (loss * 0).sqrt() for name, loss in plain(batches).items()}
    with pytest.raises(ComputeError, match="the norm of the gradient is nan in step 1, with the pictures of forget: "):
        train_in(tmp_path, task, steps=2)


class Hungry(Regression):
    """Asks for more memory than any machine has, for more than two points at a time."""

    def losses(self, batches):
        if len(batches["forget"].ids) > self.fits:
            torch.empty(2**55)
        return super().losses(batches)


@pytest.mark.parametrize(("fits", "hint"), [(2, "accumulation=4 fits, 2 and 1 pictures at a time"), (0, "bfloat16")])
def test_out_of_memory_says_which_batch_would_fit(tmp_path, fits, hint):
    task = Hungry(forget=8, retain=4)
    task.fits = fits
    before = task.sha256()
    with pytest.raises(ComputeError, match=r"fit.* into memory") as caught:
        train_in(tmp_path, task, steps=2)
    assert hint in str(caught.value)
    assert task.sha256() == before and all(one.grad is None for one in task.parameters.values())
    if fits:
        assert train_in(tmp_path, task, steps=2, accumulation=4).steps == 2


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32(tmp_path):
    task = Regression()
    seen = []
    task.network[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    train_in(tmp_path, task, steps=3, precision="bfloat16", learning_rate=0.01)
    exact = Regression()
    train_in(tmp_path / "exact", exact, steps=3, learning_rate=0.01)
    assert set(seen) == {torch.bfloat16}
    assert all(one.dtype == torch.float32 for one in task.parameters.values())
    assert 0 < (values(task) - values(exact)).abs().max() < 0.02


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda task: setattr(task, "streams", {}), PluginError, "is empty"),
        (lambda task: task.network.half(), PluginError, "cannot be trained: it is torch.float16"),
        (lambda task: task.network.requires_grad_(False), PluginError, "requires no gradient"),
        (lambda task: setattr(task.streams["retain"], "batch_size", 3), ConfigError, "cannot be split evenly into 2"),
        (lambda task: setattr(task, "losses", lambda b: {"a": torch.zeros(2)}), PluginError, "a loss is a scalar"),
        (
            lambda task: setattr(task, "losses", lambda b: {"a": torch.zeros(())}),
            ComputeError,
            "depends on the trained",
        ),
    ],
)
def test_tasks_that_cannot_be_trained_are_refused(tmp_path, change, error, message):
    task = Regression()
    change(task)
    with pytest.raises(error, match=message):
        train_in(tmp_path, task, steps=2, accumulation=2)


def test_weights_name_the_losses(tmp_path):
    with pytest.raises(PluginError, match="the losses are forget, retain, the weights are of forget, keep"):
        train_in(tmp_path, Regression(), weights={"forget": 1.0, "keep": 1.0}, steps=1)


def test_settings_are_options_like_any_others():
    assert validate(TrainSettings, {"steps": "7", "clip": "none"}) == TrainSettings(steps=7, clip=None)
    assert all(option.help for option in options_of(TrainSettings))
    for wrong in ({"steps": -1}, {"ema": 1.0}, {"schedule": "none such"}, {"steps": 3, "warmup_steps": 3}):
        with pytest.raises(ConfigError):
            validate(TrainSettings, wrong)
    with pytest.raises(AttributeError, match="has no field 'lr'"):
        with_default(TrainSettings, "lr", 1.0)
