"""Checks of models: each passes a good one and fails a bad one, saying why."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from vu_core import ModelSpec
from vu_core.testing import CheckError, Component, FakeClassifier, FakeTextToImage
from vu_core.testing.checks import models

TEXT_TO_IMAGE = ("TensorSource", "HasSites", "Encodes", "Denoises", "Diffuses", "Samples")


class Guessing(FakeTextToImage):
    prediction_type = "noise"


class Unsteady(FakeTextToImage):
    def fingerprint(self):
        return f"{time.perf_counter_ns():064x}"


class Named(FakeTextToImage):
    def fingerprint(self):
        return self.name


class Siteless(FakeTextToImage):
    def sites(self):
        return []


def resited(name: str, **changes: Any) -> type:
    """Return a model whose first site is changed."""

    def sites(self):
        first, *others = FakeTextToImage.sites(self)
        return [replace(first, **changes), *others]

    return type(name, (FakeTextToImage,), {"sites": sites})


class Twice(FakeTextToImage):
    def sites(self):
        return [*super().sites(), *super().sites()]


class Unlike(FakeTextToImage):
    def tensor(self, component, name):
        return super().tensor(component, name) + 1


class Training(FakeTextToImage):
    def component(self, name):
        return super().component(name).train()


class Unlisted(FakeTextToImage):
    def tensor_names(self, component):
        return []


class Sociable(FakeTextToImage):
    def encode(self, prompts):
        found = super().encode(prompts)
        return replace(found, states={stream: states * len(prompts) for stream, states in found.states.items()})


class Maskless(FakeTextToImage):
    def encode(self, prompts):
        found = super().encode(prompts)
        return replace(found, mask={stream: mask.float() for stream, mask in found.mask.items()})


class Hashless(FakeTextToImage):
    def encoders(self):
        return {"text_encoder": "1"}


class Grouped(FakeTextToImage):
    def sample(self, prompts, seeds, settings):
        for picture in super().sample(prompts, seeds, settings):
            yield picture // len(prompts)


class Floating(FakeTextToImage):
    def sample(self, prompts, seeds, settings):
        for picture in super().sample(prompts, seeds, settings):
            yield picture / 255


class Greedy(FakeTextToImage):
    def sample(self, prompts, seeds, settings):
        torch.rand(1)
        return super().sample(prompts, seeds, settings)


class Unwritable(FakeTextToImage):
    def sampling_key(self, settings):
        return {"settings": settings}


class Timed(FakeTextToImage):
    def sampling_key(self, settings):
        return {"time": time.perf_counter_ns()}


class Vague(FakeTextToImage):
    def sampling_key(self, settings):
        return {"model": "fake"}


class Wide(FakeTextToImage):
    def posterior(self, images):
        return tuple(values.double() for values in super().posterior(images))


class Standardising(FakeTextToImage):
    def posterior(self, images):
        mean, std = super().posterior(images)
        return mean - mean.mean(dim=0), std


class Overflowing(FakeTextToImage):
    def posterior(self, images):
        return tuple(values / 0 for values in super().posterior(images))


class Forgetful(FakeTextToImage):
    unloaded = 0

    def unload_encoders(self):
        self.unloaded += 1

    def posterior(self, images):
        return tuple(values + self.unloaded for values in super().posterior(images))


class Keyless(FakeTextToImage):
    def posterior_key(self):
        return {"vae": object()}


class Backward(FakeTextToImage):
    def add_noise(self, latents, noise, timesteps):
        return super().add_noise(latents, noise, self.training_timesteps - 1 - timesteps)


class Pooling(FakeTextToImage):
    def target(self, latents, noise, timesteps):
        return noise.mean(dim=(2, 3))


class Relative(FakeClassifier):
    def classify(self, images):
        answers = super().classify(images)
        return replace(answers, logits=answers.logits - answers.logits.mean(dim=0))


class Flat(FakeClassifier):
    def classify(self, images):
        return super().classify(images).at(0)


class Bare(FakeClassifier):
    def classify(self, images):
        return super().classify(images).logits


class Twins(FakeClassifier):
    classes = ("cat", "cat", "dog", "fox", "car", "house")


class Mistitled(FakeClassifier):
    def classify(self, images):
        return replace(super().classify(images), kind="style")


class Outside(FakeClassifier):
    def classify(self, images):
        return super().classify(images - 0.5)


class Overlooked(FakeClassifier):
    def tensor_names(self, component):
        return super().tensor_names(component)[1:]


class Altered(FakeClassifier):
    def tensor(self, component, name):
        return super().tensor(component, name) + 1


class Learning(FakeClassifier):
    def component(self, name):
        return super().component(name).train()


class Forgiving(FakeClassifier):
    def fresh(self, seed):
        torch.manual_seed(seed)
        return super().fresh(seed)


class Constant(FakeClassifier):
    def fresh(self, seed):
        return super().fresh(0)


class Restless(FakeClassifier):
    def fresh(self, seed):
        return super().fresh(time.perf_counter_ns() % 2**31)


class Wider(FakeClassifier):
    def fresh(self, seed):
        return super().fresh(seed)[: 2 if hasattr(self, "stored") else None]


class Secretive(FakeClassifier):
    def recipe(self):
        return {}


class Objective(FakeClassifier):
    def recipe(self):
        return {"optimizer": torch.optim.SGD}


BAD: list[tuple[Any, type, str]] = [
    (models.check_capabilities, FakeClassifier, "HasSites: it has no method 'sites'"),
    (models.check_capabilities, Guessing, "its prediction_type is 'noise'"),
    (models.check_fingerprint, Unsteady, "loaded twice, it has two fingerprints"),
    (models.check_fingerprint, Named, "the fingerprint is 'fake-0'"),
    (models.check_sites, Siteless, "sites() is empty"),
    (models.check_sites, resited("Misshapen", shape=(16, 31)), "is (16, 32), its site says (16, 31)"),
    (models.check_sites, resited("Biased", bias=True), "has no bias, its site says otherwise"),
    (models.check_sites, resited("Astray", path="absent"), "there is no parameter 'unet.absent.weight'"),
    (models.check_sites, Twice, "a site is listed twice"),
    (models.check_tensors, Unlike, "as stored is not what the module computes with"),
    (models.check_tensors, Training, "component 'unet' is in train mode"),
    (models.check_tensors, Unlisted, "tensor_names lacks 'unet."),
    (models.check_encodings, Sociable, "when others are encoded with it"),
    (models.check_encodings, Maskless, "the mask of 'text' is torch.float32"),
    (models.check_encodings, Hashless, "encoders() returns {'text_encoder': '1'}"),
    (models.check_streams, resited("Unfed", stream="text_2"), "reads 32 columns of 'text_2', which has 0"),
    (models.check_streams, resited("Narrow", columns=(0, 5)), "reads 5 columns of 'text', which has 32"),
    (models.check_posteriors, Wide, "the mean of 2 pictures' latents is torch.float64"),
    (models.check_posteriors, Standardising, "encoded alone, the mean of latents differs"),
    (models.check_posteriors, Overflowing, "the mean of latents is not finite"),
    (models.check_posteriors, Forgetful, "after unload_encoders, the mean of latents is another"),
    (models.check_posteriors, Keyless, "the posterior key cannot be written as JSON"),
    (models.check_noise, Backward, "at the first timestep"),
    (models.check_noise, Pooling, "target of latents (2, 3, 8, 8) is (2, 3)"),
    (models.check_pictures, Grouped, "drawn alone differs"),
    (models.check_pictures, Floating, "a picture is torch.float32 (3, 8, 8)"),
    (models.check_pictures, Greedy, "sampling changes torch's random state"),
    (models.check_sampling_key, Unwritable, "cannot be written as JSON"),
    (models.check_sampling_key, Timed, "differs from one call to the next"),
    (models.check_sampling_key, Vague, "does not tell one more step"),
    (models.check_answers, Relative, "judged alone, logits differ by"),
    (models.check_answers, Flat, "logits of 3 pictures are torch.float32 (6,)"),
    (models.check_answers, Bare, "classify returns a Tensor"),
    (models.check_answers, Twins, "its classes are ['cat', 'cat',"),
    (models.check_answers, Mistitled, "answers are of style"),
    (models.check_answers, Outside, "its component 'classifier' gives logits that differ by"),
    (models.check_stored, Overlooked, "is stored or used, but not both"),
    (models.check_stored, Altered, "as stored is not what the module computes with"),
    (models.check_stored, Learning, "component 'classifier' is in train mode"),
    (models.check_fresh, Forgiving, "fresh changes torch's random state"),
    (models.check_fresh, Constant, "two seeds give one fresh component"),
    (models.check_fresh, Restless, "one seed gives two fresh components"),
    (models.check_fresh, Wider, "has other tensors than the trained one"),
    (models.check_fresh, Secretive, "the recipe is empty"),
    (models.check_fresh, Objective, "the recipe cannot be written as JSON"),
]


@pytest.fixture(autouse=True)
def _no_pipeline_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "_pipeline_folder", lambda: tmp_path)


def loader(model: type, **fields: Any) -> Component:
    named = {"name": "fakes", "summary": "Loads fakes.", "target": "a:B", "marker": models.PIPELINE_MARKER}
    spec = ModelSpec(**{**named, "capabilities": TEXT_TO_IMAGE, **fields})
    return Component(spec=spec, load=lambda: lambda source, **options: model())


def classifier(model: type = FakeClassifier) -> Component:
    return loader(model, family="classifier", capabilities=("TensorSource", "Classifies", "Retrains"))


@pytest.mark.parametrize("good", [loader(FakeTextToImage), classifier()], ids=lambda good: good.spec.family)
def test_a_good_model_passes(good):
    fitting = [check for check in models.CHECKS if check.fits(good)]
    assert len(fitting) == (5 if good.spec.family == "classifier" else 10)
    for check in fitting:
        check.function(good)


@pytest.mark.parametrize(("check", "model", "problem"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_model_fails(check, model, problem):
    with pytest.raises(CheckError) as raised:
        check(loader(model))
    assert problem in raised.value.problem
    assert raised.value.fix


def test_the_family_is_that_of_the_spec():
    with pytest.raises(CheckError, match="it is a text-to-image model, the spec says classifier"):
        models.check_capabilities(loader(FakeTextToImage, family="classifier"))


def test_a_loader_of_another_format_is_not_tried():
    assert not [check for check in models.CHECKS if check.fits(loader(FakeTextToImage, marker="model.onnx"))]


def test_every_check_has_a_bad_fake():
    assert {check.function for check in models.CHECKS} == {check for check, _, _ in BAD}
