"""Streamed saliency and the selection by it, against naive computations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from vu_fade.saliency import matrix_saliency, weight_saliency
from vu_fade.selection import kth_largest, most_salient, selected_count, weight_masks

from vu_core.errors import ComputeError


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shared = nn.Linear(5, 5)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), shared, nn.Tanh(), shared, nn.Linear(5, 2)).double().float()


@pytest.fixture
def batches():
    drawn = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1))
    return list(drawn)


def losses(network, batches):
    return (network(batch).square().mean() for batch in batches)


def naive(network, batches):
    """Sum over batches of |gradient|, from whole gradients in float64."""
    network = network.double()
    sums = {}
    for batch in batches:
        network.zero_grad()
        network(batch.double()).square().mean().backward()
        for name, parameter in network.named_parameters():
            sums[name] = sums.get(name, 0) + parameter.grad.abs()
    network.zero_grad()
    network.float()
    return sums


def matrices(network):
    return {name: parameter for name, parameter in network.named_parameters() if parameter.ndim == 2}


def test_saliency_is_the_sum_over_batches_of_absolute_gradients(network, batches):
    wanted = naive(network, batches)
    found = weight_saliency(matrices(network), losses(network, batches))
    means = matrix_saliency(matrices(network), losses(network, batches))
    assert set(found) == set(means) == set(matrices(network))
    for name, values in found.items():
        assert values.dtype == torch.float32
        torch.testing.assert_close(values.double(), wanted[name], rtol=1e-5, atol=1e-7)
        assert means[name] == pytest.approx(wanted[name].mean().item(), rel=1e-5)


def test_saliency_of_half_precision_is_accumulated_in_float32():
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    steps = 1000  # bfloat16 itself cannot count beyond 256
    found = weight_saliency({"w": weight}, (weight.sum() for _ in range(steps)))
    mean = matrix_saliency({"w": weight}, (weight.sum() for _ in range(steps)))
    assert found["w"].item() == mean["w"] == steps


def test_there_is_never_a_second_copy_of_the_gradients(network, batches, monkeypatch):
    held = []
    norm = torch.linalg.vector_norm

    def watched(gradient, **options):
        held.append(sum(parameter.grad is not None for parameter in network.parameters()))
        return norm(gradient, **options)

    monkeypatch.setattr(torch.linalg, "vector_norm", watched)
    network.requires_grad_(False)
    matrix_saliency(matrices(network), losses(network, batches))
    assert len(held) == len(batches) * 3 and set(held) == {0}


def test_the_network_is_left_as_it_was(network, batches):
    kept = torch.full((2, 5), 7.0)
    network[-1].weight.grad = kept
    network[0].weight.requires_grad_(False)
    network[0].bias.requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}

    def breaking():
        yield network(batches[0]).square().mean()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        weight_saliency(matrices(network), breaking())
    assert network[-1].weight.grad is kept and bool((kept == 7.0).all())
    assert not network[0].weight.requires_grad and network[-1].weight.requires_grad
    assert not any(parameter._post_accumulate_grad_hooks for parameter in network.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())


def test_saliency_that_is_not_finite_is_refused(network, batches):
    with pytest.raises(ComputeError, match=r"saliency of '0\.weight' is not finite"):
        matrix_saliency(matrices(network), losses(network, [batches[0] * float("inf")]))


@pytest.mark.parametrize(("total", "fraction", "count"), [(282, 0.75, 211), (100, 0.29, 29), (4, 0.1, 1), (7, 1.0, 7)])
def test_the_share_is_rounded_down_and_never_empty(total, fraction, count):
    assert selected_count(total, fraction) == count


def test_the_most_salient_matrices_are_chosen_and_the_first_of_equals():
    assert most_salient({"a": 1.0, "b": 2.0, "c": 2.0, "d": 0.5, "e": 2.0}, 0.4) == ["b", "c"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_the_threshold_is_the_exact_kth_largest(lists, data):
    flat = sorted((value for values in lists for value in values), reverse=True)
    rank = data.draw(st.integers(1, len(flat)))
    assert kth_largest([torch.tensor(values) for values in lists], rank) == flat[rank - 1]


def test_the_threshold_of_many_close_values_is_exact():
    values = torch.rand(200_000, generator=torch.Generator().manual_seed(0)) * 1e-6 + 1e-3
    for rank in (1, 2, 77_777, 150_000, 200_000):
        wanted = values.sort(descending=True).values[rank - 1].item()
        assert kth_largest(list(values.split(30_000)), rank) == wanted


def test_a_rank_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no 3-th largest of 2 values"):
        kth_largest([torch.tensor([1.0, 2.0])], 3)


def test_masks_share_one_threshold_and_keep_all_ties():
    saliency = {"a": torch.tensor([[5.0, 1.0], [3.0, 3.0]]), "b": torch.tensor([0.0, 3.0])}
    masks, threshold = weight_masks(saliency, 0.5)
    assert threshold == 3.0
    assert masks["a"].tolist() == [[True, False], [True, True]] and masks["b"].tolist() == [False, True]
