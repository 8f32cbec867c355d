"""One step of each method on a model of two weights, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from small_worlds import FORGET, Micro, micro_world, unlearn
from vu_classify.config import AssdConfig, L1SparseConfig, ScrubConfig, SsdConfig
from vu_classify.distillation import divergence, mixed_divergence
from vu_classify.fine_tune import sparsity
from vu_classify.gradients import largest
from vu_classify.scrub import distance, retain_loss, rewind_to
from vu_classify.ssd import Lfssd, Ssd, automatic_selection, dampening, percentile
from vu_classify.work import Work

from vu_core import Data, Request
from vu_core.context import RunContext

PLAIN = {"epochs": 1, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0, "augment": "none"}
MIXED_STEP = 0.14003320053750443


def weights_after(name, tmp_path, weight=(0.0, 0.0), untrained=None, **options):
    model, dataset = micro_world(weight)
    model.untrained = untrained
    edit = unlearn(name, model, dataset, RunContext(out_dir=tmp_path), **options)
    return edit.tensors["classifier.weight"].flatten().tolist()


@pytest.mark.parametrize(
    ("name", "weight", "options", "expected"),
    [
        ("fine-tune", (0, 0), {}, (-0.1, 0.1)),
        ("gradient-ascent", (0, 0), {}, (-0.05, 0.05)),
        ("neggrad-plus", (0, 0), {"retain_weight": 0.9}, (-0.095, 0.095)),
        ("random-label", (0, 0), {"exclude_true": True}, (-MIXED_STEP, MIXED_STEP)),
        ("random-label", (0, 0), {"exclude_true": True, "order": "mixed"}, (-0.075, 0.075)),
        ("l1-sparse", (0.3, -0.2), {"sparsity": 0.01}, (0.152788284274, -0.052788284274)),
        ("l1-sparse", (0.3, -0.2), {"sparsity": 0.0}, (0.153788284274, -0.053788284274)),
        (
            "fine-tune",
            (0.3, -0.2),
            {"epochs": 2, "momentum": 0.9, "weight_decay": 0.5},
            (-0.13129913176791386, 0.2170491317679139),
        ),
    ],
)
def test_one_step(tmp_path, name, weight, options, expected):
    found = weights_after(name, tmp_path, weight, **{**PLAIN, **options})
    assert found == pytest.approx(expected, abs=1e-12)


def test_salun_keeps_the_first_of_equal_gradients(tmp_path):
    found = weights_after("salun", tmp_path, **PLAIN, exclude_true=True, share=0.5)
    after_forget = -0.1 * 0.5
    after_retain = after_forget - 0.1 * 2 / (1 + math.exp(-2 * after_forget))
    assert found == pytest.approx((after_retain, 0.0), abs=1e-12)
    assert found[1] == 0.0


@pytest.mark.parametrize(("frozen", "expected"), [("weights", (0.75, 1.0)), ("gradients", (0.75, 0.95))])
def test_salun_weight_decay_on_masked_weights(frozen, expected):
    """w = (1, 1), mask (1, 0), gradient 2, learning rate 0.1, weight decay 0.5."""
    from vu_classify.salun import restrict

    network = Micro((1.0, 1.0))
    after_step = restrict(network, {"weight": torch.tensor([[True], [False]])}, freeze=frozen == "weights")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.5)
    (2 * network.weight).sum().backward()
    optimizer.step()
    if after_step:
        after_step()
    assert network.weight.flatten().tolist() == pytest.approx(expected, abs=1e-15)
    assert (network.weight[1].item() == 1.0) == (frozen == "weights")


def importances(method, weight, tmp_path, **options):
    """Return the importances of D_f and of D."""
    model, dataset = micro_world(weight)
    request = Request(forget=(FORGET,))
    data = Data(forget=request.forget, retain=(), dataset=dataset)
    ctx = RunContext(out_dir=tmp_path)
    work = Work(model, request, data, SsdConfig(**options), ctx, reads=["forget", "retain"])
    sets = work.forget, work.retain.and_also(work.forget)
    return [method().importance(work, images, "use")["weight"].flatten().tolist() for images in sets]


def test_ssd_importance_depends_on_the_batch(tmp_path):
    on_forget, on_both = importances(Ssd, (0.0, 0.0), tmp_path, batch_size=2)
    assert on_forget == pytest.approx((0.25, 0.25), abs=1e-12)
    assert on_both == pytest.approx((0.0625, 0.0625), abs=1e-12)
    factor = dampening(torch.tensor(on_forget), torch.tensor(on_both), 3.0, 1.0)
    assert factor.tolist() == pytest.approx((0.25, 0.25))
    _, on_each = importances(Ssd, (0.0, 0.0), tmp_path, batch_size=1)
    assert on_each == pytest.approx((0.625, 0.625), abs=1e-12)
    _, per_sample = importances(Ssd, (0.0, 0.0), tmp_path, batch_size=2, per_sample=True)
    assert per_sample == pytest.approx((0.625, 0.625), abs=1e-12)


def test_lfssd_importance(tmp_path):
    on_forget, _ = importances(Lfssd, (1.0, 2.0), tmp_path)
    assert on_forget == pytest.approx((2.0, 4.0), abs=1e-12)


def test_dampening_selects_by_ratio():
    found = dampening(torch.tensor([4.0, 1.0, 0.5]), torch.ones(3), 2.0, 1.0)
    assert found.tolist() == [0.25, 1.0, 1.0]
    # 0 / 0 is never selected; what nothing but the forget set needs becomes 0; nothing grows.
    assert dampening(torch.tensor([0.0, 1.0]), torch.zeros(2), 2.0, 1.0).tolist() == [1.0, 0.0]
    assert dampening(torch.tensor([3.0]), torch.ones(1), 2.0, 9.0).tolist() == [1.0]


def test_assd_percentiles():
    assert percentile(1, 10) == pytest.approx(97.60210472720163, abs=1e-10)
    assert percentile(1, 2) == pytest.approx(96.06817436727567, abs=1e-10)
    assert percentile(100, 60000) == pytest.approx(99.84585, abs=1e-5)
    ratios = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratios[0], ratios[1] = math.nan, math.inf
    chosen = automatic_selection(ratios, 1, 10)
    share = (ratios[2:] > chosen).double().mean().item()
    assert share == pytest.approx(1 - percentile(1, 10) / 100, abs=1e-4)
    assert AssdConfig().dampening == 0.1


def test_bad_teacher_step(tmp_path):
    student = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    zeros, on_forget = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1)
    loss = mixed_divergence(on_forget, zeros, zeros + 7, student, 1.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(0.12011450695827755, abs=1e-14)
    assert gradient[0].tolist() == pytest.approx((0.2310585786, -0.2310585786), abs=1e-10)
    options = {**PLAIN, "optimizer": "sgd", "retain_share": 1.0}
    # Both images are in one batch; the original teaches the other, of which there is nothing to learn.
    for reduction, count in (("batch-mean", 2), ("element-mean", 4)):
        found = weights_after(
            "bad-teacher", tmp_path / reduction, (1.0, 0.0), Micro((0.0, 0.0)), **options, reduction=reduction
        )
        step = 0.1 * 0.23105857863000487 / count
        assert found == pytest.approx((1 - step, step), abs=1e-12)


def test_scrub_steps():
    """On D_r, x = 2: the student is w = (0, 0), the teacher w = (1, 0)."""
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    student = 2 * weight[None]
    teacher = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    config = ScrubConfig(temperature=2.0, task_weight=1.0, teacher_weight=0.5)
    loss = retain_loss(teacher, student, torch.tensor([1]), config)
    (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
    assert loss.item() == pytest.approx(0.9150353239034001, abs=1e-12)
    assert gradient.tolist() == pytest.approx((0.5378828427, -0.5378828427), abs=1e-10)
    (at_teacher,) = torch.autograd.grad(distance(student.detach(), student, 2.0), weight)
    assert at_teacher.abs().max().item() == 0.0
    three = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    assert distance(three, student.detach(), 1.0).item() == pytest.approx(0.1308121, abs=1e-7)
    assert distance(three, student.detach(), 2.0).item() == pytest.approx(0.14536313148, abs=1e-10)
    assert divergence(three, student.detach(), 1.0).item() == pytest.approx(0.130812, abs=1e-6)


def test_scrub_rewinds_to_the_nearest_error():
    assert rewind_to([0, 10, 40, 80], 35) == 2
    assert rewind_to([0, 10], 5) == 0


def test_l1_sparsity_falls_to_its_last_epoch():
    rates = [sparsity(L1SparseConfig(sparsity=5e-4, epochs=10), epoch) for epoch in range(10)]
    assert rates == pytest.approx([5e-4 * (1 - epoch / 10) for epoch in range(10)])
    assert rates[-1] == pytest.approx(5e-5)
    assert sparsity(L1SparseConfig(sparsity=1.0, epochs=4, dense_epochs=4), 0) == 0.0
    assert sparsity(L1SparseConfig(sparsity=1.0, epochs=4, course="constant"), 3) == 1.0


def test_masks_have_as_many_ones_as_asked_for():
    values = {"a": torch.arange(5.0), "b": torch.arange(6.0)}
    assert sum(int(mask.sum()) for mask in largest(values, 0.5).values()) == 5
    assert sum(int(mask.sum()) for mask in largest({"a": torch.ones(100)}, 0.29).values()) == 29
    ties = largest({"a": torch.ones(2), "b": torch.ones(2)}, 0.5)
    assert ties["a"].all()
    assert not ties["b"].any()
