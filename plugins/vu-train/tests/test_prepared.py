"""Latents and text states: what the pipeline itself computes, once, and gone from memory afterwards."""

from __future__ import annotations

import gc
import weakref
from collections import Counter

import pytest
import torch
from vu_train.latents import encode_pictures, latent_streams
from vu_train.loop import train
from vu_train.pictures import Example
from vu_train.settings import DataSettings, TrainSettings
from vu_train.store import TensorStore
from vu_train.texts import encode_texts

from vu_core import PluginError, RequestError
from vu_core.interfaces import Picture

CAPTIONS = ["a cat", "a dog in the sky", "a cat", "", "a red car"]


class Counting:
    """A model that counts the calls of its encoders."""

    def __init__(self, model):
        self.model, self.calls = model, Counter()

    def __getattr__(self, name):
        if name in ("posterior", "encode"):
            self.calls[name] += 1
        return getattr(self.model, name)


def examples(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    pictures = [Picture(id=f"p{i}", caption="a cat", load=lambda i=i: images[i]) for i in range(count)]
    return [Example(picture=picture, caption=picture.caption, size=(16, 16)) for picture in pictures]


def test_posteriors_are_computed_once_for_each_picture_by_content(model, ctx):
    counting = Counting(model)
    mean, std = encode_pictures(counting, examples(5), ctx)
    assert mean.shape == std.shape == (1, 5, 4, 8, 8) and counting.calls["posterior"] == 5
    again = encode_pictures(counting, list(reversed(examples(5))), ctx)
    assert counting.calls["posterior"] == 5
    assert torch.equal(again[0], mean.flip(1)) and torch.equal(again[1], std.flip(1))
    encode_pictures(counting, examples(5, seed=1), ctx)
    assert counting.calls["posterior"] == 10
    direct = model.component("vae").encode(examples(5)[2].read()[None].float() / 127.5 - 1).latent_dist
    scale = model.component("vae").config.scaling_factor
    torch.testing.assert_close(mean[0, 2], direct.mean[0] * scale)
    torch.testing.assert_close(std[0, 2], direct.std[0] * scale)


def test_another_vae_does_not_get_the_stored_posteriors(model, ctx):
    encode_pictures(model, examples(2), ctx)
    key = dict(model.posterior_key())
    changed = Counting(model)
    changed.posterior_key = lambda: {**key, "vae": "another"}
    encode_pictures(changed, examples(2), ctx)
    assert changed.calls["posterior"] == 2


def test_mirrored_pictures_are_encoded_not_their_latents_mirrored(model, ctx):
    mean, _ = encode_pictures(model, examples(3), ctx, flip=True)
    assert mean.shape == (2, 3, 4, 8, 8)
    expected = torch.stack([model.posterior(example.read().flip(-1)[None])[0][0] for example in examples(3)])
    assert torch.equal(mean[1], expected)
    assert not torch.allclose(mean[1], mean[0].flip(-1))


def test_text_states_are_computed_once_and_are_those_of_the_model(model, ctx):
    counting = Counting(model)
    texts = encode_texts(counting, CAPTIONS, ctx)
    again = encode_texts(counting, set(CAPTIONS), ctx)
    assert counting.calls["encode"] == 1
    asked = ["a dog in the sky", "a cat", "a cat"]
    expected = model.encode(asked)
    for found in (texts.of(asked), again.of(asked)):
        torch.testing.assert_close(found.states["text"], expected.states["text"])
        assert torch.equal(found.mask["text"], expected.mask["text"]) and found.first == expected.first
    with pytest.raises(PluginError, match="'a bird' was not given"):
        texts.of(["a bird"])


def test_encoders_leave_memory(model, ctx):
    encode_texts(model, CAPTIONS, ctx)
    encode_pictures(model, examples(1), ctx)
    held = [weakref.ref(model.component(name)) for name in ("vae", "text_encoder")]
    unet = model.component("unet")
    assert all(one() is not None for one in held)
    model.unload_encoders()
    gc.collect()
    assert [one() for one in held] == [None, None]
    assert model.component("unet") is unet


def test_streams_have_batch_sizes_of_their_own(model, ctx):
    pictures = {"forget": examples(3), "retain": examples(5, seed=1)}
    streams = latent_streams(model, pictures, DataSettings(batch_size=2, retain_batch_size=6), ctx)
    assert {name: (one.batch_size, len(one)) for name, one in streams.items()} == {"forget": (2, 3), "retain": (6, 5)}
    alike = latent_streams(model, {**pictures, "retain": ()}, DataSettings(batch_size=2), ctx)
    assert list(alike) == ["forget"]
    with pytest.raises(RequestError, match="no picture to train on"):
        latent_streams(model, {"forget": ()}, DataSettings(), ctx)


def test_a_denoiser_learns_from_prepared_pictures_and_the_model_is_left_alone(model, ctx):
    """The whole path on a real pipeline: pictures, latents, text states, steps, resumption."""
    before = {name: model.tensor("unet", name) for name in model.tensor_names("unet")}
    parts = model.component("unet").get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2.to_v")
    texts = encode_texts(model, ["a cat"], ctx)
    streams = latent_streams(model, {"forget": examples(2)}, DataSettings(batch_size=4), ctx)
    model.unload_encoders()

    class Task:
        def __init__(self):
            self.streams = streams
            self.parameters = {"change": torch.nn.Parameter(torch.zeros_like(parts.weight))}

        def losses(self, batches):
            batch = batches["forget"]
            noisy = model.add_noise(batch.latents, batch.noise, batch.timesteps)
            changed = parts.register_forward_hook(
                lambda module, inputs, output: output + inputs[0] @ self.parameters["change"].T
            )
            try:
                found = model.denoise(noisy, batch.timesteps, texts.of(batch.captions))
            finally:
                changed.remove()
            return {"noise": (found - model.target(batch.latents, batch.noise, batch.timesteps)).square().mean()}

    whole, stopped = Task(), Task()
    other = type(ctx)(out_dir=ctx.out_dir.parent / "other")
    train(whole, TrainSettings(steps=6, learning_rate=0.01), ctx)
    train(stopped, TrainSettings(steps=6, learning_rate=0.01, max_steps=2), other)
    resumed = Task()
    train(resumed, TrainSettings(steps=6, learning_rate=0.01), other)
    assert torch.equal(resumed.parameters["change"], whole.parameters["change"])
    every = {"forget": streams["forget"].take(range(100, 104))}
    with torch.no_grad():
        assert whole.losses(every)["noise"] < Task().losses(every)["noise"]
    state = model.component("unet").state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    assert all(one.grad is None for one in model.component("unet").parameters())


def test_the_store_tells_keys_apart_and_keeps_values(ctx):
    store, calls = TensorStore(ctx), []

    def compute(value):
        calls.append(value)
        return {"x": torch.full((2, 3), value).t()}

    for value in (1.0, 2.0, 1.0):
        found = store.get("mask", {"model": "m", "value": value}, lambda value=value: compute(value))
        assert torch.equal(found["x"], torch.full((3, 2), value))
    assert calls == [1.0, 2.0]
