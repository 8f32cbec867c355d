"""The embedded model on its own art: prepared pictures are what its denoiser was trained on."""

from __future__ import annotations

import pytest
import torch
from vu_train.latents import latent_streams
from vu_train.pictures import load_pictures
from vu_train.settings import DataSettings
from vu_train.texts import encode_texts

from vu_core import Concept, Request
from vu_core.models import load, plan_model
from vu_core.registry import Registry

pytestmark = pytest.mark.embedded


@pytest.fixture
def embedded():
    pytest.importorskip("vu_emoji", reason="the embedded model comes with vu-emoji")
    return load(plan_model("", Registry.discover()), device="cpu", dtype="float32", download=False, revision="")


def test_the_denoiser_predicts_the_target_on_its_art_given_the_caption(embedded, ctx):
    from vu_emoji.dataset import EmojiDataset

    cat = Concept(name="cat")
    request = Request(forget=(cat,), retain=(Concept(name="dog"),))
    data = EmojiDataset().split(request)
    settings = DataSettings(pictures_each=6, batch_size=12)
    pictures = load_pictures(embedded, request, data, settings, ctx)
    assert {name: len(examples) for name, examples in pictures.items()} == {"forget": 6, "retain": 6}
    stream = latent_streams(embedded, pictures, settings, ctx)["forget"]
    batch = stream.take(range(24))
    # Over all of the art, each channel has mean 0 and variance 1; and its means are what the denoiser learned from.
    assert batch.latents.mean().abs() < 0.2 and 0.8 < batch.latents.std() < 1.2
    assert torch.equal(batch.latents[0], embedded.posterior(batch.examples[0].read()[None])[0][0])
    texts = encode_texts(embedded, [*batch.captions, "a house"], ctx)
    timesteps = torch.full_like(batch.timesteps, 700)
    noisy = embedded.add_noise(batch.latents, batch.noise, timesteps)
    target = embedded.target(batch.latents, batch.noise, timesteps)
    with torch.no_grad():
        own = embedded.denoise(noisy, timesteps, texts.of(batch.captions))
        other = embedded.denoise(noisy, timesteps, texts.of(["a house"] * len(batch.ids)))
    explained = 1 - (own - target).square().mean() / target.var()
    assert explained > 0.8
    assert (own - target).square().mean() < 0.8 * (other - target).square().mean()
