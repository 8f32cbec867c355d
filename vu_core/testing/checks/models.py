"""What every model keeps: that which its capabilities promise.

A named model is checked on the folder that it brings, a loader on a tiny pipeline written for the purpose, or on a
tiny model that its own trainer makes.
"""

from __future__ import annotations

import atexit
import io
import json
import re
import shutil
import tempfile
from contextlib import redirect_stderr
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from vu_core.errors import VuError
from vu_core.interfaces import CAPABILITIES, Answers, Model
from vu_core.models import load, plan_model
from vu_core.registry import Entry
from vu_core.specs import DatasetSpec
from vu_core.testing.cases import Check, CheckError, Component, expect
from vu_core.testing.checks.spec import example_config
from vu_core.testing.fake_data import FakeDataset
from vu_core.testing.signatures import signature_problems
from vu_core.testing.watch import changed, global_state
from vu_core.training import TrainingPlan, train_model

PIPELINE_MARKER = "model_index.json"
CLASSIFIER = "classifier"
PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROMPTS = ("a cat", "a picture of a dog in the rain", "house")
_ATTRIBUTES = ("name", "family", "device", "dtype")
_TOLERANCE = 1e-4
_READ = 8
_FAKE = DatasetSpec(name="fake", summary="Noise.", target="vu_core.testing.fake_data:FakeDataset", kinds=("object",))
_trained: dict[str, Path] = {}


def check_capabilities(component: Component) -> None:
    """The loaded model has the methods of every capability that its spec promises, with their signatures."""
    model, spec = _model(component), component.spec
    fix = "The signatures are in vu_core/interfaces.py; promise only what the model offers."
    problems = signature_problems(model, Model)
    problems += [f"it has no '{name}'" for name in _ATTRIBUTES if not isinstance(getattr(model, name, None), str)]
    for capability in spec.capabilities:
        found = signature_problems(model, CAPABILITIES[capability])
        problems += [f"{capability}: {problem}" for problem in found]
    expect(not problems, "; ".join(problems), fix)
    expect(model.family == spec.family, f"it is a {model.family} model, the spec says {spec.family}", fix)
    if "Denoises" in spec.capabilities:
        kind = model.prediction_type
        expect(kind in PREDICTIONS, f"its prediction_type is '{kind}'", f"Use one of: {', '.join(PREDICTIONS)}.")


def check_fingerprint(component: Component) -> None:
    """The fingerprint is a sha256, the same each time the model is loaded."""
    one, other = _model(component).fingerprint(), _model(component).fingerprint()
    fix = "Hash the content of all files that decide the output, not their names, times or place."
    expect(isinstance(one, str) and bool(_SHA256.fullmatch(one)), f"the fingerprint is {one!r}", fix)
    expect(one == other, "loaded twice, it has two fingerprints", fix)


def check_sites(component: Component) -> None:
    """Every site is a weight that the model has, of the shape and with the bias that the site says."""
    model = _model(component)
    sites = list(model.sites())
    expect(bool(sites), "sites() is empty", "Return every linear layer that reads text, or drop HasSites.")
    names = [(site.component, site.path) for site in sites]
    expect(len(set(names)) == len(names), "a site is listed twice", "List each layer once.")
    fix = "Take shape and bias of a site from the weights."
    for site in sites:
        module = model.component(site.component)
        tensors = dict(module.named_parameters())
        where = f"{site.component}.{site.path}"
        expect(site.parameter in tensors, f"there is no parameter '{site.component}.{site.parameter}'", fix)
        shape = tuple(tensors[site.parameter].shape[:2])
        expect(shape == tuple(site.shape), f"'{where}' is {shape}, its site says {tuple(site.shape)}", fix)
        biased = f"{site.path}.bias" in tensors
        expect(biased == site.bias, f"'{where}' has {'a' if biased else 'no'} bias, its site says otherwise", fix)


def check_tensors(component: Component) -> None:
    """Stored tensors can be read by name, on the CPU, and are what the modules compute with."""
    import torch

    model = _model(component)
    for site in list(model.sites())[:_READ]:
        where = f"{site.component}.{site.parameter}"
        fix = "tensor_names and tensor use the names of the module's own parameters."
        expect(site.parameter in model.tensor_names(site.component), f"tensor_names lacks '{where}'", fix)
        stored = model.tensor(site.component, site.parameter)
        expect(stored.device.type == "cpu", f"'{where}' is read to {stored.device}", "Return it on the CPU.")
        used = model.component(site.component).get_parameter(site.parameter)
        same = stored.shape == used.shape and torch.equal(stored.to(used.dtype), used.cpu())
        expect(same, f"'{where}' as stored is not what the module computes with", fix)
    for name in {site.component for site in model.sites()}:
        training = model.component(name).training
        expect(not training, f"component '{name}' is in train mode", "Call eval() when it is loaded.")


def check_encodings(component: Component) -> None:
    """Text states, masks and first tokens fit each other, and a prompt's do not depend on its companions."""
    model = _model(component)
    fix = "See Encoding in vu_core/interfaces.py."
    together, alone = model.encode(_PROMPTS), model.encode(_PROMPTS[:1])
    streams = together.states.keys()
    same = streams == together.mask.keys() == together.first.keys()
    expect(bool(streams) and same, "states, mask and first have different streams", fix)
    for stream, states in together.states.items():
        mask = together.mask[stream]
        form = f"states of '{stream}' are {states.dtype} {tuple(states.shape)} on {states.device}"
        right = states.ndim == 3 and len(states) == len(_PROMPTS) and str(states.dtype) == "torch.float32"
        expect(right and states.device.type == "cpu", form, fix)
        form = f"the mask of '{stream}' is {mask.dtype} {tuple(mask.shape)}"
        expect(str(mask.dtype) == "torch.bool" and mask.shape == states.shape[:2], form, fix)
        expect(bool(states.isfinite().all()), f"states of '{stream}' are not finite", fix)
        difference = float((states[:1] - alone.states[stream]).abs().max())
        problem = f"a prompt's states in '{stream}' differ by {difference:.2g} when others are encoded with it"
        expect(difference <= _TOLERANCE, problem, "Pad every prompt to one length, and mask the padding.")
    shas = model.encoders()
    right = bool(shas) and all(_SHA256.fullmatch(sha) for sha in shas.values()) and shas == model.encoders()
    expect(right, f"encoders() returns {dict(shas)!r}", "Return a sha256 for each text encoder.")


def check_streams(component: Component) -> None:
    """Every site reads a stream that the text encoder gives, of the width of its weight."""
    model = _model(component)
    states = model.encode(_PROMPTS[:1]).states
    fix = "Correct the stream or the columns of the site."
    for site in model.sites():
        first, end = site.columns or (0, site.shape[1])
        width = states[site.stream].shape[2] if site.stream in states else 0
        problem = f"'{site.path}' reads {end - first} columns of '{site.stream}', which has {width}"
        expect(end - first == width, problem, fix)


def check_posteriors(component: Component) -> None:
    """Latents of pictures are finite, depend on nothing but their picture, and can be had again after unloading."""
    import torch

    model = _model(component)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *model.picture_size), generator=generator, dtype=torch.uint8)
    together, alone = model.posterior(images), model.posterior(images[:1])
    model.unload_encoders()
    again = model.posterior(images)
    fix = (
        "Return mean and standard deviation, float32 (N, C, h, w), on the CPU; encode in eval mode, without gradients."
    )
    for name, values, single, later in zip(("mean", "deviation"), together, alone, again, strict=True):
        form = f"the {name} of 2 pictures' latents is {values.dtype} {tuple(values.shape)} on {values.device}"
        right = values.dtype == torch.float32 and values.ndim == 4 and len(values) == 2 and values.device.type == "cpu"
        expect(right and not values.requires_grad, form, fix)
        expect(bool(values.isfinite().all()), f"the {name} of latents is not finite", fix)
        difference = float((values[:1] - single).abs().max())
        expect(difference <= _TOLERANCE, f"encoded alone, the {name} of latents differs by {difference:.2g}", fix)
        same = torch.equal(values, later)
        expect(same, f"after unload_encoders, the {name} of latents is another", "Load again what was unloaded.")
    try:
        json.dumps(model.posterior_key(), allow_nan=False)
    except (TypeError, ValueError) as error:
        fix = "Put everything that decides latents into posterior_key, as numbers, texts, lists and tables."
        raise CheckError(f"the posterior key cannot be written as JSON: {error}", fix) from error


def check_noise(component: Component) -> None:
    """Noise added at the first timestep leaves most of the latents, at the last one little; targets are their like."""
    import torch

    model = _model(component)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 3, *model.picture_size), generator=generator, dtype=torch.uint8)
    shape = (2, *model.posterior(images)[0].shape[1:])
    latents, noise = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    timesteps = torch.tensor([0, model.training_timesteps - 1])
    noisy = model.add_noise(latents, noise, timesteps)
    target = model.target(latents, noise, timesteps)
    fix = "Follow the schedule that the denoiser was trained with; timesteps are integers in [0, training_timesteps)."
    for name, values in (("add_noise", noisy), ("target", target)):
        right = values.shape == latents.shape and bool(values.isfinite().all())
        expect(right, f"{name} of latents {tuple(latents.shape)} is {tuple(values.shape)}, or not finite", fix)
    first, last = (torch.cosine_similarity(noisy[i].flatten(), latents[i].flatten(), dim=0) for i in (0, 1))
    shares = f"the cosine of latents and noisy latents is {first:.2f} at the first timestep, {last:.2f} at the last"
    expect(bool(first > 0.9 and last < 0.5), shares, fix)


def check_pictures(component: Component) -> None:
    """Pictures are uint8, and a picture is bit for bit the same whatever it is drawn with; global state is kept."""
    import torch

    model = _model(component)
    settings = replace(model.default_settings(), steps=1, micro_batch=2)
    before = global_state()
    together = list(model.sample(_PROMPTS, [1, 2, 3], settings))
    alone = list(model.sample(_PROMPTS[-1:], [3], settings))
    different = changed(before, global_state())
    expect(not different, f"sampling changes {', '.join(different)}", "Use generators of your own.")
    expect(len(together) == len(_PROMPTS), f"{len(together)} pictures of 3 prompts", "Yield one a prompt, in order.")
    for picture in together:
        form = f"a picture is {picture.dtype} {tuple(picture.shape)}"
        right = picture.dtype == torch.uint8 and picture.ndim == 3 and picture.shape[0] == 3
        expect(right, form, "Yield uint8 (3, H, W) RGB on the CPU.")
    same = torch.equal(together[-1], alone[0])
    fix = "Give each picture a generator of its own, and fill the last micro-batch up to full size."
    expect(same, "a picture drawn alone differs from the same one drawn with others", fix)


def check_sampling_key(component: Component) -> None:
    """The sampling key is JSON, the same again, and another for other settings."""
    model = _model(component)
    settings = model.default_settings()
    fix = "Put everything that decides a picture into sampling_key, as numbers, texts, lists and tables."
    try:
        one, again, other = (
            json.dumps(model.sampling_key(each), sort_keys=True, allow_nan=False)
            for each in (settings, settings, replace(settings, steps=settings.steps + 1))
        )
    except (TypeError, ValueError) as error:
        raise CheckError(f"the sampling key cannot be written as JSON: {error}", fix) from error
    expect(one == again, "the sampling key differs from one call to the next", fix)
    expect(one != other, "the sampling key does not tell one more step", fix)


def check_answers(component: Component) -> None:
    """A classifier's answers: finite logits of its classes, and features; a picture's depend on no other picture."""
    import torch

    model = _model(component)
    names = list(model.classes)
    expect(len(names) > 1 and len(set(names)) == len(names), f"its classes are {names}", "Give each a name of its own.")
    images = torch.rand(3, 3, *model.picture_size, generator=torch.Generator().manual_seed(0))
    together, alone = model.classify(images), model.classify(images[:1])
    expect(isinstance(together, Answers), f"classify returns a {type(together).__name__}", "Return vu_core.Answers.")
    same = (together.kind, list(together.names)) == (model.kind, names)
    expect(same, f"answers are of {together.kind}: {list(together.names)}", "Name the model's kind and classes there.")
    fix = "Return finite float32 on the CPU without gradients: logits (N, C), features (N, d)."
    for what, found, width in (("logits", together.logits, len(names)), ("features", together.features, None)):
        form = f"{what} of 3 pictures are {found.dtype} {tuple(found.shape)} on {found.device}"
        right = found.ndim == 2 and len(found) == 3 and width in (None, found.shape[1])
        expect(right and found.dtype == torch.float32 and found.device.type == "cpu", form, fix)
        expect(
            bool(found.isfinite().all()) and not found.requires_grad, f"{what} are not finite, or have gradients", fix
        )
        difference = float((found[:1] - getattr(alone, what)).abs().max())
        expect(difference <= _TOLERANCE, f"judged alone, {what} differ by {difference:.2g}", "Put it into eval mode.")
    with torch.no_grad():
        difference = float((model.component(CLASSIFIER)(images) - together.logits).abs().max())
    fix = "Normalise pixels inside the component: both read RGB in [0, 1]."
    expect(difference <= _TOLERANCE, f"its component '{CLASSIFIER}' gives logits that differ by {difference:.2g}", fix)


def check_stored(component: Component) -> None:
    """A classifier's stored tensors are what its component computes with, each parameter and buffer by its name."""
    import torch

    model = _model(component)
    used = model.component(CLASSIFIER).state_dict()
    fix = "tensor_names and tensor use the names of the component's own parameters and buffers."
    different = sorted({*used} ^ {*model.tensor_names(CLASSIFIER)})
    expect(not different, f"'{CLASSIFIER}.{''.join(different[:1])}' is stored or used, but not both", fix)
    for name in list(used)[:_READ]:
        stored = model.tensor(CLASSIFIER, name)
        expect(
            stored.device.type == "cpu", f"'{CLASSIFIER}.{name}' is read to {stored.device}", "Return it on the CPU."
        )
        same = stored.shape == used[name].shape and torch.equal(stored.to(used[name].dtype), used[name].cpu())
        expect(same, f"'{CLASSIFIER}.{name}' as stored is not what the module computes with", fix)
    training = any(part.training for part in model.component(CLASSIFIER).modules())
    expect(not training, f"component '{CLASSIFIER}' is in train mode", "Call eval() when it is loaded.")


def check_fresh(component: Component) -> None:
    """A classifier begins again as the seed says, with tensors of the trained one's shapes, and tells its recipe."""
    import torch

    model = _model(component)
    before = global_state()
    one, again, other = (model.fresh(seed).state_dict() for seed in (1, 1, 2))
    left = changed(before, global_state())
    expect(
        not left, f"fresh changes {', '.join(left)}", "Draw weights from generators of your own, or put states back."
    )
    shapes = {name: tensor.shape for name, tensor in model.component(CLASSIFIER).state_dict().items()}
    found = {name: tensor.shape for name, tensor in one.items()}
    expect(found == shapes, "a fresh component has other tensors than the trained one", "Build the same architecture.")
    fix = "Let the seed decide every random weight, and nothing else."
    expect(all(torch.equal(one[name], again[name]) for name in one), "one seed gives two fresh components", fix)
    expect(any(not torch.equal(one[name], other[name]) for name in one), "two seeds give one fresh component", fix)
    try:
        recipe = json.dumps(dict(model.recipe()), allow_nan=False)
    except (TypeError, ValueError) as error:
        fix = "Return the settings by name, as numbers, texts, lists and tables."
        raise CheckError(f"the recipe cannot be written as JSON: {error}", fix) from error
    expect(recipe != "{}", "the recipe is empty", "Return the settings that it was trained with, by name.")


def _model(component: Component) -> Any:
    """Return the model on the CPU, freshly loaded."""
    try:
        if component.spec.folder:
            plan = plan_model(f"{component.plugin}:{component.spec.name}", component.registry)
            return load(plan, device="cpu", dtype="float32", download=False, revision="")
        folder = _trained_folder(component) if component.spec.trainer else _pipeline_folder()
        return component.load()(str(folder), device="cpu", dtype="float32", download=False, revision=None)
    except VuError as error:
        raise CheckError(error.message, error.hint or "Correct the spec or the folder.") from error


@cache
def _pipeline_folder() -> Path:
    """Return a tiny pipeline in diffusers' format, written once a process."""
    from vu_core.testing.pipelines import write_pipeline

    folder = Path(tempfile.mkdtemp(prefix="vu-check-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # The libraries that write it draw progress bars and give advice.
    with redirect_stderr(io.StringIO()):
        return write_pipeline(folder)


def _trained_folder(component: Component) -> Path:
    """Return a folder that the loader's own trainer wrote, of a few tiny pictures, once a process."""
    key = component.spec.trainer
    if key not in _trained:
        folder = Path(tempfile.mkdtemp(prefix="vu-check-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        plan = TrainingPlan(
            loader=Entry(spec=component.spec, plugin=component.plugin, version=""),
            dataset=Entry(spec=_FAKE, plugin="vu-core", version=""),
            data={},
            pictures=FakeDataset(),
            config=example_config(component),
            seed=0,
            device="cpu",
        )
        train_model(plan, folder)
        _trained[key] = folder
    return _trained[key]


def _offers(*capabilities: str) -> Any:
    """Return the condition that a model promises these capabilities and can be loaded by the kit."""

    def holds(component: Component) -> bool:
        spec = component.spec
        loads = spec.folder or spec.trainer or spec.marker == PIPELINE_MARKER
        return bool(loads) and {*capabilities} <= {*spec.capabilities}

    return holds


_check = partial(Check, subject="model")

CHECKS = (
    _check(check_capabilities, when=_offers()),
    _check(check_fingerprint, when=_offers()),
    _check(check_sites, when=_offers("HasSites")),
    _check(check_tensors, when=_offers("TensorSource", "HasSites")),
    _check(check_encodings, when=_offers("Encodes")),
    _check(check_streams, when=_offers("Encodes", "HasSites")),
    _check(check_posteriors, when=_offers("Diffuses")),
    _check(check_noise, when=_offers("Diffuses")),
    _check(check_pictures, when=_offers("Samples")),
    _check(check_sampling_key, when=_offers("Samples")),
    _check(check_answers, when=_offers("Classifies")),
    _check(check_stored, when=_offers("Classifies", "TensorSource")),
    _check(check_fresh, when=_offers("Retrains")),
)
