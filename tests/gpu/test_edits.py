"""Edits of a model on a device: the weights are the CPU's, and nothing of them stays behind."""

from __future__ import annotations

import pytest
import torch

from vu_core import SamplerSettings
from vu_core.chains import combine
from vu_core.context import RunContext
from vu_core.edits import Edit, applied, edited_weights, read_edit, tensor_sha256, write_edit
from vu_core.interfaces import Data
from vu_core.types import Concept, Request

pytestmark = pytest.mark.gpu

PROMPTS = ["a cat image in noto style", "a dog image in mono style"]
SETTINGS = SamplerSettings(steps=5, guidance_scale=3.0, micro_batch=2)
RANK = 3


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(request, device, embedded):
    return embedded(device, request.param)


def random_edit(model, *, device: str = "cpu", seed: int = 0) -> Edit:
    generator = torch.Generator().manual_seed(seed)
    factors, base = {}, {}
    for site in model.sites():
        name, (rows, columns) = f"unet.{site.parameter}", site.shape
        a, b = (torch.randn(shape, generator=generator) for shape in ((RANK, columns), (rows, RANK)))
        factors[name] = (0.3 * a).to(device), (0.3 * b).to(device)
        base[name] = tensor_sha256(model.tensor("unet", site.parameter))
    return Edit.lora(factors, base=base, unlearner="random")


def unlearned(model, out) -> Edit:
    from vu_uce.config import UceConfig
    from vu_uce.unlearner import Uce

    request = Request(forget=(Concept(name="cat"),), retain=(Concept(name="dog"),))
    data = Data(forget=request.forget, retain=request.retain)
    return Uce().unlearn(model, request, data, UceConfig(form="lora"), RunContext(out_dir=out, device=model.device))


def pictures(model) -> torch.Tensor:
    return torch.stack(list(model.sample(PROMPTS, [0, 1], SETTINGS)))


def test_an_edit_is_removed_bit_for_bit(model, device):
    unet = model.component("unet")
    before = {name: (parameter, parameter.clone()) for name, parameter in unet.named_parameters()}
    edit, base = random_edit(model), pictures(model)
    with applied(model, [edit]):
        assert {parameter.device.type for parameter in unet.parameters()} == {device}
        assert not torch.equal(pictures(model), base)
    for name, parameter in unet.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
    assert torch.equal(pictures(model), base)


def test_an_edit_does_not_depend_on_the_type_that_pictures_are_drawn_in(model, embedded, tmp_path):
    base = embedded("cpu")
    ours, theirs = (unlearned(at, tmp_path) for at in (model, base))
    assert ours.parameters() == theirs.parameters()
    for name in ours.parameters():
        weight = base.tensor("unet", name.removeprefix("unet."))
        change = theirs.delta(name, weight)
        assert torch.norm(ours.delta(name, weight) - change) < 1e-3 * change.norm()


def test_edited_weights_are_the_cpus(model, embedded):
    edit = random_edit(model)
    ours, theirs = (edited_weights(at, [edit]) for at in (model, embedded("cpu", model.dtype)))
    # One unit in the last place of bfloat16 is 2^-7.
    tolerance = {"float32": 1e-5, "bfloat16": 2**-7}[model.dtype]
    for name, weight in ours.items():
        assert weight.dtype == theirs[name].dtype
        torch.testing.assert_close(weight.cpu(), theirs[name], rtol=tolerance, atol=tolerance * 1e-2)


def test_tensors_made_on_the_device_make_the_same_edit(model, device, tmp_path):
    made_here, edit = random_edit(model, device=device), random_edit(model)
    assert made_here.sha256() == edit.sha256()
    write_edit(made_here, tmp_path / "edit.safetensors")
    stored = read_edit(tmp_path)
    assert stored.sha256() == edit.sha256()
    both = combine([made_here, stored.scaled(-1.0)])
    with applied(model, [both]):
        for name, weight in edited_weights(model, [both]).items():
            assert weight.device.type == device, name
