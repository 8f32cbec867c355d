"""The Nash weights against the equations that define them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vu_lora.bargaining import nash_weights

norms = st.floats(1e-6, 1e6)


def gram_of(first, second, cosine):
    inner = first * second * cosine
    return torch.tensor([[first**2, inner], [inner, second**2]], dtype=torch.float64)


@settings(deadline=None, max_examples=200)
@given(norms, norms, st.floats(-0.999, 1.0))
def test_both_equations_hold_and_both_gradients_gain(first, second, cosine):
    gram = gram_of(first, second, cosine)
    weights = torch.tensor(nash_weights(gram), dtype=torch.float64)
    assert bool((weights > 0).all())
    gains = gram @ weights
    torch.testing.assert_close(gains * weights, torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_orthogonal_gradients_are_scaled_to_length_one():
    assert nash_weights(gram_of(4.0, 0.5, 0.0)) == [0.25, 2.0]


@pytest.mark.parametrize("cosine", [-1.0, -1.0 - 1e-9, -0.99999])
def test_opposed_gradients_are_bounded_by_the_floor(cosine):
    weights = nash_weights(gram_of(2.0, 5.0, cosine))
    assert weights == pytest.approx([1 / (2 * 0.01), 1 / (5 * 0.01)])


def test_a_gradient_of_zero_gets_no_weight():
    assert nash_weights(gram_of(0.0, 4.0, 0.0)) == [0.0, 0.25]
    assert nash_weights(gram_of(0.0, 0.0, 0.0)) == [0.0, 0.0]


def test_the_combination_is_the_solution_found_by_search():
    """Among directions of one length the bargain maximises the product of the two gains."""
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(2, 3, generator=generator, dtype=torch.float64) * torch.tensor([[1.0], [7.0]])
    bargain = torch.tensor(nash_weights(gradients @ gradients.T), dtype=torch.float64) @ gradients
    directions = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    directions = directions / directions.norm(dim=1, keepdim=True)
    gains = directions @ gradients.T
    products = gains.clamp_min(0).prod(dim=1)
    best = directions[products.argmax()]
    cosine = (best @ bargain) / bargain.norm()
    assert math.acos(min(1.0, cosine.item())) < 0.03
