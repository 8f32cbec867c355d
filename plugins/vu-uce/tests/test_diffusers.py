"""The edit on pipelines, and the file that plain diffusers loads; skipped without vu-diffusers."""

from __future__ import annotations

import pytest
import torch

from vu_core.editfiles import LORA_FILE, write_edit
from vu_core.testing.pipelines import build_pipeline
from vu_core.types import SamplerSettings


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def pipe(request):
    pytest.importorskip("peft")
    return build_pipeline(family=request.param)


@pytest.fixture
def model(pipe):
    return pytest.importorskip("vu_diffusers.model").adopt(pipe)


def pictures(model):
    settings = SamplerSettings(steps=3, guidance_scale=4.0, micro_batch=1)
    return torch.stack(list(model.sample(["a photo of a cat"], [7], settings)))


def raw_pictures(pipe):
    noise = torch.Generator().manual_seed(7)
    with torch.no_grad():
        drawn = pipe("a photo of a cat", num_inference_steps=3, guidance_scale=4.0, generator=noise, output_type="np")
    return torch.from_numpy(drawn.images)


@pytest.mark.parametrize(("tokens", "sites"), [("last", "key-value"), ("aligned-tail", "key-value"), ("last", "all")])
def test_plain_diffusers_loads_the_edit(pipe, model, unlearn, tmp_path, tokens, sites):
    base = pictures(model)
    plain = raw_pictures(pipe)
    options = {"tokens": tokens, "sites": sites, "form": "lora", "regularization": 0.01}
    edit = unlearn(model, "cat", replace_with=["house"], data=None, **options)
    with edit.applied(model):
        applied, ours = pictures(model), raw_pictures(pipe)
    assert torch.equal(pictures(model), base)

    write_edit(edit, tmp_path / LORA_FILE)
    pipe.load_lora_weights(tmp_path, weight_name=LORA_FILE, adapter_name="forget")
    theirs = raw_pictures(pipe)
    pipe.set_adapters("forget", adapter_weights=0.0)
    switched_off = raw_pictures(pipe)
    pipe.unload_lora_weights()

    assert (ours - plain).abs().max() > 2e-3 and not torch.equal(applied, base)
    assert (theirs - ours).abs().max() < 1e-4
    assert torch.equal(switched_off, plain) and torch.equal(raw_pictures(pipe), plain)


def test_all_sites_of_sdxl_include_its_pooled_text(unlearn):
    pipe = build_pipeline(family="sdxl")
    model = pytest.importorskip("vu_diffusers.model").adopt(pipe)
    edit = unlearn(model, "cat", replace_with=["house"], sites="all", data=None, regularization=1e-6)
    assert edit.info["ranks"] == {"text": 1, "pooled": 1}
    cat, house = model.encode(["cat", "house"]).states["pooled"][:, 0]
    layer = pipe.unet.add_embedding.linear_1

    def outputs(pooled):
        sizes = torch.ones(layer.in_features - len(pooled))
        return layer(torch.cat([pooled, sizes])).detach()

    before, wanted = outputs(cat), outputs(house)
    with edit.applied(model):
        after = outputs(cat)
    assert (before - wanted).norm() > 0.1 and (after - wanted).norm() < 1e-3 * (before - wanted).norm()
    assert set(unlearn(model, "cat", data=None).info["ranks"]) == {"text"}
