"""Low-rank adapters: what they compute, what they leave behind, and the edit that they become."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from vu_train.adapters import Adapters, layers_ending_in, matrix_layers

from vu_core.editfiles import LORA_FILE, read_edit, write_edit
from vu_core.edits import applied
from vu_core.errors import ConfigError, ModelError
from vu_core.testing.pipelines import build_pipeline

PATHS = ["to_k", "deep.to_out.0", "conv"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Small(nn.Module):
    """Two linear layers and a strided convolution, in a row."""

    def __init__(self):
        super().__init__()
        self.to_k = nn.Linear(6, 8)
        self.deep = nn.ModuleDict({"to_out": nn.ModuleList([nn.Linear(8, 3 * 5 * 5, bias=False)])})
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(4, 4, 1, groups=2)

    def forward(self, x):
        hidden = self.deep["to_out"][0](torch.tanh(self.to_k(x)))
        return self.grouped(self.conv(hidden.view(-1, 3, 5, 5)))


class Holder:
    """A model with one component."""

    name = "holder"

    def __init__(self, module):
        self.module = module

    def component(self, name):
        return self.module

    def tensor(self, component, name):
        return self.module.state_dict()[name].clone()


@pytest.fixture
def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small()


@pytest.fixture
def given():
    return torch.randn(4, 6, generator=generator(1))


def attach(module, *, masks=None, rank=2, alpha=3.0, paths=PATHS, filled=True, dropout=0.0):
    adapters = Adapters(module, paths, rank=rank, alpha=alpha, masks=masks, dropout=dropout, generator=generator())
    if filled:
        with torch.no_grad():
            for low in adapters.layers.values():
                low.b.copy_(torch.randn(low.b.shape, generator=generator(2)))
    return adapters


def masks_of(module, share=0.4):
    drawn = {path: torch.rand(module.get_submodule(path).weight.shape, generator=generator(3)) for path in PATHS}
    return {path: values < share for path, values in drawn.items()}


def reference(module, adapters, given, strength, scale, masks=None):
    """The outputs with effective weights W + strength scale (B A) M, in float64, one term of the product at a time."""
    weights = {}
    for path in PATHS:
        weight = module.get_submodule(path).weight.detach().double().clone()
        low = adapters.layers[path.replace(".", "/")]
        change = torch.zeros_like(weight)
        for k in range(low.a.shape[0]):
            column = low.b.detach().double()[:, k].reshape(-1, *(1,) * (weight.ndim - 1))
            change += column * low.a.detach().double()[k]
        weights[path] = weight + strength * scale * change * (masks[path] if masks else 1.0)
    hidden = F.linear(given.double(), weights["to_k"], module.to_k.bias.double())
    hidden = F.linear(torch.tanh(hidden), weights["deep.to_out.0"]).view(-1, 3, 5, 5)
    hidden = F.conv2d(hidden, weights["conv"], module.conv.bias.double(), stride=2, padding=1)
    return F.conv2d(hidden, module.grouped.weight.double(), module.grouped.bias.double(), groups=2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("strength", [1.0, -1.0, 0.25])
def test_outputs_are_those_of_the_effective_weights(small, given, masked, strength):
    masks = masks_of(small) if masked else None
    adapters = attach(small, masks=masks)
    with adapters.attached(), adapters.at(strength), torch.no_grad():
        got = small(given)
    wanted = reference(small, adapters, given, strength, 3.0 / 2, masks)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_nothing_changes_before_training_and_at_strength_zero(small, given, masked):
    plain = small(given)
    masks = masks_of(small) if masked else None
    fresh = attach(small, masks=masks, filled=False)
    with fresh.attached():
        assert torch.equal(small(given), plain)
    assert fresh.as_edit(Holder(small), "unet").is_identity()
    filled = attach(small, masks=masks)
    with filled.attached():
        assert not torch.equal(small(given), plain)
        with filled.at(0.0):
            assert torch.equal(small(given), plain)
        assert not torch.equal(small(given), plain)


def test_a_is_normal_with_deviation_one_over_rank_and_b_is_zero():
    module = nn.Sequential(nn.Linear(4000, 3))
    low = Adapters(module, ["0"], rank=5, alpha=5, generator=generator()).layers["0"]
    assert low.a.shape == (5, 4000) and not low.b.any()
    assert low.a.mean().abs() < 0.01 and low.a.std().item() == pytest.approx(1 / 5, rel=0.02)


def test_parameters_are_float32_beside_a_half_precision_module(small, given):
    adapters = attach(small.bfloat16())
    assert {parameter.dtype for parameter in adapters.layers.parameters()} == {torch.float32}
    with adapters.attached():
        output = small(given.bfloat16())
        output.float().square().mean().backward()
    assert output.dtype == torch.bfloat16
    assert all(parameter.grad.dtype == torch.float32 for parameter in adapters.layers.parameters())


def test_the_module_is_bit_for_bit_as_it_was(small, given):
    small.conv.weight.requires_grad_(False)
    state = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    objects = {name: id(parameter) for name, parameter in small.named_parameters()}
    wants = {name: parameter.requires_grad for name, parameter in small.named_parameters()}
    attributes = {name: sorted(vars(layer)) for name, layer in small.named_modules()}
    adapters = attach(small)
    with pytest.raises(ZeroDivisionError), adapters.attached():
        assert not any(parameter.requires_grad for parameter in small.parameters())
        small(given).square().mean().backward()
        raise ZeroDivisionError
    assert all(torch.equal(tensor, state[name]) for name, tensor in small.state_dict().items())
    assert {name: id(parameter) for name, parameter in small.named_parameters()} == objects
    assert {name: parameter.requires_grad for name, parameter in small.named_parameters()} == wants
    assert {name: sorted(vars(layer)) for name, layer in small.named_modules()} == attributes
    assert not any(layer._forward_hooks for layer in small.modules())
    assert all(parameter.grad is None for parameter in small.parameters())
    assert all(parameter.grad is not None for parameter in adapters.layers.parameters())


@pytest.mark.parametrize("masked", [False, True])
def test_the_edit_does_what_the_adapters_did(small, given, masked, tmp_path):
    masks = masks_of(small) if masked else None
    adapters, model = attach(small, masks=masks), Holder(small)
    with adapters.attached(), torch.no_grad():
        trained = small(given)
    edit = adapters.as_edit(model, "unet")
    write_edit(edit, tmp_path / "edit.safetensors")
    with applied(model, [read_edit(tmp_path / "edit.safetensors")]), torch.no_grad():
        torch.testing.assert_close(small(given), trained, rtol=1e-4, atol=1e-4)
    assert edit.kind == ("dense" if masked else "lora")
    assert set(edit.base) == set(edit.parameters()) == {f"unet.{path}.weight" for path in PATHS}


def test_negation_is_exact(small):
    adapters, model = attach(small), Holder(small)
    learned, negated = (adapters.as_edit(model, "unet", strength=strength) for strength in (1.0, -1.0))
    for name in learned.parameters():
        base = model.tensor("unet", name.removeprefix("unet."))
        assert torch.equal(negated.delta(name, base), -learned.delta(name, base))
        assert torch.equal(learned.scaled(-1.0).delta(name, base), negated.delta(name, base))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_entries_outside_the_mask_are_bit_for_bit_those_of_the_base(small, dtype):
    masks, model = masks_of(small), Holder(small.to(dtype))
    before = {path: small.get_submodule(path).weight.detach().clone() for path in PATHS}
    with applied(model, [attach(small, masks=masks).as_edit(model, "unet")]):
        for path, mask in masks.items():
            changed = small.get_submodule(path).weight
            assert changed.dtype == dtype and torch.equal(changed[~mask], before[path][~mask])
            assert (changed[mask] != before[path][mask]).float().mean() > 0.9


def test_gradients_stay_inside_the_mask(small, given):
    nothing = {path: torch.zeros_like(mask) for path, mask in masks_of(small).items()}
    adapters = attach(small, masks=nothing)
    with adapters.attached():
        small(given).square().mean().backward()
    assert not any(parameter.grad.any() for parameter in adapters.layers.parameters())


def test_dropout_acts_in_training_mode_only(small, given):
    adapters = attach(small, dropout=0.5)
    with adapters.attached(), torch.random.fork_rng(devices=[]):
        adapters.layers.train()
        assert not torch.equal(small(given), small(given))
        adapters.layers.eval()
        assert torch.equal(small(given), small(given))


def test_layers_are_chosen_by_whole_path_components(small):
    assert matrix_layers(small) == ["to_k", "deep.to_out.0", "conv"]
    assert layers_ending_in(small, ["conv", "to_out.0"]) == ["deep.to_out.0", "conv"]
    with pytest.raises(ConfigError, match="no linear or convolution layer ends in 'k'"):
        layers_ending_in(small, ["k"])


@pytest.mark.parametrize("wrong", [{"paths": []}, {"rank": 0}, {"dropout": 1.0}])
def test_senseless_adapters_are_refused(small, wrong):
    with pytest.raises(ConfigError, match="adapters were given"):
        attach(small, **wrong)


@pytest.mark.parametrize("path", ["grouped", "deep", "nowhere"])
def test_layers_that_can_have_no_adapter_are_refused(small, path):
    with pytest.raises(ModelError, match=f"'{path}' cannot have an adapter"):
        attach(small, paths=[path])


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_plain_diffusers_loads_the_edit_at_full_strength(family, tmp_path):
    pytest.importorskip("peft")
    pipe = build_pipeline(family=family)
    paths = layers_ending_in(pipe.unet, ["to_k", "to_v", "to_out.0", "conv1", "proj_in"])
    adapters = attach(pipe.unet, paths=paths, rank=2, alpha=0.1)
    plain = picture(pipe)
    with adapters.attached():
        trained = picture(pipe)
    write_edit(adapters.as_edit(Holder(pipe.unet), "unet"), tmp_path / LORA_FILE)
    pipe.load_lora_weights(tmp_path, weight_name=LORA_FILE)
    theirs = picture(pipe)
    pipe.unload_lora_weights()
    assert (trained - plain).abs().max() > 0.01
    assert (theirs - trained).abs().max() < 1e-3
    assert torch.equal(picture(pipe), plain)


def picture(pipe):
    noise = generator(7)
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        drawn = pipe("a photo of a cat", num_inference_steps=3, guidance_scale=4.0, generator=noise, output_type="np")
    return torch.from_numpy(drawn.images)
