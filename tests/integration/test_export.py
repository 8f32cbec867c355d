"""What is exported draws, in plain diffusers, what the edit draws; what a format cannot hold is said."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from vu_core import ConfigError, EditError, RunError, export, read_edit
from vu_core.edits import Edit, edited_weights
from vu_core.exporting import FORMATS
from vu_core.testing.pipelines import write_pipeline

TOY = ("run", "repaint", "--forget", "cat", "--device", "cpu")
LORAS = ("diffusers-lora", "kohya")
STEPS = 6
PROMPTS = ["a cat image in noto style", "a dog image in flat style"]


@pytest.fixture
def toy(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")
    import vu_core as vu

    return vu.load_model("emoji", device="cpu")


@pytest.fixture(scope="module")
def edit(model) -> Edit:
    import vu_core as vu

    return vu.unlearn("uce", model, forget="cat", progress=False)


def pipeline(folder):
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pictures(pipe) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(3) for _ in PROMPTS]
    drawn = pipe(PROMPTS, num_inference_steps=STEPS, guidance_scale=3.0, generator=generators, output_type="np")
    return torch.from_numpy(drawn.images)


@pytest.fixture(scope="module")
def expected(model, edit) -> dict[str, torch.Tensor]:
    """Pictures of the base model, and with the edit written into its weights by hand: exactly, and as they are stored.

    The folder holds float16, and so does what keeps its type.
    """
    pipe = pipeline(model.folder)
    drawn = {"base": pictures(pipe)}
    parameters = dict(pipe.unet.named_parameters())
    exact = {
        name: parameters[name].detach() + 0.75 * edit.tensors[f"{module}.lora_B.weight"] @ a
        for module, a in ((key.removesuffix(".lora_A.weight"), a) for key, a in edit.tensors.items() if "lora_A" in key)
        for name in [f"{module}.weight".removeprefix("unet.")]
    }
    for side, rounded in {"exact": torch.float32, "stored": torch.float16}.items():
        with torch.no_grad():
            for name, weight in exact.items():
                parameters[name].copy_(weight.to(rounded))
        drawn[side] = pictures(pipe)
        assert (drawn[side] - drawn["base"]).abs().max() > 0.1
    return drawn


def drawn_from(exported: Path, to: str, base_folder: Path) -> torch.Tensor:
    if to == "diffusers-pipeline":
        return pictures(pipeline(exported))
    pipe = pipeline(base_folder)
    if to == "safetensors-dense":
        tensors = {name.removeprefix("unet."): tensor for name, tensor in load_file(exported).items()}
        assert not pipe.unet.load_state_dict(tensors, strict=False).unexpected_keys
        return pictures(pipe)
    with warnings.catch_warnings():
        # peft and diffusers warn about each other's deprecations while a LoRA is loaded.
        warnings.simplefilter("ignore")
        pipe.load_lora_weights(exported)
    return pictures(pipe)


@pytest.mark.embedded
@pytest.mark.parametrize("to", FORMATS)
def test_plain_diffusers_draws_the_same_pictures(model, edit, expected, tmp_path, to) -> None:
    out = export(edit.scaled(0.75), tmp_path / f"cat{FORMATS[to].suffix}", to=to, model=model)
    found = drawn_from(out, to, model.folder)
    assert (found - expected["exact" if to in LORAS else "stored"]).abs().max() < 1e-4
    assert (found - expected["base"]).abs().max() > 0.1


@pytest.mark.embedded
def test_what_is_dense_is_an_edit_again(model, edit, tmp_path) -> None:
    file = export(edit, tmp_path / "cat.safetensors", to="safetensors-dense", model=model)
    again = read_edit(file)
    assert again.kind == "dense" and again.info == edit.info and again.parameters() == edit.parameters()
    for name, weight in edited_weights(model, [again]).items():
        assert torch.equal(weight, edited_weights(model, [edit])[name].half().float())


@pytest.mark.embedded
def test_kohyas_names_are_those_its_readers_look_for(edit, tmp_path) -> None:
    file = export(edit, tmp_path / "cat.safetensors", to="kohya")
    tensors = load_file(file)
    modules = {f"lora_unet_{name.removeprefix('unet.').removesuffix('.weight')}" for name in edit.parameters()}
    modules = {name.replace(".", "_") for name in modules}
    parts = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(tensors) == {f"{module}.{part}" for module in modules for part in parts}
    for module in modules:
        down, up, alpha = (tensors[f"{module}.{part}"] for part in parts)
        assert down.shape[0] == up.shape[1] == alpha.item()
    with safe_open(file, framework="pt") as stream:
        facts = json.loads(stream.metadata()["vu_edits"])
    assert facts[0]["sha256"] == edit.sha256()
    with pytest.raises(EditError, match="is no edit of vu"):
        read_edit(file)


@pytest.mark.parametrize("to", LORAS)
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_plain_diffusers_loads_both_namings_of_both_families(tmp_path, family, to) -> None:
    pytest.importorskip("vu_diffusers")
    from diffusers import DiffusionPipeline

    folder = write_pipeline(tmp_path / "model", family=family)
    pipe = DiffusionPipeline.from_pretrained(folder)
    before = {name: weight.clone() for name, weight in pipe.unet.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    wanted = [
        name for name in before if re.search(r"attn\d\.to_(q|k|v|out\.0)\.weight|proj_in\.weight|ff\..*weight", name)
    ]
    factors = {}
    for name in wanted:
        rows, columns = before[name].shape[:2]
        more = (1,) * (before[name].ndim - 2)
        b = torch.randn(rows, 2, *more, generator=generator)
        factors[f"unet.{name}"] = torch.randn(2, columns, *more, generator=generator), b
    edit = Edit.lora(factors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.load_lora_weights(export(edit, tmp_path / "edit.safetensors", to=to))
        pipe.fuse_lora()
        pipe.unload_lora_weights()
    after = dict(pipe.unet.named_parameters())
    assert len(wanted) > 10 and set(after) == set(before)
    for name, weight in before.items():
        change = edit.delta(f"unet.{name}", weight) if name in wanted else torch.zeros(())
        torch.testing.assert_close(after[name].detach(), (weight + change).detach())


def test_several_edits_are_their_sum(tmp_path) -> None:
    first = Edit.lora({"unet.a.weight": (torch.ones(1, 4), torch.ones(3, 1))}, unlearner="one")
    second = Edit.lora({"unet.a.weight": (torch.ones(2, 4), torch.ones(3, 2))}, unlearner="two")
    nothing = torch.zeros(3, 4)
    name = "unet.a.weight"
    out = tmp_path / "sum.safetensors"
    export([first, second.scaled(0.5)], out, to="diffusers-lora")
    both = read_edit(out)
    assert torch.equal(both.delta(name, nothing), first.delta(name, nothing) + 0.5 * second.delta(name, nothing))


@pytest.mark.parametrize("to", LORAS)
def test_what_a_lora_cannot_hold_is_said(tmp_path, to) -> None:
    out = tmp_path / "edit.safetensors"
    dense = Edit.dense({"unet.a.weight": torch.ones(3, 4)})
    with pytest.raises(EditError, match=f"'{to}' holds low-rank edits only") as raised:
        export(dense, out, to=to)
    assert "safetensors-dense" in str(raised.value) and "diffusers-pipeline" in str(raised.value)
    later = Edit.lora({"unet.a.weight": (torch.ones(1, 4), torch.ones(3, 1))}, info={"after": ["0" * 64]})
    with pytest.raises(EditError, match="made of a model edited before"):
        export(later, out, to=to)
    with pytest.raises(EditError, match="changes nothing"):
        export(Edit.lora({}), out, to=to)
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_together_is_said(tmp_path) -> None:
    edit = Edit.lora({"unet.a.weight": (torch.ones(1, 4), torch.ones(3, 1))})
    with pytest.raises(ConfigError, match=r"unknown format 'khoya'\. Did you mean 'kohya'"):
        export(edit, tmp_path / "a.safetensors", to="khoya")
    with pytest.raises(ConfigError, match=r"ends with \.safetensors"):
        export(edit, tmp_path / "a.ckpt", to="kohya")
    with pytest.raises(ConfigError, match="needs the base model"):
        export(edit, tmp_path / "a.safetensors", to="safetensors-dense")
    with pytest.raises(EditError, match="no edit to export"):
        export([], tmp_path / "a.safetensors", to="kohya")
    (tmp_path / "there.safetensors").touch()
    with pytest.raises(RunError, match="already exists"):
        export(edit, tmp_path / "there.safetensors", to="kohya")


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("to", ["diffusers-pipeline", "safetensors-dense", "diffusers-lora"])
def test_vu_draws_the_same_pictures_from_what_the_command_writes(vu, to) -> None:
    assert vu(*TOY, "--out", "run").exit_code == 0
    result = vu("export", "run", "--to", to)
    assert result.exit_code == 0, result.output
    out = Path(f"run-{to}{FORMATS[to].suffix}")
    assert result.stdout == f"{out}: {FORMATS[to].summary}; 1 parameters changed\n"
    asked = ("--model", str(out)) if to == "diffusers-pipeline" else ("--edit", str(out))
    for name, what in {"edited": ("--edit", "run"), "exported": asked}.items():
        assert vu("sample", "a cat", "-n", "1", "--out", name, *what).exit_code == 0
    assert Path("edited/00-0.png").read_bytes() == Path("exported/00-0.png").read_bytes()
    assert vu("export", "run", "--to", to).exit_code == 2
    if to == "diffusers-pipeline":
        assert json.loads((out / "vu_edits.json").read_text())[0]["sha256"] == read_edit(Path("run")).sha256()


@pytest.mark.usefixtures("toy")
def test_a_chain_of_edits_is_exported_whole(vu) -> None:
    for animal, other in {"cat": "fox", "fox": "bear"}.items():
        after = ("--after", "cat") if animal == "fox" else ()
        asked = ("--forget", animal, "--replace-with", other, "--protocol", "toy-quick@1")
        made = vu("run", "repaint", *asked, "--device", "cpu", "-o", "strength=1", "--out", animal, *after)
        assert made.exit_code == 0, made.output
    refused = vu("export", "fox", "--to", "diffusers-lora")
    assert refused.exit_code == 2 and "safetensors-dense" in refused.stderr
    assert vu("export", "fox", "--to", "safetensors-dense").exit_code == 0
    for name, edit in {"chain": "fox", "dense": "fox-safetensors-dense.safetensors"}.items():
        assert vu("sample", "a cat", "a fox", "--model", "toy", "--edit", edit, "--out", name).exit_code == 0
    assert Path("chain/grid.png").read_bytes() == Path("dense/grid.png").read_bytes()


@pytest.mark.usefixtures("toy")
def test_a_model_without_edits_is_nothing_to_export(vu) -> None:
    result = vu("export", "toy", "--to", "diffusers-pipeline")
    assert result.exit_code == 2 and "there is no edit at" in result.stderr


@pytest.mark.usefixtures("toy")
def test_none_of_several_edits_may_be_missing(vu) -> None:
    assert vu(*TOY, "--out", "run").exit_code == 0
    result = vu("export", "run", "rum", "--to", "safetensors-dense")
    assert result.exit_code == 2 and "there is no edit at 'rum'" in result.stderr
