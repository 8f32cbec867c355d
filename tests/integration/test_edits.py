"""Edits on real pipelines: applied, scaled, combined, removed, written, read, and loaded by plain diffusers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vu_core import EditError, SamplerSettings
from vu_core.chains import combine
from vu_core.editfiles import EDIT_FILE, LORA_FILE, read_edit, read_header, write_edit
from vu_core.edits import Edit, applied, edited_weights, tensor_sha256
from vu_core.testing.pipelines import write_pipeline

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("vu_diffusers")

PROMPTS = ["a cat", "a dog in van gogh style"]
SEEDS = [0, 1]
SETTINGS = SamplerSettings(steps=3, guidance_scale=4.0, micro_batch=2)
RANK = 3


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipeline"), family=request.param)


@pytest.fixture
def model(folder: Path):
    from vu_diffusers.model import load

    return load(str(folder))


def random_lora(model, seed: int = 0, size: float = 0.3) -> Edit:
    generator = torch.Generator().manual_seed(seed)
    factors, base = {}, {}
    for site in model.sites():
        rows, columns = site.shape
        a = torch.randn(RANK, columns, generator=generator) * size
        factors[f"unet.{site.parameter}"] = a, torch.randn(rows, RANK, generator=generator) * size
        base[f"unet.{site.parameter}"] = tensor_sha256(model.tensor("unet", site.parameter))
    return Edit.lora(factors, base=base, unlearner="random", info={"seed": seed})


def random_dense(model) -> Edit:
    generator = torch.Generator().manual_seed(5)
    names = [site.parameter for site in model.sites()[:2]]
    tensors = {f"unet.{name}": torch.randn(model.tensor("unet", name).shape, generator=generator) for name in names}
    base = {f"unet.{name}": tensor_sha256(model.tensor("unet", name)) for name in names}
    return Edit.dense(tensors, base=base, unlearner="random")


def parameters(model) -> dict[str, tuple[torch.nn.Parameter, torch.Tensor]]:
    return {name: (parameter, parameter.clone()) for name, parameter in model.component("unet").named_parameters()}


def assert_restored(model, before) -> None:
    for name, parameter in model.component("unet").named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])


def pictures(model, *edits: Edit) -> torch.Tensor:
    with applied(model, edits):
        return torch.stack(list(model.sample(PROMPTS, SEEDS, SETTINGS)))


def unet_output(model, *edits: Edit) -> torch.Tensor:
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with applied(model, edits), torch.no_grad():
        return model.denoise(latents, torch.tensor([10, 500]), model.encode(PROMPTS))


def plain_images(pipe, **options) -> torch.Tensor:
    """Float pictures (2, 3, 16, 16) of a diffusers pipeline, with the noise that vu uses."""
    noise = [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        PROMPTS, latents=torch.cat(noise), num_inference_steps=3, guidance_scale=4.0, output_type="pt", **options
    ).images


@pytest.mark.parametrize("make", [random_lora, random_dense])
def test_an_edit_is_in_the_weights_and_leaves_no_trace(model, make) -> None:
    edit = make(model)
    before = parameters(model)
    base = pictures(model)
    with applied(model, [edit]):
        unet = model.component("unet")
        for name, (original, values) in before.items():
            parameter = unet.get_parameter(name)
            if f"unet.{name}" not in edit.parameters():
                assert parameter is original
                continue
            torch.testing.assert_close(parameter.data, values + edit.delta(f"unet.{name}", values))
            assert parameter.requires_grad == original.requires_grad
            assert not torch.equal(parameter.data, values)
    assert_restored(model, before)
    assert not torch.equal(pictures(model, edit), base)
    assert torch.equal(pictures(model), base)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_originals_return_when_something_raises(model, error: type[BaseException]) -> None:
    before = parameters(model)
    with pytest.raises(error), applied(model, [random_lora(model), random_dense(model)]):
        raise error
    assert_restored(model, before)


def test_a_picture_half_drawn_leaves_no_trace(model) -> None:
    before = parameters(model)
    with applied(model, [random_lora(model)]):
        next(model.sample(PROMPTS, SEEDS, SETTINGS))
    assert_restored(model, before)


def test_scaling(model) -> None:
    edit = random_lora(model)
    base = unet_output(model)
    assert torch.equal(unet_output(model, edit.scaled(0.0)), base)
    assert torch.equal(unet_output(model, edit.scaled(0.5).scaled(2.0)), unet_output(model, edit))
    name = edit.parameters()[0]
    weight = model.component("unet").get_parameter(name.removeprefix("unet."))
    torch.testing.assert_close(edit.scaled(0.25).delta(name, weight), 0.25 * edit.delta(name, weight))


def test_removing_by_the_negative(model) -> None:
    edit = random_lora(model)
    torch.testing.assert_close(unet_output(model, edit, edit.scaled(-1.0)), unet_output(model), rtol=0, atol=1e-5)


def test_combining_is_the_sum(model) -> None:
    first, second = random_lora(model, 1), random_lora(model, 2).scaled(0.5)
    both = combine([first, second])
    assert both.rank() == 2 * RANK
    assert both.unlearner == "random+random"
    expected = unet_output(model, first, second)
    torch.testing.assert_close(unet_output(model, both), expected, rtol=0, atol=1e-5)
    assert (expected - unet_output(model)).abs().max() > 1e-2


def test_combining_needs_low_rank_edits_of_one_base(model) -> None:
    edit = random_lora(model)
    with pytest.raises(EditError, match="only low-rank"):
        combine([edit, random_dense(model)])
    with pytest.raises(EditError, match="different base models"):
        combine([edit, replace(edit, base=dict.fromkeys(edit.base, "0" * 64))])


@pytest.mark.parametrize("make", [random_lora, random_dense])
def test_what_is_written_is_read(model, make, tmp_path: Path) -> None:
    edit = make(model).scaled(0.5)
    write_edit(edit, tmp_path / EDIT_FILE)
    again = read_edit(tmp_path)
    assert again.base == edit.base
    assert (again.unlearner, again.info, again.kind) == (edit.unlearner, edit.info, edit.kind)
    assert torch.equal(unet_output(model, again), unet_output(model, edit))
    assert not list(tmp_path.glob(".*"))


def test_an_edit_of_another_model_is_refused(model, tmp_path: Path) -> None:
    from vu_diffusers.model import load

    edit = random_lora(model)
    family = "sdxl" if "text_encoder_2" in model.encoders() else "sd1"
    other = load(str(write_pipeline(tmp_path, family=family, seed=1)))
    before = parameters(other)
    with pytest.raises(EditError, match="another base model"), applied(other, [edit]):
        pass
    assert_restored(other, before)
    nowhere = Edit.lora({"unet.nowhere.weight": (torch.ones(1, 2), torch.ones(2, 1))})
    with pytest.raises(EditError, match=r"no parameter 'unet\.nowhere\.weight'"):
        edited_weights(model, [nowhere])
    name = f"unet.{model.sites()[0].parameter}"
    with pytest.raises(EditError, match="has shape"):
        edited_weights(model, [Edit.lora({name: (torch.ones(1, 2), torch.ones(2, 1))})])


@pytest.mark.parametrize("content", [b"", b"no safetensors", None])
def test_a_damaged_file_is_refused(model, tmp_path: Path, content: bytes | None) -> None:
    write_edit(random_lora(model), tmp_path / EDIT_FILE)
    whole = (tmp_path / EDIT_FILE).read_bytes()
    (tmp_path / EDIT_FILE).write_bytes(whole[:-100] if content is None else content)
    with pytest.raises(EditError, match="not a readable safetensors file"):
        read_edit(tmp_path)


def test_files_that_are_no_edits(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="holds no edit"):
        read_edit(tmp_path)
    save_file({"x": torch.ones(1)}, tmp_path / EDIT_FILE)
    with pytest.raises(EditError, match="is no edit of vu"):
        read_edit(tmp_path)


@pytest.mark.parametrize(
    "header", ["{", "[]", '{"schema": 1, "kind": "lora"}', '{"schema": 1, "kind": "lora", "base": {}, "info": 5}']
)
@pytest.mark.parametrize("read", [read_edit, read_header])
def test_an_edit_with_a_damaged_header_is_refused(tmp_path: Path, header: str, read) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / EDIT_FILE, metadata={"vu": header})
    with pytest.raises(EditError, match=r"the header of '.*edit\.safetensors' is damaged"):
        read(tmp_path / EDIT_FILE)


def test_plain_diffusers_loads_a_run_folder(model, folder: Path, tmp_path: Path) -> None:
    """The promise to users without vu: same pictures, scaling and removing work."""
    edit = random_lora(model).scaled(0.7)
    write_edit(edit, tmp_path / LORA_FILE)
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    base = plain_images(pipe)
    with applied(model, [edit]):
        expected = plain_images(model_pipeline(model))
    assert (expected - base).abs().max() > 1e-2

    pipe.load_lora_weights(tmp_path, weight_name=LORA_FILE, adapter_name="forget")
    torch.testing.assert_close(plain_images(pipe), expected, rtol=0, atol=1e-4)

    with applied(model, [edit.scaled(0.5)]):
        half = plain_images(model_pipeline(model))
    pipe.set_adapters("forget", 0.5)
    torch.testing.assert_close(plain_images(pipe), half, rtol=0, atol=1e-4)
    pipe.set_adapters("forget", 0.0)
    assert torch.equal(plain_images(pipe), base)

    pipe.unload_lora_weights()
    assert torch.equal(plain_images(pipe), base)


def test_plain_diffusers_needs_no_file_name(model, folder: Path, tmp_path: Path) -> None:
    edit = random_lora(model)
    write_edit(edit, tmp_path / LORA_FILE)
    assert set(load_file(tmp_path / LORA_FILE)) == set(edit.tensors)
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    base = plain_images(pipe)
    pipe.load_lora_weights(tmp_path)
    assert (plain_images(pipe) - base).abs().max() > 1e-2


def model_pipeline(model):
    """A diffusers pipeline over the very modules of ``model``, with the folder's scheduler."""
    parts = {name: model.component(name) for name in ("unet", "vae", "text_encoder")}
    if "text_encoder_2" in (model.folder / "model_index.json").read_text():
        parts["text_encoder_2"] = model.component("text_encoder_2")
    return diffusers.DiffusionPipeline.from_pretrained(model.folder, **parts)
