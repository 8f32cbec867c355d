"""FADE's losses and their gradients against a float64 computation of its own, on the three families."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.func import functional_call
from vu_fade.losses import SelfDistillation, denoising_losses
from vu_train.adapters import Adapters, layers_ending_in
from vu_train.latents import Batch
from vu_train.pictures import Example
from vu_train.texts import encode_texts

from vu_core.context import RunContext
from vu_core.interfaces import Picture

ATTENTION = ("to_k", "to_q", "to_v", "to_out.0")
FORGET = ["a photo of a cat", "a drawing of a cat"]
OVERWRITING = ["a photo of a dog", "a drawing of a fish"]
RETAIN = ["a photo of a tree", "a car", "a house"]


def batch_of(captions, seed):
    generator = torch.Generator().manual_seed(seed)
    latents, noise = (torch.randn(len(captions), 4, 8, 8, generator=generator) for _ in range(2))
    timesteps = torch.randint(0, 1000, (len(captions),), generator=generator)
    examples = tuple(
        Example(picture=Picture(id=f"{seed}-{i}", caption=caption, load=list), caption=caption, size=(16, 16))
        for i, caption in enumerate(captions)
    )
    return Batch(examples=examples, latents=latents, noise=noise, timesteps=timesteps)


@pytest.fixture
def setting(model_of, family, tmp_path):
    """A task with an adapter that does something, its batches, and the pipeline."""
    model = model_of(family)
    unet = model.component("unet")
    generator = torch.Generator().manual_seed(0)
    adapters = Adapters(unet, layers_ending_in(unet, ATTENTION), rank=2, alpha=1, generator=generator)
    for low in adapters.layers.values():
        low.b.data.copy_(torch.randn(low.b.shape, generator=generator) / 4)
    batches = {"forget": batch_of(FORGET, 1), "retain": batch_of(RETAIN, 2)}
    texts = encode_texts(model, [*FORGET, *OVERWRITING, *RETAIN], RunContext(out_dir=tmp_path))
    overwriting = dict(zip(batches["forget"].ids, OVERWRITING, strict=True))
    return SelfDistillation(model, adapters, {}, texts, overwriting), adapters, batches, model, texts


class Reference:
    """The published equations in float64, from the pipeline's parts and nothing of this project."""

    def __init__(self, pipe, adapters):
        self.pipe, self.unet = pipe, copy.deepcopy(pipe.unet).double()
        self.factors = {
            path.replace("/", "."): [parameter.detach().double().requires_grad_() for parameter in (low.a, low.b)]
            for path, low in adapters.layers.items()
        }
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self.alphas = (1 - betas).cumprod(0)

    def conditioning(self, captions):
        encoded = self.pipe.encode_prompt(
            list(captions), device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        if len(encoded) == 2:
            return {"encoder_hidden_states": encoded[0].double()}
        ids = torch.tensor([[16.0, 16, 0, 0, 16, 16]], dtype=torch.float64).expand(len(captions), -1)
        pooled = {"text_embeds": encoded[2].double(), "time_ids": ids}
        return {"encoder_hidden_states": encoded[0].double(), "added_cond_kwargs": pooled}

    def level(self, batch):
        return self.alphas[batch.timesteps].view(-1, 1, 1, 1)

    def noisy(self, batch):
        level = self.level(batch)
        return level.sqrt() * batch.latents.double() + (1 - level).sqrt() * batch.noise.double()

    def target(self, batch):
        level, latents, noise = self.level(batch), batch.latents.double(), batch.noise.double()
        velocity = level.sqrt() * noise - (1 - level).sqrt() * latents
        return velocity if self.pipe.scheduler.config.prediction_type == "v_prediction" else noise

    def predict(self, batch, captions, *, adapted, scale=0.5):
        weights = dict(self.unet.named_parameters())
        if adapted:
            for path, (a, b) in self.factors.items():
                weights[f"{path}.weight"] = weights[f"{path}.weight"] + scale * (b @ a)
        given = (self.noisy(batch), batch.timesteps)
        return functional_call(self.unet, weights, given, self.conditioning(captions)).sample

    def losses(self, batches):
        found = {}
        for name, teacher_reads in (("forget", OVERWRITING), ("retain", RETAIN)):
            batch = batches[name]
            taught = self.predict(batch, teacher_reads, adapted=False).detach()
            found[name] = (self.predict(batch, batch.captions, adapted=True) - taught).pow(2).mean()
        return found


def test_losses_and_gradients_are_the_published_ones(setting, pipes, family):
    task, adapters, batches, _, _ = setting
    reference = Reference(pipes[family], adapters)
    wanted = reference.losses(batches)
    with adapters.attached():
        found = task.losses(batches)
        (0.3 * found["forget"] + found["retain"]).backward()
    (0.3 * wanted["forget"] + wanted["retain"]).backward()
    for name in ("forget", "retain"):
        assert found[name].dtype == torch.float32 and found[name].item() > 1e-4
        assert found[name].item() == pytest.approx(wanted[name].item(), rel=1e-4)
    for path, low in adapters.layers.items():
        for parameter, exact in zip((low.a, low.b), reference.factors[path.replace("/", ".")], strict=True):
            difference = (parameter.grad.double() - exact.grad).norm()
            assert difference <= 1e-3 * exact.grad.norm() + 1e-9, path


def test_the_saliency_loss_is_the_denoising_loss_of_the_models_own_target(setting, pipes, family):
    _, adapters, batches, model, texts = setting
    reference, batch = Reference(pipes[family], adapters), batches["forget"]

    class Stream:
        def take(self, positions):
            assert positions == range(2)
            return batch

    (found,) = denoising_losses(model, Stream(), texts, [range(2)])
    wanted = (reference.predict(batch, FORGET, adapted=False) - reference.target(batch)).pow(2).mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_the_retain_loss_and_its_gradient_are_zero_at_the_start(setting):
    task, adapters, batches, _, _ = setting
    for low in adapters.layers.values():
        low.b.data.zero_()
    with adapters.attached():
        found = task.losses(batches)
        found["retain"].backward(retain_graph=True)
        assert found["retain"].item() == 0.0
        assert not any(parameter.grad.any() for parameter in adapters.layers.parameters())
        found["forget"].backward()
    assert any(parameter.grad.any() for parameter in adapters.layers.parameters())


def test_a_step_calls_the_denoiser_twice_and_no_encoder(setting, monkeypatch):
    task, adapters, batches, model, _ = setting
    calls = []
    for name in ("unet", "text_encoder", "vae"):
        part = model.component(name)
        monkeypatch.setattr(part, "forward", lambda *a, _n=name, _f=part.forward, **k: calls.append(_n) or _f(*a, **k))
    with adapters.attached():
        task.losses(batches)
    assert calls == ["unet", "unet"]


def test_the_teacher_needs_no_gradient(setting):
    task, adapters, batches, model, _ = setting
    states = []
    unet = model.component("unet")
    handle = unet.register_forward_hook(lambda *_: states.append((torch.is_grad_enabled(), adapters.strength)))
    with adapters.attached():
        task.losses(batches)
    handle.remove()
    assert states == [(False, 0.0), (True, 1.0)]
