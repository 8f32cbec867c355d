"""Properties that the solution must have, whatever computes it."""

from __future__ import annotations

import pytest
import torch
from vu_uce.factors import Factors, orthonormal_rows, rank_exceeds
from vu_uce.system import UceSystem

from vu_core.errors import ComputeError

WIDTH, OUTPUTS = 48, 20


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(3)
    return lambda n: torch.nn.functional.layer_norm(
        torch.randn(n, WIDTH, generator=generator, dtype=torch.float64), (WIDTH,)
    )


@pytest.fixture
def weight():
    return torch.randn(OUTPUTS, WIDTH, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def edited(weight, concepts, guides, preserved=None, scales=(1.0, 1.0, 0.5)):
    system = UceSystem(WIDTH)
    system.add_edits(concepts, guides)
    if preserved is not None:
        system.add_preserved(preserved)
    return weight @ (torch.eye(WIDTH, dtype=torch.float64) + system.solve(*scales).product())


@pytest.mark.parametrize(("s", "lamb"), [(1.0, 0.5), (5.0, 0.01), (0.2, 100.0)])
def test_what_is_left_of_a_single_concept(rows, weight, s, lamb):
    c, g = rows(1), rows(1)
    left = edited(weight, c, g, scales=(s, 1.0, lamb)) @ c[0] - weight @ g[0]
    factor = lamb / (lamb + s * float(c.square().sum()))
    assert torch.allclose(left, factor * (weight @ c[0] - weight @ g[0]), rtol=0, atol=1e-12)


def test_the_golden_residual_of_normed_states():
    c = torch.nn.functional.layer_norm(torch.randn(1, 128, dtype=torch.float64), (128,))
    system = UceSystem(128)
    system.add_edits(c, -c)
    change = system.solve(1.0, 1.0, 0.5).product() @ c[0]
    assert (change / c[0]).mean() + 2 == pytest.approx(2 * 0.5 / 128.5, rel=1e-4)


@pytest.mark.parametrize(("n", "m"), [(3, 5), (3, 200), (90, 7)])
def test_the_objective_is_stationary(rows, weight, n, m):
    c, g, p = rows(n), rows(n), rows(m)
    s, q, lamb = 2.0, 0.7, 0.5
    w = edited(weight, c, g, p, (s, q, lamb)).requires_grad_()
    objective = s * (w @ c.T - weight @ g.T).square().sum() + q * ((w - weight) @ p.T).square().sum()
    (objective + lamb * (w - weight).square().sum()).backward()
    assert w.grad.abs().max() < 1e-9


def test_nothing_changes_outside_what_was_named(rows, weight):
    c, g, p = rows(3), rows(3), rows(2)
    basis, _ = torch.linalg.qr(torch.cat([c, p]).T)
    other = rows(4)
    other = other - other @ basis @ basis.T
    change = edited(weight, c, g, p) - weight
    assert (change @ other.T).abs().max() < 1e-12


def test_a_large_preserve_scale_preserves(rows, weight):
    c, g, p = rows(3), rows(3), rows(4)
    change = edited(weight, c, g, p, (1.0, 1e6, 0.5)) - weight
    assert (change @ p.T).abs().max() < 1e-6 < (change @ c.T).abs().max()


@pytest.mark.parametrize("m", [0, 5, 100])
def test_both_forms_and_repeated_solving_agree(rows, m):
    """Preserving something at scale 0 forces the (d, d) form; it must not change the solution."""
    c, g, p = rows(4), rows(4), rows(m)
    small, large = UceSystem(WIDTH), UceSystem(WIDTH)
    for system in (small, large):
        system.add_edits(c, g)
        system.add_preserved(p)
    large.add_preserved(torch.zeros(WIDTH, WIDTH))
    assert large.uses_kernel is False
    for scales in ((1.0, 1.0, 0.5), (5.0, 0.1, 0.01), (0.0, 1.0, 1.0), (1.0, 0.0, 0.5)):
        assert torch.allclose(small.solve(*scales).product(), large.solve(*scales).product(), rtol=0, atol=1e-10)


def test_a_weight_is_a_repetition(rows):
    c, g, p = rows(2), rows(2), rows(3)
    weighted, repeated = UceSystem(WIDTH), UceSystem(WIDTH)
    weighted.add_edits(c, g, 3.0)
    weighted.add_preserved(p, 2.0)
    for _ in range(3):
        repeated.add_edits(c, g)
    for _ in range(2):
        repeated.add_preserved(p)
    scales = (1.0, 0.4, 0.5)
    assert torch.allclose(weighted.solve(*scales).product(), repeated.solve(*scales).product(), rtol=0, atol=1e-11)


def test_a_solved_system_grows(rows):
    c, g = rows(2), rows(2)
    system, whole = UceSystem(WIDTH), UceSystem(WIDTH)
    system.add_edits(c[:1], g[:1])
    system.solve(1.0, 1.0, 0.5)
    system.add_edits(c[1:], g[1:])
    whole.add_edits(c, g)
    assert torch.allclose(system.solve(1.0, 1.0, 0.5).product(), whole.solve(1.0, 1.0, 0.5).product(), atol=1e-12)


def test_not_finite_states_are_refused():
    system = UceSystem(4)
    with pytest.raises(ComputeError, match="NaN or infinite states"):
        system.add_edits(torch.full((1, 4), float("nan")), torch.ones(1, 4))


def test_a_system_without_a_solution_is_refused():
    system = UceSystem(3)
    system.add_edits(torch.full((2, 3), 1e9), torch.ones(2, 3))
    with pytest.raises(ComputeError, match="regularization is too small"):
        system.solve(1.0, 1.0, 1e-9)


def test_compression_finds_the_numerical_rank():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((30, 5), (5, 30)))
    mix = torch.randn(5, 40, generator=generator, dtype=torch.float64)
    wide = Factors(left @ mix, torch.linalg.pinv(mix) @ right)
    small = wide.compressed()
    assert (small.rank, small.left.dtype) == (5, torch.float32)
    assert torch.allclose(small.product().double(), left @ right, atol=1e-5)
    assert Factors(left * 0, right).compressed().rank == 0


def test_orthonormal_rows_reproduce_the_matrix():
    right = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    mix, basis = orthonormal_rows(right)
    assert torch.allclose(mix @ basis, right, atol=1e-5) and torch.allclose(basis @ basis.T, torch.eye(8), atol=1e-5)


@pytest.mark.parametrize(("rank", "limit", "exceeds"), [(8, 4, True), (4, 4, False), (3, 4, False), (12, 12, False)])
def test_rank_exceeds(rank, limit, exceeds):
    generator = torch.Generator().manual_seed(1)
    factors = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((12, rank), (rank, 12))]
    assert rank_exceeds(factors[0] @ factors[1], limit) is exceeds
