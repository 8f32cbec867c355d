"""Invariants of the whole unlearner on a small fake model."""

from __future__ import annotations

import itertools

import pytest
import torch

from vu_core.editfiles import read_edit, write_edit
from vu_core.edits import tensor_sha256
from vu_core.errors import EditError, ModelError
from vu_core.testing.fake_models import FakeTextToImage
from vu_core.types import Concept, Site

VARIANTS = [
    {"tokens": tokens, "technique": technique, "form": form}
    for tokens, technique, form in itertools.product(
        ("last", "aligned-tail"), ("replace", "moderate", "tensor"), ("smallest", "lora", "dense")
    )
]


@pytest.fixture(params=VARIANTS, ids=lambda options: "-".join(options.values()))
def options(request):
    return request.param


@pytest.mark.parametrize("zero", ["strength", "erase_scale"])
def test_no_strength_is_the_identity(model, unlearn, options, zero):
    edit = unlearn(model, "cat", **options, **{zero: 0.0})
    assert edit.is_identity()
    with edit.applied(model):
        assert torch.equal(
            model.component("unet").state_dict()[next(iter(model.stored["unet"]))],
            next(iter(model.stored["unet"].values())),
        )


def test_strength_scales_the_change(model, unlearn, options):
    whole, half = (unlearn(model, "cat", **options, strength=strength) for strength in (1.0, 0.5))
    for name, stored in model.stored["unet"].items():
        delta = whole.delta(f"unet.{name}", stored)
        assert torch.allclose(half.delta(f"unet.{name}", stored), 0.5 * delta, atol=1e-6)


def test_only_declared_parameters_change_and_come_back(model, unlearn, outputs, options):
    before = outputs(model, ["cat", "a dog here"])
    edit = unlearn(model, "cat", **options)
    assert set(edit.parameters()) == {f"unet.{site.parameter}" for site in model.sites()}
    for name, stored in model.component("unet").state_dict().items():
        assert torch.equal(stored, model.stored["unet"][name])
    with edit.applied(model):
        assert not torch.equal(outputs(model, ["cat"]), before[:1])
    assert torch.equal(outputs(model, ["cat", "a dog here"]), before)


def test_the_forgotten_concept_gives_the_guides_output(model, unlearn, outputs):
    """Residual λ / (λ + |c|^2) with |c|^2 = 32: the last content row of 'cat' now answers as that of 'dog'."""
    cat, dog = outputs(model, ["cat", "dog"])[:, 1]
    with unlearn(model, "cat", replace_with=["dog"]).applied(model):
        edited = outputs(model, ["cat"])[0, 1]
    assert torch.allclose(edited - dog, 0.5 / 32.5 * (cat - dog), atol=1e-5)


def test_same_seed_same_edit_and_no_influence_of_order(model, unlearn, options):
    names = ["cat", "red fox", "dog", "boat"]
    hashes = {
        unlearn(model, *order, retain=keep, **options).sha256()
        for order, keep in [(names, ["tree", "house"]), (names[::-1], ["house", "tree"]), (names, ["tree", "house"])]
    }
    assert len(hashes) == 1


def test_pairs_stay_together_in_any_order(model, unlearn):
    one = unlearn(model, "cat", "dog", replace_with=["tree", "house"])
    other = unlearn(model, "dog", "cat", replace_with=["house", "tree"])
    crossed = unlearn(model, "dog", "cat", replace_with=["tree", "house"])
    assert one.sha256() == other.sha256() != crossed.sha256()


def test_global_state_is_untouched(model, unlearn, options):
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    unlearn(model, "cat", **options)
    assert torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    assert not model.component("unet").training
    assert all(parameter.requires_grad for parameter in model.component("unet").parameters())


def test_a_concept_replaced_by_itself_changes_nothing_and_says_so(model, unlearn):
    edit = unlearn(model, "cat", replace_with=[Concept(name="the same", text="cat")])
    assert edit.is_identity()
    assert unlearn.warnings == ["uce: 'cat' is replaced by itself, which changes nothing"]


def test_a_written_edit_does_the_same(model, unlearn, outputs, options, tmp_path):
    edit = unlearn(model, "cat", "dog", **options)
    write_edit(edit, tmp_path / "edit.safetensors")
    again = read_edit(tmp_path / "edit.safetensors")
    assert again.sha256() == edit.sha256() and again.info == edit.info
    with edit.applied(model):
        first = outputs(model, ["cat", "tree"])
    with again.applied(model):
        assert torch.equal(outputs(model, ["cat", "tree"]), first)


def test_low_rank_and_dense_are_the_same_change(model, unlearn):
    forms = [unlearn(model, "cat", "dog", tokens="aligned-tail", form=form) for form in ("lora", "dense")]
    for name, stored in model.stored["unet"].items():
        first, second = (edit.delta(f"unet.{name}", stored) for edit in forms)
        assert torch.allclose(first, second, atol=1e-5)


def test_the_smallest_form_is_chosen(model, unlearn):
    for n in (1, 20):
        names = [f"word{i}" for i in range(n)]
        edits = {
            form: unlearn(model, *names, tokens="aligned-tail", form=form) for form in ("smallest", "lora", "dense")
        }
        assert edits["smallest"].bytes() == min(edits["lora"].bytes(), edits["dense"].bytes())
    assert edits["smallest"].kind == "dense"


def test_rank_is_at_most_the_number_of_edited_rows_and_of_what_they_span(model, unlearn):
    assert unlearn(model, "cat").rank() == 1
    assert unlearn(model, "cat", "dog", retain=["tree", "boat", "house"]).rank() == 2
    same = [Concept(name=f"cat {i}", text="cat") for i in range(5)]
    assert unlearn(model, *same).rank() == 1


def test_every_site_has_the_same_first_factor(model, unlearn):
    edit = unlearn(model, "cat", "dog")
    firsts = [tensor for name, tensor in edit.tensors.items() if name.endswith("lora_A.weight")]
    assert len(firsts) == 4 and all(torch.equal(first, firsts[0]) for first in firsts)


def test_base_names_exactly_what_was_read(model, unlearn):
    read = []
    tensor = model.tensor
    model.tensor = lambda component, name: read.append((component, name)) or tensor(component, name)
    edit = unlearn(model, "cat")
    tensors = {f"{component}.{name}": tensor_sha256(tensor(component, name)) for component, name in read}
    assert edit.base == {**tensors, **model.encoders()}
    assert sorted(name for _, name in read) == sorted(model.stored["unet"])
    with pytest.raises(EditError, match="another base model"), edit.applied(FakeTextToImage(width=32, seed=1)):
        pass


def test_biases_do_not_enter(unlearn):
    plain, biased = FakeTextToImage(), FakeTextToImage(bias=True)
    biased.stored["unet"].update(plain.stored["unet"])
    edits = [unlearn(model, "cat", retain=["dog"]) for model in (plain, biased)]
    assert edits[0].sha256() == edits[1].sha256()


def test_each_stream_has_its_own_multiplier(unlearn, outputs):
    model = FakeTextToImage(streams=2)
    before = outputs(model, ["cat", "dog"])[:, 1]
    edit = unlearn(model, "cat", replace_with=["dog"])
    assert edit.info["ranks"] == {"text": 1, "text_2": 1} and len(edit.parameters()) == 8
    with edit.applied(model):
        after = outputs(model, ["cat"])[0, 1]
    assert (after - before[1]).norm() < 0.02 * (before[0] - before[1]).norm()


@pytest.mark.parametrize("form", ["lora", "dense"])
def test_only_the_columns_of_the_stream_change(model, unlearn, form):
    wide = torch.randn(10, 40, generator=torch.Generator().manual_seed(5))
    model.stored["unet"]["embedder.weight"] = wide
    pooled = Site(component="unet", path="embedder", role="embedder", stream="text", shape=(10, 40), columns=(4, 36))
    model.sites = lambda: [pooled]
    edit = unlearn(model, "cat", sites="all", form=form)
    delta = edit.delta("unet.embedder.weight", wide)
    assert delta[:, 4:36].any() and not delta[:, :4].any() and not delta[:, 36:].any()
    with pytest.raises(ModelError, match="no cross-attention keys and values"):
        unlearn(model, "cat")


def test_half_precision_weights(model, unlearn):
    full = unlearn(model, "cat")
    model.stored["unet"] = {name: tensor.half() for name, tensor in model.stored["unet"].items()}
    half = unlearn(model, "cat")
    for name in full.tensors:
        assert half.tensors[name].dtype == torch.float32
        assert torch.allclose(half.tensors[name], full.tensors[name], atol=1e-2)


def test_relative_regularization_follows_the_states(model, unlearn):
    absolute = unlearn(model, "cat", "dog", regularization=0.01 * 32)
    relative = unlearn(model, "cat", "dog", regularization=0.01, regularization_mode="relative")
    for name, tensor in absolute.tensors.items():
        assert torch.allclose(tensor, relative.tensors[name], atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_weights_are_named(model, unlearn, value):
    name = sorted(model.stored["unet"])[1]
    model.stored["unet"][name][0, 0] = value
    with pytest.raises(ModelError, match=f"'unet.{name}' holds NaN or infinite"):
        unlearn(model, "cat")


def test_models_that_do_not_fit_are_refused(model, unlearn):
    sites = model.sites()
    model.sites = list
    with pytest.raises(ModelError, match="no cross-attention keys and values"):
        unlearn(model, "cat")
    model.sites = lambda: [Site(component="unet", path=sites[0].path, role="key", stream="other", shape=(16, 32))]
    with pytest.raises(ModelError, match="stream 'other', which is missing"):
        unlearn(model, "cat")
    model.sites = lambda: [Site(component="unet", path=sites[0].path, role="key", stream="text", shape=(16, 31))]
    with pytest.raises(ModelError, match="reads 31 columns of stream 'text', which is 32 wide"):
        unlearn(model, "cat")
    model.sites = lambda: [Site(component="unet", path=sites[0].path, role="key", stream="text", shape=(17, 32))]
    with pytest.raises(ModelError, match=r"has shape \(16, 32\), the model says \(17, 32\)"):
        unlearn(model, "cat")
