"""One test for each defect of the published implementation that this one must not have."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from vu_fade import unlearner as module
from vu_fade.config import FadeConfig, FadePerModuleConfig
from vu_fade.losses import SelfDistillation
from vu_fade.overwriting import overwriting_captions
from vu_fade.unlearner import Fade, FadePerModule
from vu_train.adapters import Adapters
from vu_train.pictures import Example

from vu_core.editfiles import LORA_FILE, write_edit
from vu_core.errors import RequestError
from vu_core.interfaces import Data, Picture
from vu_core.testing.pipelines import build_pipeline
from vu_core.types import Concept, Request

SHORT = {"steps": 2, "batch_size": 2, "learning_rate": 1e-2, "schedule": "constant", "flip": False}


def unlearned(unlearn, model, *, out="run", forget=("cat",), replace_with=("dog",), retain=(), **options):
    config = FadeConfig(**{**SHORT, **options})
    return unlearn(Fade(), config, model, *forget, replace_with=replace_with, retain=retain, out=out)


def factors(edit):
    return torch.cat([tensor.flatten() for _, tensor in sorted(edit.tensors.items())])


@pytest.mark.parametrize(("rank", "alpha"), [(32, 64.0), (16, 4.0)])
def test_defect_1_the_adapter_is_deployed_at_the_strength_it_was_trained_at(
    unlearn, model_of, tmp_path, monkeypatch, rank, alpha
):
    pytest.importorskip("peft")
    trained = []
    monkeypatch.setattr(module, "Adapters", lambda *a, **k: trained.append(Adapters(*a, **k)) or trained[-1])
    model = model_of()
    edit = unlearned(unlearn, model, rank=rank, alpha=alpha, forget_weight=30.0)
    as_trained, plain = build_pipeline(family="sd1"), build_pipeline(family="sd1")
    base = drawn(plain)
    as_trained.unet = model.component("unet")
    with trained[0].attached():
        wanted = drawn(as_trained)
    write_edit(edit, tmp_path / LORA_FILE)
    plain.load_lora_weights(tmp_path, weight_name=LORA_FILE)
    change = (wanted - base).norm()
    assert change > 1e-3 and (drawn(plain) - wanted).norm() < 1e-2 * change


def drawn(pipe):
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    given = {"num_inference_steps": 3, "height": 16, "width": 16, "generator": generator, "output_type": "np"}
    return torch.from_numpy(pipe("a photo of a cat", **given).images)


def test_defect_2_clipping_clips(unlearn, model_of):
    # So far below the optimiser's epsilon, a gradient moves nothing.
    common = {"steps": 1, "weight_decay": 0.0}
    free = unlearned(unlearn, model_of(), clip=None, out="free", **common)
    clipped = unlearned(unlearn, model_of(), clip=1e-15, out="clipped", **common)
    start = unlearned(unlearn, model_of(), steps=0, out="start")
    moved = (factors(free) - factors(start)).norm()
    assert (factors(clipped) - factors(start)).norm() < 1e-3 * moved


def test_defect_3_each_picture_has_its_own_noise_and_timestep(unlearn, model_of, monkeypatch):
    seen = spied_batches(monkeypatch)
    unlearned(unlearn, model_of(), steps=3)
    noises = [noise for batches in seen for batch in batches.values() for noise in batch.noise]
    assert len(noises) == 3 * 4
    assert all(not torch.equal(one, other) for i, one in enumerate(noises) for other in noises[:i])
    levels = [tuple(batch.timesteps.tolist()) for batches in seen for batch in batches.values()]
    assert len(set(levels)) == len(levels)


def test_defect_5_accumulation_equals_the_whole_batch(unlearn, model_of):
    common = {"batch_size": 4, "steps": 3, "clip": 1e-4}
    whole, parts, single = (
        factors(unlearned(unlearn, model_of(), accumulation=n, out=f"in{n}", **common)) for n in (1, 2, 4)
    )
    start = factors(unlearned(unlearn, model_of(), steps=0, out="start"))
    for other in (parts, single):
        assert (other - whole).norm() < 1e-3 * (whole - start).norm()


@pytest.mark.parametrize(("batch_size", "retain_batch_size"), [(4, 1), (1, 4), (7, None)])
def test_defect_6_forget_and_retain_batches_of_any_size(unlearn, model_of, monkeypatch, batch_size, retain_batch_size):
    seen = spied_batches(monkeypatch)
    sizes = {"batch_size": batch_size, "retain_batch_size": retain_batch_size}
    unlearned(unlearn, model_of(), retain=("horse",), **sizes)
    assert {(len(found["forget"].ids), len(found["retain"].ids)) for found in seen} == {
        (batch_size, retain_batch_size or batch_size)
    }


def test_defect_7_an_epoch_shows_each_retained_picture_once(unlearn, model_of, monkeypatch):
    seen = spied_batches(monkeypatch)
    unlearned(unlearn, model_of(), steps=6, batch_size=3)
    shown = [example for found in seen for example in found["retain"].ids]
    assert len(shown) == 18
    assert len(set(shown[:9])) == len(set(shown[9:])) == 9
    assert shown[:9] != shown[9:]


def test_defects_8_and_9_per_weight_needs_neither_peft_nor_a_gpu(tmp_path):
    code = f"""
import sys
sys.modules["peft"] = None
import torch
torch.cuda.is_available = lambda: False
from pathlib import Path
from vu_core import Concept, Data, Request, RunContext
from vu_core.testing.pipelines import build_pipeline
from vu_diffusers.model import adopt
from vu_fade.config import FadePerWeightConfig
from vu_fade.unlearner import FadePerWeight
request = Request(forget=(Concept(name="cat"),), retain=(Concept(name="tree"),))
data = Data(forget=request.forget, retain=request.retain)
config = FadePerWeightConfig(steps=1, batch_size=1, pictures="model", pictures_each=1)
model = adopt(build_pipeline())
edit = FadePerWeight().unlearn(model, request, data, config, RunContext(out_dir=Path({str(tmp_path)!r})))
assert edit.kind == "dense" and edit.tensors
assert set(dict(edit.info["overwriting"]).values()) == {{""}}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defect_10_saliency_is_never_that_of_another_model(unlearn, model_of, monkeypatch, tmp_path):
    from vu_diffusers.model import adopt

    measured = []
    real = module.matrix_saliency
    monkeypatch.setattr(module, "matrix_saliency", lambda *a: measured.append(real(*a)) or measured[-1])
    config = FadePerModuleConfig(**{**SHORT, "steps": 0})
    models = [model_of(), adopt(build_pipeline(seed=1))]
    for model in (models[0], models[0], models[1]):
        unlearn(FadePerModule(), config, model, "cat", replace_with=("dog",), out="same-folder")
    assert len(measured) == 2 and measured[0] != measured[1]


def test_defect_11_training_overwriting_and_prompts_share_one_wording(unlearn, model_of, monkeypatch):
    person = Concept(name="George_W_Bush", kind="object", text="George W Bush")
    other = Concept(name="Tony_Blair", kind="object", text="Tony Blair")
    caption = "an image of {concept}"
    picture = Picture(id="one", caption="", attributes={"object": person.name}, load=list)
    example = Example(picture=picture, caption=caption.replace("{concept}", person.text), size=(16, 16))
    request = Request(forget=(person,), replace_with=(other,))
    found = overwriting_captions([example], request, Data(forget=request.forget, retain=()))
    assert found == {"one": "an image of Tony Blair"}

    seen = spied_batches(monkeypatch)
    edit = unlearned(unlearn, model_of(), caption=caption, steps=1)
    assert set(seen[0]["forget"].captions) == {"an image of cat"}
    assert edit.info["overwriting"] == [["an image of cat", "an image of dog"]]


def test_defect_12_what_a_picture_is_trained_with_does_not_depend_on_the_batch(unlearn, model_of, monkeypatch):
    streams = []
    real = module.latent_streams
    monkeypatch.setattr(module, "latent_streams", lambda *a: streams.append(real(*a)) or streams[-1])
    for size in (2, 3):
        unlearned(unlearn, model_of(), steps=0, batch_size=size, out=f"of{size}")
    whole = streams[0]["retain"].take(range(6))
    parts = [streams[1]["retain"].take(range(start, start + 2)) for start in (0, 2, 4)]
    assert whole.ids == tuple(id_ for part in parts for id_ in part.ids)
    for field in ("latents", "noise", "timesteps"):
        assert torch.equal(getattr(whole, field), torch.cat([getattr(part, field) for part in parts]))


def test_overwriting_captions_of_the_data_come_first():
    cat, dog = Concept(name="cat"), Concept(name="dog")
    request = Request(forget=(cat, dog), replace_with=(Concept(name="fish"), Concept(name="horse")))
    examples = [
        Example(
            picture=Picture(id=str(i), caption=caption, load=list), caption=caption, overwrite=overwrite, size=(16, 16)
        )
        for i, (caption, overwrite) in enumerate([("a cat", "a red tree"), ("a cat", None), ("A Dog", None)])
    ]
    found = overwriting_captions(examples, request, Data(forget=request.forget, retain=()))
    assert found == {"0": "a red tree", "1": "a fish", "2": "A horse"}


def test_a_caption_loses_every_forgotten_concept_that_it_names():
    cat, noto = Concept(name="cat"), Concept(name="noto", kind="style")
    request = Request(forget=(cat, noto), replace_with=(Concept(name="owl"), Concept(name="blob", kind="style")))
    shows = {"object": "cat", "style": "noto"}
    captions = {"both": "a cat in noto style", "one": "a cat", "other": "a dog in noto style"}
    examples = [
        Example(picture=Picture(id=id_, caption=caption, attributes=shows, load=list), caption=caption, size=(16, 16))
        for id_, caption in captions.items()
    ]
    found = overwriting_captions(examples, request, Data(forget=request.forget, retain=()))
    assert found == {"both": "an owl in blob style", "one": "an owl", "other": "a dog in blob style"}


def test_a_picture_that_shows_nothing_forgotten_is_named():
    request = Request(forget=(Concept(name="cat"), Concept(name="dog")))
    example = Example(picture=Picture(id="odd", caption="a tree", load=list), caption="a tree", size=(16, 16))
    with pytest.raises(RequestError, match="picture 'odd' is to be forgotten but shows none of 'cat', 'dog'"):
        overwriting_captions([example], request, Data(forget=request.forget, retain=()))


def test_every_neighbour_forgotten_is_refused(dataset):
    request = Request(forget=tuple(dataset.concepts()))
    picture = Picture(id="one", caption="a cat", attributes={"object": "cat"}, load=list)
    example = Example(picture=picture, caption="a cat", size=(16, 16))
    with pytest.raises(RequestError, match="every neighbour of 'cat' is forgotten too"):
        overwriting_captions([example], request, Data(forget=request.forget, retain=(), dataset=dataset))


def spied_batches(monkeypatch):
    """Collect the batches of every step."""
    seen = []
    real = SelfDistillation.losses
    monkeypatch.setattr(SelfDistillation, "losses", lambda self, batches: seen.append(batches) or real(self, batches))
    return seen
