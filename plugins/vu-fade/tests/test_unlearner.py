"""The whole unlearner on tiny pipelines: what every variant must hold."""

from __future__ import annotations

import pytest
import torch
from vu_fade.config import FadeConfig, FadePerModuleConfig, FadePerWeightConfig
from vu_fade.unlearner import Fade, FadePerModule, FadePerWeight
from vu_train.adapters import layers_ending_in, matrix_layers

from vu_core.edits import applied
from vu_core.errors import ConfigError
from vu_core.interfaces import Data
from vu_core.types import Concept

VARIANTS = {
    "fade": (Fade, FadeConfig),
    "fade-per-module": (FadePerModule, FadePerModuleConfig),
    "fade-per-weight": (FadePerWeight, FadePerWeightConfig),
}
SHORT = {"steps": 2, "batch_size": 2, "learning_rate": 1e-2, "schedule": "constant", "flip": False}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param


def made(unlearn, variant, model, *forget, replace_with=("dog",), out="run", seed=0, retain=(), data=None, **options):
    unlearner, config = VARIANTS[variant]
    more = {"data": data} if data else {}
    settings = config(**{**SHORT, **options})
    return unlearn(
        unlearner(), settings, model, *forget, replace_with=replace_with, retain=retain, out=out, seed=seed, **more
    )


def test_zero_steps_are_the_identity(unlearn, model_of, variant):
    edit = made(unlearn, variant, model_of(), "cat", steps=0)
    assert edit.is_identity() and edit.info["steps_done"] == 0


def test_an_edit_changes_what_it_says_and_leaves_the_model_alone(unlearn, model_of, variant, family):
    model = model_of(family)
    unet = model.component("unet")
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    random = torch.get_rng_state()
    edit = made(unlearn, variant, model, "cat")
    assert not edit.is_identity() and edit.info["steps_done"] == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random) and torch.is_grad_enabled()
    assert not any(layer._forward_hooks for layer in unet.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in unet.parameters())
    with applied(model, [edit]):
        changed = {
            f"unet.{name}" for name, tensor in unet.state_dict().items() if not torch.equal(tensor, before[name])
        }
    assert changed == set(edit.parameters())


def test_the_same_seed_gives_the_same_edit(unlearn, model_of, variant):
    model = model_of()
    hashes = [
        made(unlearn, variant, model, "cat", out=f"run{i}", seed=seed).sha256() for i, seed in enumerate((0, 0, 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_stopped_training_continues_to_the_same_edit(unlearn, model_of, variant):
    model, options = model_of(), {"steps": 4, "schedule": "cosine", "dropout": 0.2}
    whole = made(unlearn, variant, model, "cat", out="whole", **options)
    stopped = made(unlearn, variant, model, "cat", out="parts", max_steps=1, **options)
    continued = made(unlearn, variant, model, "cat", out="parts", **options)
    assert (stopped.info["stopped"], stopped.info["steps_done"]) == ("max_steps", 1)
    assert stopped.sha256() != continued.sha256() == whole.sha256()


def test_training_moves_the_forgotten_caption_toward_its_overwriting(unlearn, model_of):
    model = model_of()
    edit = made(unlearn, "fade", model, "cat", steps=60, forget_weight=1.0, batch_size=3)
    generator = torch.Generator().manual_seed(5)
    noisy = torch.randn(8, 4, 8, 8, generator=generator)
    timesteps = torch.randint(0, 1000, (8,), generator=generator)

    @torch.no_grad()
    def answer(caption):
        return model.denoise(noisy, timesteps, model.encode([caption] * 8))

    captions = {name: f"a photo of a {name}" for name in ("cat", "dog", "horse")}
    base = {name: answer(caption) for name, caption in captions.items()}
    with applied(model, [edit]):
        after = {name: answer(caption) for name, caption in captions.items()}
    gap = (base["cat"] - base["dog"]).norm()
    assert (after["cat"] - base["dog"]).norm() < 0.6 * gap
    assert (after["horse"] - base["horse"]).norm() < 0.3 * gap


def test_dense_adapts_all_attention_projections(unlearn, model_of):
    model = model_of()
    edit = made(unlearn, "fade", model, "cat")
    wanted = layers_ending_in(model.component("unet"), ["to_k", "to_q", "to_v", "to_out.0"])
    assert edit.parameters() == tuple(sorted(f"unet.{path}.weight" for path in wanted))
    assert {path.rsplit(".", 2)[-2] for path in wanted if path.endswith("to_k")} == {"attn1", "attn2"}


def test_per_module_adapts_the_fraction_of_all_matrices(unlearn, model_of):
    model = model_of()
    edit = made(unlearn, "fade-per-module", model, "cat", fraction=0.3)
    count = len(matrix_layers(model.component("unet")))
    assert len(edit.parameters()) == int(0.3 * count) == edit.info["adapted_layers"]
    assert edit.info["ranked_layers"] == count and edit.kind == "lora"


def test_per_weight_leaves_all_other_weights_bit_for_bit(unlearn, model_of):
    model = model_of()
    edit = made(unlearn, "fade-per-weight", model, "cat", fraction=0.1)
    changed = total = 0
    for name in edit.parameters():
        base = model.tensor("unet", name.removeprefix("unet."))
        same = edit.tensors[name] == base
        changed, total = changed + int((~same).sum()), total + base.numel()
    assert edit.kind == "dense" and 0 < changed <= edit.info["masked_weights"] < total


def test_a_fraction_that_leaves_no_weight_is_refused(unlearn, model_of):
    with pytest.raises(ConfigError, match="none of the weights of to_q is among the most salient"):
        made(unlearn, "fade-per-weight", model_of(), "cat", fraction=1e-9, layers=("to_q",))


def test_without_a_replacement_the_nearest_neighbour_overwrites(unlearn, model_of):
    edit = made(unlearn, "fade", model_of(), "cat", "dog", replace_with=(), steps=1)
    overwriting = dict(edit.info["overwriting"])
    assert overwriting["a photo of a cat"] == "a photo of a fish" == overwriting["a photo of a dog"]


def test_several_concepts_keep_their_own_replacements(unlearn, model_of):
    edit = made(unlearn, "fade", model_of(), "cat", "dog", replace_with=("fish", "horse"), steps=1)
    overwriting = dict(edit.info["overwriting"])
    assert overwriting["a drawing of a cat"] == "a drawing of a fish"
    assert overwriting["a drawing of a dog"] == "a drawing of a horse"


def test_a_concept_name_is_overwritten_as_its_text(unlearn, model_of):
    forget, other = Concept(name="van_gogh", text="van gogh"), Concept(name="something")
    data = Data(forget=(forget,), retain=(other,))

    class Fixed:
        def split(self, request):
            return data

    edit = made(
        unlearn, "fade", model_of(), forget, replace_with=(other,), retain=(other,), data=Fixed(),
        steps=1, pictures="model", pictures_each=2,
    )  # fmt: skip
    assert all("something" in overwritten for _, overwritten in edit.info["overwriting"])
