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


@pytest.mark.parametrize("tokens", ["last", "aligned-tail"])
def test_plain_diffusers_loads_the_edit(pipe, model, unlearn, tmp_path, tokens):
    base = pictures(model)
    plain = raw_pictures(pipe)
    edit = unlearn(model, "cat", replace_with=["house"], tokens=tokens, form="lora", data=None, regularization=0.01)
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
