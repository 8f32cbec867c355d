"""Reading folders: tensors, sites, dtypes, variants, shards; and each way a folder can be bad."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from vu_diffusers.families import STABLE_DIFFUSION_XL
from vu_diffusers.model import adopt, load
from vu_diffusers.plugin import vu_models

from vu_core import ConfigError, ModelError
from vu_core.interfaces import CAPABILITIES
from vu_core.testing.pipelines import build_pipeline, write_pipeline

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def broken(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the SD 1.x folder, to damage."""
    return Path(shutil.copytree(folders["sd1"], tmp_path / "broken"))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_spec_is_valid_and_its_capabilities_are_offered(folder: Path) -> None:
    (spec,) = vu_models()
    assert spec.problems() == []
    model = load(str(folder))
    assert all(isinstance(model, CAPABILITIES[name]) for name in spec.capabilities)


def test_sites_are_the_cross_attention_projections_in_forward_order(folder: Path, family: str) -> None:
    model = load(str(folder))
    sites = [site for site in model.sites() if site.role != "embedder"]
    pipe = build_pipeline(family=family)
    called: list[str] = []
    for name, module in pipe.unet.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    pipe("a cat", num_inference_steps=1, guidance_scale=1.0)
    assert [site.path for site in sites] == called[: len(sites)]
    assert len(sites) == {"sd1": 8, "sd2": 8, "sdxl": 16}[family]
    for site in sites:
        weight = pipe.unet.get_submodule(site.path).weight
        assert site.shape == tuple(weight.shape)
        assert (site.component, site.stream, site.bias, site.columns) == ("unet", "text", False, None)
        assert site.role == ("key" if site.path.endswith("to_k") else "value")
        assert torch.equal(model.tensor("unet", site.parameter), weight)


def test_the_embedder_of_sdxl_reads_the_pooled_text_in_its_first_columns(folders: dict[str, Path]) -> None:
    pipe = build_pipeline(family="sdxl")
    seen: dict[str, torch.Tensor] = {}
    pipe.unet.add_embedding.linear_1.register_forward_pre_hook(lambda _, args: seen.update(input=args[0]))
    pipe("a cat", num_inference_steps=1, guidance_scale=1.0)
    for model in (load(str(folders["sdxl"])), adopt(pipe)):
        first = model.sites()[0]
        assert (first.path, first.role, first.stream, first.bias) == (
            "add_embedding.linear_1",
            "embedder",
            "pooled",
            True,
        )
        assert first.shape == tuple(pipe.unet.add_embedding.linear_1.weight.shape) and first.columns == (0, 64)
        pooled = model.encode(["a cat"]).states["pooled"][:, 0]
        assert torch.allclose(seen["input"][:, slice(*first.columns)], pooled, atol=1e-5)


def test_sites_follow_numbers_not_letters() -> None:
    names = [
        f"down_blocks.2.attentions.1.transformer_blocks.{i}.attn2.to_{kind}.weight" for i in range(11) for kind in "vk"
    ]
    paths = [path for path, _ in STABLE_DIFFUSION_XL.sites_in(["up_blocks.0.x.attn2.to_k.weight", *names])]
    assert paths[0].endswith("transformer_blocks.0.attn2.to_k")
    assert paths[-2].endswith("transformer_blocks.10.attn2.to_v")
    assert paths[-1] == "up_blocks.0.x.attn2.to_k"


def test_tensors_are_named_and_typed_as_stored(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path, dtype="float16")
    model = load(str(folder))
    stored = load_file(folder / UNET)
    assert model.tensor_names("unet") == sorted(stored)
    name = model.sites()[0].parameter
    assert model.tensor("unet", name).dtype == torch.float16
    assert torch.equal(model.tensor("unet", name), stored[name])


@pytest.mark.parametrize("options", [{}, {"variant": "fp16"}, {"variant": "fp16", "max_shard_size": "100KB"}])
def test_a_half_precision_folder_computes_in_single_precision(tmp_path: Path, options: dict[str, str]) -> None:
    model = load(str(write_pipeline(tmp_path, dtype="float16", **options)))
    for name in ("unet", "vae", "text_encoder"):
        module = model.component(name)
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
    assert len(model.sites()) == 8
    parameter = model.sites()[0].parameter
    assert torch.equal(model.tensor("unet", parameter).float(), model.component("unet").get_parameter(parameter))


def test_shards_read_like_one_file(tmp_path: Path, folders: dict[str, Path]) -> None:
    whole = load(str(folders["sd1"]))
    sharded = load(str(write_pipeline(tmp_path, max_shard_size="100KB")))
    assert len(list((tmp_path / "unet").glob("*.safetensors"))) > 2
    assert sharded.tensor_names("unet") == whole.tensor_names("unet")
    assert all(
        torch.equal(sharded.tensor("unet", site.parameter), whole.tensor("unet", site.parameter))
        for site in whole.sites()
    )


def test_a_component_is_loaded_once(folders: dict[str, Path]) -> None:
    model = load(str(folders["sd1"]))
    assert model.component("unet") is model.component("unet")
    with pytest.raises(ModelError, match=r"no component 'transformer'.*It has: text_encoder, unet, vae"):
        model.component("transformer")
    with pytest.raises(ModelError, match="no tensor 'nothing'"):
        model.tensor("unet", "nothing")


def test_a_pipeline_in_memory_is_wrapped_and_left_alone() -> None:
    pipe = build_pipeline()
    pipe.unet.train()
    pipe.unet.conv_in.eval()
    before = {name: (parameter, parameter.clone()) for name, parameter in pipe.unet.named_parameters()}
    scheduler, modes = pipe.scheduler, [module.training for module in pipe.unet.modules()]
    model = adopt(pipe)
    first = model.fingerprint()
    settings = model.default_settings()
    list(model.sample(["a cat"], [0], settings))
    assert len(model.sites()) == 8
    assert model.component("unet") is pipe.unet
    assert pipe.scheduler is scheduler
    assert [module.training for module in pipe.unet.modules()] == modes
    for name, parameter in pipe.unet.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
    assert model.fingerprint() == first
    pipe.vae.decoder.conv_in.weight.data[0] += 1
    assert model.fingerprint() != first


def test_a_pipeline_with_adapters_has_no_sites() -> None:
    pipe = build_pipeline()
    parameter = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    weights = {
        f"unet.{parameter}.lora_A.weight": torch.ones(1, 64),
        f"unet.{parameter}.lora_B.weight": torch.ones(32, 1),
    }
    names = [name for name, _ in pipe.unet.named_modules() if name.endswith(("attn2.to_k", "attn2.to_v"))]
    for name in names:
        shape = pipe.unet.get_submodule(name).weight.shape
        weights[f"unet.{name}.lora_A.weight"] = torch.ones(1, shape[1])
        weights[f"unet.{name}.lora_B.weight"] = torch.ones(shape[0], 1)
    pipe.load_lora_weights(weights)
    with pytest.raises(ModelError, match="unload_lora_weights"):
        adopt(pipe).sites()


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load(str(tmp_path / "a" / "b"))
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="is a file"):
        load(str(tmp_path / "file"))


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no pipeline: it has no model_index\.json"):
        load(str(tmp_path))


def test_an_index_that_is_no_json(broken: Path) -> None:
    (broken / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        load(str(broken))


def test_an_unsupported_pipeline_lists_the_supported(broken: Path) -> None:
    edit_json(broken / "model_index.json", _class_name="FluxPipeline")
    with pytest.raises(ModelError, match=r"FluxPipeline.*: StableDiffusionPipeline, StableDiffusionXLPipeline"):
        load(str(broken))


def test_a_component_of_another_class(broken: Path) -> None:
    edit_json(broken / "model_index.json", unet=["my_package", "MyUNet"])
    with pytest.raises(ModelError, match=r"component 'unet'.*MyUNet.*UNet2DConditionModel is needed"):
        load(str(broken))


def test_pickle_weights_are_refused(broken: Path) -> None:
    torch.save(load_file(broken / UNET), broken / "unet/diffusion_pytorch_model.bin")
    (broken / UNET).unlink()
    with pytest.raises(ModelError, match=r"pickle.*run any code.*safe_serialization=True"):
        load(str(broken))


def test_missing_weights(broken: Path) -> None:
    (broken / UNET).unlink()
    with pytest.raises(ModelError, match="holds no safetensors weights"):
        load(str(broken))


def test_a_truncated_file(broken: Path) -> None:
    whole = (broken / UNET).read_bytes()
    (broken / UNET).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"not a readable safetensors file.*truncated"):
        load(str(broken))


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path, max_shard_size="100KB")
    next((folder / "unet").glob("*-00002-*")).unlink()
    with pytest.raises(ModelError, match="lacks the shard"):
        load(str(folder))


def test_an_index_that_points_outside_its_folder(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path, max_shard_size="100KB")
    index = next((folder / "unet").glob("*.index.json"))
    edit_json(index, weight_map={"conv_in.weight": "../vae/diffusion_pytorch_model.safetensors"})
    with pytest.raises(ModelError, match="no safetensors file beside it"):
        load(str(folder))


def test_weights_that_lack_tensors(broken: Path) -> None:
    weights = load_file(broken / UNET)
    del weights["conv_in.weight"]
    save_file(weights, broken / UNET, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of the tensors.*conv_in\.weight"):
        load(str(broken)).component("unet")


def test_weights_of_another_architecture(broken: Path) -> None:
    edit_json(broken / "unet/config.json", cross_attention_dim=32)
    with pytest.raises(ModelError, match="cannot be loaded as a UNet2DConditionModel"):
        load(str(broken)).component("unet")


def test_an_unknown_dtype(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"float8.*Use one of: float32"):
        load(str(folders["sd1"]), dtype="float8")


def test_loading_sites_and_encoding_import_no_diffusers(folders: dict[str, Path]) -> None:
    code = """
import sys
from vu_diffusers.plugin import vu_models
specs = list(vu_models())
assert not {"torch", "transformers", "diffusers"} & set(sys.modules), "the light module is heavy"
from vu_diffusers.model import load
model = load(sys.argv[1])
assert "torch" not in sys.modules, "constructing imports torch"
model.tensor("unet", model.sites()[0].parameter)
assert "transformers" not in sys.modules, "reading tensors imports transformers"
model.encode(["a cat"])
model.default_settings(), model.sampling_key(model.default_settings())
assert "diffusers" not in sys.modules, "encoding imports diffusers"
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folders["sd1"])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Loading" not in done.stderr


def test_the_hash_of_an_encoder_changes_with_its_weights_alone(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = write_pipeline(tmp_path / "one", family="sd1")
    before = load(str(folder)).encoders()
    assert list(before) == ["text_encoder"] and load(str(folder)).encoders() == before
    file = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    tensors[min(tensors)].add_(1)
    save_file(tensors, file, metadata={"format": "pt"})
    assert load(str(folder)).encoders() != before
