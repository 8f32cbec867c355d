"""The edit against the published per-module, per-concept loop, written out in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vu_uce.system import UceSystem

from vu_core.testing.fake_models import FakeTextToImage

TOLERANCE = 1e-5


def published_loop(weight, edits, preserved, erase_scale, preserve_scale, lamb):
    """One module: mat1 and mat2 grow by one outer product a row, then one inverse."""
    weight = weight.double()
    mat1 = lamb * weight
    mat2 = lamb * torch.eye(weight.shape[1], dtype=torch.float64)
    for concept, value in edits:
        mat1 = mat1 + erase_scale * torch.outer(value, concept)
        mat2 = mat2 + erase_scale * torch.outer(concept, concept)
    for row in preserved:
        mat1 = mat1 + preserve_scale * torch.outer(weight @ row, row)
        mat2 = mat2 + preserve_scale * torch.outer(row, row)
    return mat1 @ torch.inverse(mat2)


def relative(difference, reference):
    return float(torch.linalg.norm(difference.double()) / torch.linalg.norm(reference.double()).clamp(min=1e-300))


def solved(width, concepts, guides, preserved, scales):
    system = UceSystem(width)
    system.add_edits(concepts, guides)
    if len(preserved):
        system.add_preserved(preserved)
    return system, system.solve(*scales)


def normed(n, width, generator):
    return torch.nn.functional.layer_norm(torch.randn(n, width, generator=generator), (width,))


@pytest.mark.parametrize("n", [1, 2, 10, 100, 500])
@pytest.mark.parametrize("m", [0, 1, 40, 1000])
def test_equals_the_published_loop(n, m):
    generator = torch.Generator().manual_seed(1000 * n + m)
    width, scales = 64, (1.0, 0.3, 0.5)
    concepts, guides, preserved = (normed(k, width, generator) for k in (n, n, m))
    weight = torch.randn(24, width, generator=generator)
    edits = [(c, weight.double() @ g) for c, g in zip(concepts.double(), guides.double(), strict=True)]
    expected = published_loop(weight, edits, preserved.double(), *scales)
    system, factors = solved(width, concepts, guides, preserved, scales)
    assert system.uses_kernel == (n + m < width)
    change = factors.compressed()
    assert change.rank <= min(n, width)
    delta = expected - weight.double()
    assert relative((weight @ change.left) @ change.right - delta, delta) < TOLERANCE
    assert relative(weight @ factors.product().float() - delta, delta) < TOLERANCE


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    distinct=st.integers(1, 4),
    copies=st.integers(1, 6),
    spread=st.sampled_from([0.0, 1e-6, 1e-4, 1e-2]),
    m=st.integers(0, 30),
    erase_scale=st.floats(0.01, 100),
    lamb=st.floats(0.01, 10),
)
def test_repeated_and_nearly_parallel_concepts(seed, distinct, copies, spread, m, erase_scale, lamb):
    generator = torch.Generator().manual_seed(seed)
    width = 24
    centres = normed(distinct, width, generator).repeat(copies, 1)
    concepts = centres + spread * torch.randn(centres.shape, generator=generator)
    guides, preserved = normed(len(concepts), width, generator), normed(m, width, generator)
    weight = torch.randn(16, width, generator=generator)
    edits = [(c, weight.double() @ g) for c, g in zip(concepts.double(), guides.double(), strict=True)]
    delta = published_loop(weight, edits, preserved.double(), erase_scale, 1.0, lamb) - weight.double()
    _, factors = solved(width, concepts, guides, preserved, (erase_scale, 1.0, lamb))
    change = factors.compressed()
    assert relative((weight @ change.left) @ change.right - delta, delta) < TOLERANCE


def released_rows(model, prompt, guide, rule):
    """The rows of both prompts, cut as the two releases cut them."""
    encoding = model.encode([prompt, guide])
    old, new = encoding.states["text"].double()
    final, final_new = (int(mask.sum()) - 2 for mask in encoding.mask["text"])
    if rule == "last":
        return old[final : final + 1], new[final_new : final_new + 1]
    farthest = max(final, final_new)
    old = old[final : len(old) - max(0, farthest - final)]
    new = new[final_new : len(new) - max(0, farthest - final_new)]
    return old, new


def released_edit(model, weight, pairs, preserved, rule, technique, scales):
    edits, kept = [], []
    for prompt, guide in pairs:
        old, new = released_rows(model, prompt, guide, rule)
        values = new @ weight.T
        if technique == "tensor":
            u = old @ weight.T
            u = u / u.norm()
            values = values - (u * values).sum() * u
        edits += list(zip(old, values, strict=True))
    for prompt in preserved:
        encoding = model.encode([prompt])
        rows = encoding.states["text"][0].double()
        last = int(encoding.mask["text"].sum()) - 2
        kept += [rows[last]] if rule == "last" else list(rows)
    return published_loop(weight, edits, kept, *scales)


@pytest.mark.parametrize("form", ["smallest", "lora", "dense"])
@pytest.mark.parametrize("technique", ["replace", "tensor"])
@pytest.mark.parametrize("rule", ["last", "aligned-tail"])
@pytest.mark.parametrize("forget", [("cat",), ("red fox", "cat", "dog", "tree", "old boat")])
def test_whole_edit_equals_the_releases(model, unlearn, outputs, forget, rule, technique, form):
    pairs = [(concept, "house") for concept in forget]
    preserved = ["blue bird", "car"]
    edit = unlearn(
        model, *forget, retain=preserved, replace_with=["house"], tokens=rule, technique=technique, form=form
    )
    kept = [*preserved, ""] if rule == "aligned-tail" else preserved
    scales = (1.0, 1.0 if rule == "last" else 1 / 3, 0.5)
    assert len(edit.parameters()) == 4
    for name, stored in model.stored["unet"].items():
        weight = stored.double()
        delta = released_edit(model, weight, pairs, kept, rule, technique, scales) - weight
        assert relative(edit.delta(f"unet.{name}", stored) - delta, delta) < TOLERANCE


def test_debias_adds_attributes_to_the_concept(model, unlearn):
    edit = unlearn(model, "doctor", technique="debias", attributes=("male", "female"), attribute_weights=(-0.3, 0.4))
    states = {text: released_rows(model, text, text, "last")[0][0] for text in ("doctor", "male", "female")}
    target = states["doctor"] - 0.3 * states["male"] + 0.4 * states["female"]
    for name, stored in model.stored["unet"].items():
        weight = stored.double()
        delta = published_loop(weight, [(states["doctor"], weight @ target)], [], 1.0, 1.0, 0.5) - weight
        assert relative(edit.delta(f"unet.{name}", stored) - delta, delta) < TOLERANCE


def test_many_concepts_fold_into_moments(unlearn):
    """More prompts than one call to the encoder takes, more rows than a state is wide."""
    model = FakeTextToImage(width=16, length=5, blocks=1)
    names = [f"word{i}" for i in range(150)]
    edit = unlearn(model, *names, retain=["kept"], replace_with=["house"], tokens="aligned-tail", data=None)
    assert edit.kind == "dense"
    for name, stored in model.stored["unet"].items():
        weight = stored.double()
        pairs = [(text, "house") for text in names]
        expected = released_edit(model, weight, pairs, ["", "kept"], "aligned-tail", "replace", (1.0, 0.5, 0.5))
        assert relative(edit.tensors[f"unet.{name}"] - expected, expected - weight) < TOLERANCE
