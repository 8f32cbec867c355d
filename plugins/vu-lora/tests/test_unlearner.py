"""Task negation on tiny pipelines: its losses, the batches they see, and the edit."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch.func import functional_call
from vu_lora import unlearner as module
from vu_lora.bargaining import nash_weights
from vu_lora.config import LoraNegationConfig, MunbaConfig
from vu_lora.unlearner import Denoising, LoraNegation, Munba
from vu_train.adapters import Adapters, layers_ending_in
from vu_train.latents import Batch
from vu_train.pictures import Example
from vu_train.texts import encode_texts

from vu_core.context import RunContext
from vu_core.edits import applied
from vu_core.interfaces import Data, Picture
from vu_core.types import Concept, Request

NAMES = ("cat", "dog", "fish")
SHORT = {"steps": 2, "batch_size": 2, "learning_rate": 1e-2, "schedule": "constant", "flip": False}
CAPTIONS = {"forget": ["a photo of a cat", "a cat"], "retain": ["a photo of a dog", "a fish", "a tree"]}


class Animals:
    """Three pictures of noise of each of three concepts."""

    def concepts(self):
        return [Concept(name=name) for name in NAMES]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other.name != concept.name]

    def prompts(self, concept):
        return [f"a photo of a {concept.text}"]

    def split(self, request):
        others = tuple(concept for concept in self.concepts() if concept not in request.forget)
        return Data(forget=request.forget, retain=others, dataset=self)

    def pictures(self, split):
        return [
            Picture(
                id=f"{name}-{number}",
                caption=f"a photo of a {name}",
                attributes={"object": name},
                load=partial(pixels, 3 * kind + number),
            )
            for kind, name in enumerate(NAMES)
            for number in range(3)
        ]


def pixels(seed):
    return torch.randint(0, 256, (3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture
def unlearn(model, tmp_path):
    def run(unlearner, config, out="run"):
        request = Request(forget=(Concept(name="cat"),))
        return unlearner.unlearn(model, request, Animals().split(request), config, RunContext(out_dir=tmp_path / out))

    return run


def batch_of(captions, seed):
    generator = torch.Generator().manual_seed(seed)
    latents, noise = (torch.randn(len(captions), 4, 8, 8, generator=generator) for _ in range(2))
    examples = tuple(
        Example(picture=Picture(id=f"{seed}-{i}", caption=caption, load=list), caption=caption, size=(16, 16))
        for i, caption in enumerate(captions)
    )
    timesteps = torch.randint(0, 1000, (len(captions),), generator=generator)
    return Batch(examples=examples, latents=latents, noise=noise, timesteps=timesteps)


def test_defect_3_losses_are_those_of_each_pictures_own_noise_and_timestep(model, pipes, family, tmp_path):
    unet = model.component("unet")
    generator = torch.Generator().manual_seed(0)
    adapters = Adapters(unet, layers_ending_in(unet, ["to_k", "to_v"]), rank=2, alpha=3, generator=generator)
    for low in adapters.layers.values():
        low.b.data.copy_(torch.randn(low.b.shape, generator=generator) / 4)
    batches = {name: batch_of(captions, seed) for seed, (name, captions) in enumerate(CAPTIONS.items())}
    texts = encode_texts(model, [c for captions in CAPTIONS.values() for c in captions], RunContext(out_dir=tmp_path))
    with adapters.attached():
        found = Denoising(model, adapters, {}, texts).losses(batches)
    pipe, alphas = pipes[family], levels()
    exact = copy.deepcopy(pipe.unet).double()
    weights = dict(exact.named_parameters())
    for path, low in adapters.layers.items():
        name = path.replace("/", ".") + ".weight"
        weights[name] = weights[name] + 1.5 * low.b.detach().double() @ low.a.detach().double()
    for name, batch in batches.items():
        level = alphas[batch.timesteps].view(-1, 1, 1, 1)
        latents, noise = batch.latents.double(), batch.noise.double()
        given = (level.sqrt() * latents + (1 - level).sqrt() * noise, batch.timesteps)
        states = pipe.encode_prompt(list(batch.captions), "cpu", 1, False)[0].double()
        with torch.no_grad():
            predicted = functional_call(exact, weights, given, {"encoder_hidden_states": states}).sample
        velocity = level.sqrt() * noise - (1 - level).sqrt() * latents
        wanted = (predicted - (velocity if family == "sd2" else noise)).pow(2).mean()
        assert found[name].item() == pytest.approx(wanted.item(), rel=1e-4)


def levels():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def test_the_edit_is_minus_what_was_learned(unlearn, monkeypatch):
    trained = []
    monkeypatch.setattr(module, "Adapters", lambda *a, **k: trained.append(Adapters(*a, **k)) or trained[-1])
    edit = unlearn(LoraNegation(), LoraNegationConfig(**SHORT, rank=2, alpha=1, strength=0.5))
    changed = 0
    for path, low in trained[0].layers.items():
        name = "unet." + path.replace("/", ".") + ".weight"
        learned = (0.5 * low.b.detach()) @ low.a.detach()
        found = edit.delta(name, torch.zeros(learned.shape))
        torch.testing.assert_close(found, -0.5 * learned)
        changed += int(found.any())
    assert changed == len(edit.parameters())


def test_what_is_subtracted_is_what_makes_the_model_better_at_the_pictures(model, unlearn):
    edit = unlearn(LoraNegation(), LoraNegationConfig(**{**SHORT, "steps": 40, "batch_size": 3}, retain_weight=0.0))
    pictures = [picture for picture in Animals().pictures("train") if picture.shows(Concept(name="cat"))]
    mean, _ = model.posterior(torch.stack([picture.read() for picture in pictures]))
    latents = mean.repeat(8, 1, 1, 1)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3))
    timesteps = torch.linspace(20, 980, len(latents)).long()
    encoding = model.encode(["a photo of a cat"] * len(latents))

    @torch.no_grad()
    def loss(*edits):
        with applied(model, edits):
            predicted = model.denoise(model.add_noise(latents, noise, timesteps), timesteps, encoding)
        return (predicted - model.target(latents, noise, timesteps)).square().mean().item()

    assert loss(edit.scaled(-1.0)) < 0.9 * loss()
    assert loss(edit) > loss(edit.scaled(-1.0))


@pytest.mark.parametrize("zero", [{"steps": 0}, {"strength": 0.0}])
@pytest.mark.parametrize(("unlearner", "config"), [(LoraNegation, LoraNegationConfig), (Munba, MunbaConfig)])
def test_no_step_or_no_strength_is_the_identity(unlearn, unlearner, config, zero):
    assert unlearn(unlearner(), config(**{**SHORT, **zero})).is_identity()


@pytest.mark.parametrize(("unlearner", "config"), [(LoraNegation, LoraNegationConfig), (Munba, MunbaConfig)])
def test_the_model_is_left_alone_and_the_seed_decides(model, unlearn, unlearner, config):
    unet = model.component("unet")
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    one, same = (unlearn(unlearner(), config(**SHORT), out=out).sha256() for out in ("a", "b"))
    assert one == same
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert not any(layer._forward_hooks for layer in unet.modules())


def test_defect_4_and_5_the_bargain_is_over_the_accumulated_gradients(unlearn, monkeypatch):
    grams = {}

    def run(parts):
        def noted(gram):
            grams.setdefault(parts, []).append(gram.clone())
            return nash_weights(gram)

        monkeypatch.setattr(module, "nash_weights", noted)
        return unlearn(Munba(), MunbaConfig(**{**SHORT, "batch_size": 4}, accumulation=parts), out=f"in{parts}")

    edits = {parts: run(parts) for parts in (1, 4)}
    assert [len(found) for found in grams.values()] == [2, 2]
    torch.testing.assert_close(grams[1][0], grams[4][0], rtol=1e-3, atol=1e-12)
    for gram in grams[4]:
        weights = torch.tensor(nash_weights(gram), dtype=torch.float64)
        torch.testing.assert_close(gram @ weights * weights, torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    flat = [torch.cat([t.flatten() for _, t in sorted(edit.tensors.items())]) for edit in edits.values()]
    assert (flat[0] - flat[1]).norm() < 1e-2 * flat[0].norm()


def test_without_retain_weight_no_retained_picture_is_encoded(unlearn):
    edit = unlearn(LoraNegation(), LoraNegationConfig(**SHORT, retain_weight=0.0))
    assert edit.info["pictures"] == {"forget": 3}
