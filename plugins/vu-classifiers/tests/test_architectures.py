"""The networks: their published sizes, their equations beside independent ones, and who may name code."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d
from vu_classifiers.architectures import ARCHITECTURES, TRUST_VARIABLE, build
from vu_classifiers.pixels import last_layer
from vu_classifiers.resnet import ResNet, resnet18
from vu_classifiers.vit import vit_tiny

from vu_core import ModelError

from .conftest import describe

TEN = tuple("0123456789")


@pytest.mark.parametrize(
    ("architecture", "arguments", "size", "parameters"),
    [
        ("mlp", {"grey": True}, (8, 8), 64 * 64 + 64 + 64 * 10 + 10),
        ("mlp", {"width": 5, "layers": 2}, (4, 6), 72 * 5 + 5 + 5 * 5 + 5 + 5 * 10 + 10),
        # As published for CIFAR-10, or counted in public implementations of these forms.
        ("resnet18", {}, (32, 32), 11_173_962),
        ("resnet18", {"width": 16}, (28, 28), 701_466),
        ("resnet20", {}, (32, 32), 269_722),
        ("vgg16-bn", {}, (32, 32), 14_728_266),
        ("vit-tiny", {}, (32, 32), 5_362_762),
    ],
)
def test_sizes_are_the_published_ones(architecture, arguments, size, parameters):
    network = build(describe(architecture=architecture, arguments=arguments, classes=TEN, picture_size=size), 0)
    assert sum(one.numel() for one in network.parameters()) == parameters
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 10)
    assert last_layer(network, 10).out_features == 10 and not network.training


def test_a_seed_decides_the_weights_and_nothing_else_moves():
    state = torch.get_rng_state()
    one, again, other = (build(describe(), seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["1.weight"], other["1.weight"])


def test_pixels_are_normalised_inside():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    plain, normalising = build(describe(), 0), build(describe(mean=mean, std=std), 0)
    images = torch.rand(4, 3, 8, 8)
    by_hand = torch.stack([(images[:, i] - mean[i]) / std[i] for i in range(3)], dim=1)
    with torch.no_grad():
        assert torch.allclose(normalising(images), plain(by_hand), atol=1e-6)


@pytest.mark.parametrize("convolve", [True, False])
def test_a_resnet_is_its_equations(convolve):
    """Every block by hand in float64: relu(bn(conv(relu(bn(conv(x))))) + shortcut), then the mean over pixels."""
    torch.manual_seed(0)
    network = ResNet(5, 4, (1, 2), convolve=convolve).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    state = network.state_dict()

    def bn(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return batch_norm(x, *(state[f"{name}.{key}"] for key in keys), eps=1e-5)

    def block(x, name, stride):
        inner = bn(conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1").clamp(min=0)
        inner = bn(conv2d(inner, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
        if stride == 1:
            shortcut = x
        elif convolve:
            shortcut = bn(conv2d(x, state[f"{name}.downsample.0.weight"], stride=2), f"{name}.downsample.1")
        else:
            shortcut = torch.zeros_like(inner)
            shortcut[:, : x.shape[1]] = x[:, :, ::2, ::2]
        return (inner + shortcut).clamp(min=0)

    images = torch.rand(3, 3, 9, 9, dtype=torch.float64)
    x = bn(conv2d(images, state["conv1.weight"], padding=1), "bn1").clamp(min=0)
    for name, stride in (("layer1.0", 1), ("layer2.0", 2), ("layer2.1", 1)):
        x = block(x, name, stride)
    by_hand = x.flatten(2).mean(2) @ state["fc.weight"].T + state["fc.bias"]
    with torch.no_grad():
        assert torch.allclose(network(images), by_hand, atol=1e-12)


def test_the_names_are_torchvision_s():
    names = set(resnet18(10, (32, 32)).state_dict())
    assert {"bn1.running_mean", "layer2.0.downsample.1.bias", "layer4.1.conv2.weight", "fc.bias"} <= names


def test_a_vision_transformer_is_that_of_transformers():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    ours = vit_tiny(5, (8, 8), width=12, depth=2, heads=3, patch=4).eval()
    config = transformers.ViTConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        image_size=8,
        patch_size=4,
        num_labels=5,
        layer_norm_eps=1e-5,
        hidden_act="gelu",
        attn_implementation="eager",
    )
    theirs = transformers.ViTForImageClassification(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3)
        _copy(ours, theirs)
        images = torch.rand(3, 3, 8, 8)
        assert torch.allclose(ours(images), theirs(images).logits, atol=1e-5)


def _copy(ours, theirs) -> None:
    """Give transformers' network the weights of ours: q, k and v are one matrix here and three there."""
    kinds = {"patch_embeddings.projection": ours.patches, "layernorm": ours.norm, "classifier": ours.head}
    for number, block in enumerate(ours.blocks):
        parts = {"layernorm_before": block.norm1, "layernorm_after": block.norm2}
        kinds |= {f".{number}.{name}": part for name, part in parts.items()}
    theirs.vit.embeddings.cls_token.copy_(ours.token)
    theirs.vit.embeddings.position_embeddings.copy_(ours.positions)
    linear = {}
    for number, block in enumerate(ours.blocks):
        weights, biases = block.qkv.weight.chunk(3), block.qkv.bias.chunk(3)
        for name, weight, bias in zip(("q", "k", "v"), weights, biases, strict=True):
            linear[number, name] = (weight, bias)
        linear[number, "o"] = (block.proj.weight, block.proj.bias)
        linear[number, "up"] = (block.mlp[0].weight, block.mlp[0].bias)
        linear[number, "down"] = (block.mlp[2].weight, block.mlp[2].bias)
    order = ("q", "k", "v", "o", "up", "down")
    layers = theirs.vit.layers if hasattr(theirs.vit, "layers") else theirs.vit.encoder.layer
    for number, layer in enumerate(layers):
        found = [module for module in layer.modules() if isinstance(module, nn.Linear)]
        assert len(found) == len(order)
        for name, module in zip(order, found, strict=True):
            module.weight.copy_(linear[number, name][0])
            module.bias.copy_(linear[number, name][1])
        norms = [module for module in layer.modules() if isinstance(module, nn.LayerNorm)]
        for module, own in zip(norms, (ours.blocks[number].norm1, ours.blocks[number].norm2), strict=True):
            module.load_state_dict(own.state_dict())
    theirs.vit.embeddings.patch_embeddings.projection.load_state_dict(ours.patches.state_dict())
    theirs.vit.layernorm.load_state_dict(ours.norm.state_dict())
    theirs.classifier.load_state_dict(ours.head.state_dict())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "resnet81"}, r"unknown architecture 'resnet81'. Did you mean 'resnet18'"),
        ({"architecture": "vgg16-bn"}, r"8 x 8 pixels are too small, it takes 32"),
        ({"architecture": "vit-tiny", "picture_size": (10, 8)}, "no whole patches of 4"),
        ({"architecture": "vit-tiny", "arguments": {"width": 10}}, "cannot be split among 3 heads"),
        ({"arguments": {"depth": 3}}, "unexpected keyword argument 'depth'"),
    ],
)
def test_what_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ModelError, match=message):
        build(describe(**fields), 0)


def test_code_that_a_file_names_runs_only_where_the_user_allows_it(monkeypatch):
    module = ModuleType("my_networks")
    module.made = []

    def small(outputs: int) -> nn.Module:
        module.made.append(outputs)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, outputs))

    module.small = small
    monkeypatch.setitem(sys.modules, "my_networks", module)
    description = describe(architecture="my_networks:small", arguments={"outputs": 3})
    with pytest.raises(ModelError, match=f"asks to run the code 'my_networks:small'.*{TRUST_VARIABLE}="):
        build(description, 0)
    monkeypatch.setenv(TRUST_VARIABLE, "my_networks:other, my_networks")
    with pytest.raises(ModelError, match="which no file may decide"):
        build(description, 0)
    assert module.made == []
    monkeypatch.setenv(TRUST_VARIABLE, "my_networks:other, my_networks:small")
    with torch.no_grad():
        assert build(description, 0)(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    monkeypatch.delenv(TRUST_VARIABLE)
    assert module.made == [3] and isinstance(build(description, 0, trusted=True), nn.Module)


def test_code_that_is_no_network_is_named():
    for name, message in (
        ("no_such_module_here:f", "cannot be imported"),
        ("json:absent", "cannot be imported"),
        ("json:decoder", "is a module, no function"),
        ("builtins:dict", "returns a dict, no torch.nn.Module"),
    ):
        with pytest.raises(ModelError, match=message):
            build(describe(architecture=name), 0, trusted=True)


def test_a_network_without_a_linear_layer_of_its_classes_is_refused():
    with pytest.raises(ModelError, match="no linear layer with 7 outputs"):
        last_layer(build(describe(), 0), 7)
    assert set(ARCHITECTURES) == {"mlp", "resnet18", "resnet20", "vgg16-bn", "vit-tiny"}
