"""The main job on the trained model that vu-emoji carries: default preset, default sampling."""

from __future__ import annotations

import json
import runpy
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.embedded
pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")

SEED, STEPS = 3, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory, embedded_cache):
    from typer.testing import CliRunner

    from vu_core.cli import app

    out = tmp_path_factory.mktemp("runs") / "uce-cat"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VU_CACHE_DIR", str(embedded_cache))
        result = CliRunner().invoke(app, ["run", "uce", "--forget", "cat", "--quick", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def results(folder):
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "finished" and not record["errors"]
    return {(r["metric"], r["group"]): r for r in record["results"]}


def test_uce_makes_the_model_forget_cats(results):
    before, after = (results["ua", "forget"][key] for key in ("before", "after"))
    assert results["ua", "forget"]["n"] == 6
    assert before <= 34 and after >= 83, (before, after)


def test_uce_keeps_the_other_objects_and_the_styles(results):
    for metric in ("ira", "cra"):
        kept = results[metric, "retain"]
        assert kept["n"] == 174
        assert kept["change"] > -10, (metric, kept)


def test_every_pooled_number_has_an_interval_or_says_why_not(results):
    for (_, group), result in results.items():
        if group in ("forget", "retain", "neighbours"):
            assert result["interval"] or result["note"]
            assert result["n_excluded"] == 0


def pictures(pipe, prompt="a cat image in noto style"):
    generator = torch.Generator().manual_seed(SEED)
    images = pipe(prompt, num_inference_steps=STEPS, guidance_scale=3.0, generator=generator, output_type="np")
    return torch.from_numpy(images.images)


def test_the_run_folder_loads_in_plain_diffusers_and_draws_what_vu_draws(folder):
    from diffusers import StableDiffusionPipeline

    from vu_core.editfiles import read_edit
    from vu_core.edits import edited_weights
    from vu_core.models import load, plan_model
    from vu_core.registry import Registry

    model = load(plan_model("", Registry.discover()), device="cpu", dtype="float32", download=False, revision="")
    source = model.folder
    pipe = StableDiffusionPipeline.from_pretrained(source, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    base = pictures(pipe)
    with warnings.catch_warnings():
        # peft and diffusers warn about each other's deprecations while a LoRA is loaded.
        warnings.simplefilter("ignore")
        pipe.load_lora_weights(folder)
        loaded = pictures(pipe)
        pipe.set_adapters(pipe.get_active_adapters(), 0.0)
        scaled_away = pictures(pipe)
        pipe.unload_lora_weights()
    assert (loaded - base).abs().max() > 0.1
    assert torch.equal(scaled_away, base)
    assert torch.equal(pictures(pipe), base)

    parameters = dict(pipe.unet.named_parameters())
    with torch.no_grad():
        for name, weight in edited_weights(model, [read_edit(folder)]).items():
            parameters[name.removeprefix("unet.")].copy_(weight)
    assert (pictures(pipe) - loaded).abs().max() < 1e-4


def test_repeating_the_run_gives_the_same_edit(folder, cache, tmp_path):
    from typer.testing import CliRunner

    from vu_core.cli import app

    again = tmp_path / "again"
    result = CliRunner().invoke(app, ["run", "-c", str(folder / "run.toml"), "--out", str(again)])
    assert result.exit_code == 0, result.output
    first, second = (json.loads((path / "record.json").read_text()) for path in (folder, again))
    assert first["edit"]["sha256"] == second["edit"]["sha256"]
    assert first["results"] == second["results"]
    assert all(stage["detail"].get("drawn", 0) == 0 for stage in second["stages"])
    assert Path(again, "contact-sheet.png").is_file()


@pytest.fixture
def cache(embedded_cache, monkeypatch):
    """The pictures that the run drew."""
    monkeypatch.setenv("VU_CACHE_DIR", str(embedded_cache))
    return embedded_cache


def test_the_file_in_the_readme_gives_the_commands_edit_and_numbers_and_draws_nothing_anew(
    folder, cache, tmp_path, monkeypatch, capsys
):
    from diffusers import UNet2DConditionModel

    from vu_core.editfiles import read_edit

    def draw(*_, **__):
        raise AssertionError("something is drawn that the run has drawn already")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(UNet2DConditionModel, "forward", draw)
    made = runpy.run_path(str(Path(__file__).parents[1] / "data" / "python" / "forget_cat.py"))
    record = json.loads((folder / "record.json").read_text())
    result = made["result"]
    assert made["edit"].sha256() == record["edit"]["sha256"] == read_edit("cat.safetensors").sha256()
    assert made["edit"].info == record["edit"]["info"] and made["edit"].info["preset"] == "default"
    assert json.loads(json.dumps([asdict(found) for found in result.results])) == record["results"]
    assert capsys.readouterr().out == f"{result}\n{result['ua', 'forget'].after} default\n"


def state_of(pipe):
    modules = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    return {
        "components": {name: id(part) for name, part in pipe.components.items()},
        "parameters": {
            (name, key): (id(p), p.dtype, p.device, p.requires_grad, p.detach().clone().tolist())
            for name, module in modules.items()
            for key, p in module.named_parameters()
            if p.numel() < 10_000 or "attn2" in key
        },
        "modes": [part.training for module in modules.values() for part in module.modules()],
        "scheduler": dict(pipe.scheduler.config),
        "config": dict(pipe.config),
        "progress": dict(pipe._progress_bar_config),
    }


PROTOCOL = """
name = "two@1"
dataset = "emoji"
templates = ["a {object} image in {style} style"]
articles = true
seeds = [0]
[grid]
object = ["cat", "dog"]
style = ["noto"]
[sampler]
steps = 6
guidance_scale = 3.0
micro_batch = 2
[scorers]
object = "emoji-object"
style = "emoji-style"
[metrics]
unrecognised = {}
"""


def test_a_pipeline_in_memory_unlearns_as_the_named_model_and_stays_as_it_was(folder, cache, tmp_path):
    from diffusers import StableDiffusionPipeline

    import vu_core as vu

    named = vu.load_model("emoji")
    pipe = StableDiffusionPipeline.from_pretrained(named.folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True, desc="mine")
    pipe.unet.train()
    pipe.unet.mid_block.eval()
    pipe.vae.requires_grad_(False)
    before = state_of(pipe)
    base = pictures(pipe)
    model = vu.load_model(pipe)
    config = vu.read_edit(folder).info["config"]
    edit = vu.unlearn("uce", model, forget="cat", dataset="emoji", **config)
    assert edit.sha256() == vu.read_edit(folder).sha256() and edit.info["preset"] == "none"
    with edit.applied(model):
        assert (pictures(pipe) - base).abs().max() > 0.1
    (tmp_path / "two.toml").write_text(PROTOCOL)
    result = vu.evaluate(model, edit, protocol=tmp_path / "two.toml", dataset="emoji")
    assert {r.group: r.n for r in result.results if r.group in ("forget", "retain")} == {"forget": 1, "retain": 1}
    assert state_of(pipe) == before and torch.equal(pictures(pipe), base)
