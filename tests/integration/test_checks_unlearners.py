"""Checks of unlearners: each passes a good one and fails a bad one, saying why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from vu_core import Edit, RequestError, UnlearnerSpec
from vu_core.edits import tensor_sha256
from vu_core.testing import CheckError, Component
from vu_core.testing.checks import unlearners
from vu_core.testing.fake_models import FakeClassifier, FakeTextToImage
from vu_core.testing.watch import changed, global_state, model_state, writes

WEIGHT = "down_blocks.0.attn2_text.to_k.weight"


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    std: float = field(default=0.5, metadata={"help": "Strength.", "ge": 0, "identity": 0})


def noise(model, request, data, config, ctx):
    """A good unlearner: noise on every stored tensor, in proportion to ``std``."""
    if not all(concept.text.strip() for concept in request.forget):
        raise RequestError("a concept has no text")
    component = "unet" if model.family == "text-to-image" else "classifier"
    generator = ctx.generator("noise")
    changes, base = {}, {}
    for name in ctx.progress(model.tensor_names(component), label="adding noise"):
        stored = model.tensor(component, name)
        changes[f"{component}.{name}"] = stored + config.std * torch.randn(stored.shape, generator=generator)
        base[f"{component}.{name}"] = tensor_sha256(stored)
    return Edit.dense(changes, base=base, info={"forget": [c.name for c in request.forget]})


def absent_parameter(*given):
    return Edit.dense({"unet.absent.weight": torch.ones(2, 2)})


def baseless(*given):
    return replace(noise(*given), base={})


def infinite(*given):
    edit = noise(*given)
    return replace(edit, tensors={name: tensor / 0 for name, tensor in edit.tensors.items()})


def idle(*given):
    return Edit.lora({})


def deaf(model, request, data, config, ctx):
    return noise(model, request, data, NoiseConfig(), ctx)


def globally_random(*given):
    edit = noise(*given)
    return replace(edit, tensors={name: t + torch.randn(t.shape) for name, t in edit.tensors.items()})


def careless(model, *given):
    with torch.no_grad():
        model.component("unet").get_parameter(WEIGHT).add_(1)
    return noise(model, *given)


def left_in_train_mode(model, *given):
    model.component("unet").train()
    return noise(model, *given)


def greedy(*given):
    torch.rand(1)
    return noise(*given)


def tuples_in_info(*given):
    return replace(noise(*given), info={"shape": (1, 2)})


def objects_in_info(*given):
    return replace(noise(*given), info={"config": NoiseConfig()})


def unstoppable(*given):
    try:
        return noise(*given)
    except BaseException:
        return Edit.lora({})


def interrupted_in_train_mode(model, *given):
    model.component("unet").train()
    edit = noise(model, *given)
    model.component("unet").eval()
    return edit


def retain_taken_for_granted(model, request, data, config, ctx):
    data.retain[0]
    return noise(model, request, data, config, ctx)


def untidy(model, request, data, config, ctx):
    leak = ctx.out_dir.parent / "vu-check-leak.txt"
    leak.write_text("here")
    leak.unlink()
    return noise(model, request, data, config, ctx)


BAD: list[tuple[Any, Callable[..., Any], str]] = [
    (unlearners.check_runs, lambda *given: None, "unlearn returns a NoneType, not an Edit"),
    (unlearners.check_edit_fits, absent_parameter, "has no parameter 'unet.absent.weight'"),
    (unlearners.check_edit_origin, baseless, "edit.base does not hold 'unet.down_blocks"),
    (unlearners.check_finite, infinite, "holds NaN or infinity"),
    (unlearners.check_changes_output, idle, "the model answers as before"),
    (unlearners.check_identity, deaf, "with std=0 the edit changes the model"),
    (unlearners.check_deterministic, globally_random, "with the same seed give different edits"),
    (unlearners.check_model_untouched, careless, f"unlearn changes the tensor 'unet.{WEIGHT}'"),
    (unlearners.check_model_untouched, left_in_train_mode, "unlearn changes the training flag of 'unet'"),
    (unlearners.check_global_state, greedy, "unlearn changes torch's random state"),
    (unlearners.check_survives_file, tuples_in_info, "is read back as {'shape': [1, 2]}"),
    (unlearners.check_survives_file, objects_in_info, "the edit cannot be written"),
    (unlearners.check_interruptible, unstoppable, "it swallows the interruption"),
    (unlearners.check_interruptible, interrupted_in_train_mode, "leaves changed the training flag of 'unet'"),
    (unlearners.check_errors, retain_taken_for_granted, "without a dataset ends in IndexError"),
    (unlearners.check_writes, untidy, "it writes to '"),
]


def component(function: Callable[..., Any] = noise, **fields: Any) -> Component:
    class Unlearner:
        def unlearn(self, model, request, data, config, ctx):
            return function(model, request, data, config, ctx)

    named = {"name": "noise", "summary": "Noise.", "target": "a:B", "config": "a:C", "needs": ("TensorSource",)}
    spec = UnlearnerSpec(**{**named, **fields})
    return Component(spec=spec, load=lambda: Unlearner, config_class=lambda: NoiseConfig)


@pytest.mark.parametrize("families", [(), ("text-to-image",), ("classifier",)])
@pytest.mark.parametrize("check", unlearners.CHECKS, ids=lambda check: check.name)
def test_a_good_unlearner_passes(check, families):
    good = component(families=families)
    assert check.fits(good)
    check.function(good)


@pytest.mark.parametrize(("check", "function", "problem"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_unlearner_fails(check, function, problem):
    with pytest.raises(CheckError) as raised:
        check(component(function))
    assert problem in raised.value.problem
    assert raised.value.fix


def test_every_check_has_a_bad_fake():
    assert {check.function for check in unlearners.CHECKS} == {check for check, _, _ in BAD}


def test_needs_that_no_model_offers_are_told_and_nothing_else_is_tried():
    odd = component(needs=("HasSites", "Classifies"))
    assert [check.name for check in unlearners.CHECKS if check.fits(odd)] == ["runs"]
    with pytest.raises(CheckError, match=r"no model of its families offers what it needs \(HasSites, Classifies\)"):
        unlearners.check_runs(odd)


@pytest.mark.parametrize("model", [FakeTextToImage(), FakeClassifier()], ids=lambda model: model.name)
def test_the_state_of_a_model_tells_every_change(model):
    (part,) = model.stored
    module = model.component(part)
    before = model_state(model)
    assert changed(before, model_state(model)) == []
    parameter = next(module.parameters())
    parameter.requires_grad_(False)
    handle = module.register_forward_hook(lambda *_: None)
    next(iter(model.stored[part].values())).mul_(2)
    told = changed(before, model_state(model))
    assert [what.split(" '")[0] for what in told] == ["requires_grad of", "the hooks of", "the stored tensor"]
    handle.remove()


def test_global_state_tells_every_change(monkeypatch, tmp_path):
    before = global_state()
    monkeypatch.chdir(tmp_path)
    state = np.random.get_state()
    np.random.random()
    with torch.no_grad():
        told = ["NumPy's random state", "the grad mode", "the working directory"]
        assert changed(before, global_state()) == told
    np.random.set_state(state)


def test_writes_are_seen_and_reading_is_none(tmp_path):
    (tmp_path / "old.txt").write_text("old")
    with writes() as seen:
        (tmp_path / "old.txt").read_text()
        (tmp_path / "folder").mkdir()
        (tmp_path / "old.txt").rename(tmp_path / "new.txt")
    assert set(seen) == {tmp_path / "folder", tmp_path / "old.txt", tmp_path / "new.txt"}
