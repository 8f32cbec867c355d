"""Pictures: equal to the pipeline's own, and the same in any company."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from vu_diffusers.model import DiffusersModel, load

from vu_core import ComputeError, ConfigError, ModelError, SamplerSettings
from vu_core.cache import key_sha256
from vu_core.testing.pipelines import build_pipeline, write_pipeline

PROMPTS = ["a cat", "a dog", "a house", "a red fish", "a round car", "", "sky"]
SEEDS = [3, 1, 4, 1, 5, 9, 2**63]
FEW = SamplerSettings(steps=3, guidance_scale=4.0, micro_batch=3)


def pil_tensor(image) -> torch.Tensor:
    return torch.from_numpy(numpy.array(image)).permute(2, 0, 1)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model(folders: dict[str, Path]) -> DiffusersModel:
    return load(str(folders["sd1"]))


@pytest.mark.parametrize("negative", ["", "blue"])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pictures_equal_the_pipelines_own(folder: Path, family: str, guidance: float, negative: str) -> None:
    settings = replace(FEW, guidance_scale=guidance, negative_prompt=negative, micro_batch=2)
    pipe = build_pipeline(family=family)
    expected = pipe(
        PROMPTS[:2],
        negative_prompt=[negative] * 2 if negative else None,
        num_inference_steps=3,
        guidance_scale=guidance,
        latents=torch.cat([noise(seed) for seed in SEEDS[:2]]),
    ).images
    drawn = list(load(str(folder)).sample(PROMPTS[:2], SEEDS[:2], settings))
    for picture, image in zip(drawn, expected, strict=True):
        assert picture.dtype == torch.uint8
        assert picture.shape == (3, 16, 16)
        assert torch.equal(picture, pil_tensor(image))


def test_a_picture_does_not_depend_on_its_company(folder: Path) -> None:
    model = load(str(folder))
    together = list(model.sample(PROMPTS, SEEDS, FEW))
    order = [5, 0, 6, 2, 1]
    shuffled = model.sample([PROMPTS[i] for i in order], [SEEDS[i] for i in order], FEW)
    assert all(torch.equal(together[i], picture) for i, picture in zip(order, shuffled, strict=True))
    alone = [next(model.sample([prompt], [seed], FEW)) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    assert len({key_sha256({"bytes": picture.flatten().tolist()}) for picture in together}) == len(PROMPTS)


@pytest.mark.parametrize("scheduler", ["EulerAncestralDiscreteScheduler", "DDPMScheduler"])
def test_noise_added_in_the_steps_belongs_to_the_picture(model: DiffusersModel, scheduler: str) -> None:
    settings = replace(FEW, scheduler=scheduler, steps=4)
    state = torch.get_rng_state()
    together = list(model.sample(PROMPTS, SEEDS, settings))
    backwards = list(model.sample(PROMPTS[::-1], SEEDS[::-1], settings))
    assert all(torch.equal(a, b) for a, b in zip(together, backwards[::-1], strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together[1], next(model.sample(["a dog"], [2], settings)))


def test_other_micro_batches_agree_closely(model: DiffusersModel) -> None:
    three, five = (list(model.sample(PROMPTS, SEEDS, replace(FEW, micro_batch=size))) for size in (3, 5))
    assert max((a.int() - b.int()).abs().max().item() for a, b in zip(three, five, strict=True)) <= 1


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_sequential_noise_is_drawn_as_a_script_would(model: DiffusersModel, micro_batch: int) -> None:
    settings = replace(FEW, noise="sequential", micro_batch=micro_batch)
    pipe = build_pipeline()
    generator = torch.Generator().manual_seed(7)
    expected = [
        pipe(prompt, num_inference_steps=3, guidance_scale=4.0, generator=generator).images[0] for prompt in PROMPTS[:3]
    ]
    drawn = model.sample(PROMPTS[:3], [7, 0, 0], settings)
    for picture, image in zip(drawn, expected, strict=True):
        assert (picture.int() - pil_tensor(image).int()).abs().max() <= 1


def test_sequential_noise_in_the_steps_at_a_micro_batch_of_one(model: DiffusersModel, folders: dict[str, Path]) -> None:
    from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionPipeline

    name = "EulerAncestralDiscreteScheduler"
    pipe = StableDiffusionPipeline.from_pretrained(folders["sd1"])
    pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    generator = torch.Generator().manual_seed(7)
    expected = [pipe(p, num_inference_steps=3, guidance_scale=4.0, generator=generator).images[0] for p in PROMPTS[:3]]
    drawn = model.sample(PROMPTS[:3], [7, 7, 7], replace(FEW, scheduler=name, noise="sequential", micro_batch=1))
    assert all(torch.equal(a, pil_tensor(b)) for a, b in zip(drawn, expected, strict=True))


def test_sizes(model: DiffusersModel) -> None:
    (picture,) = model.sample(["a cat"], [0], replace(FEW, height=24, width=32, micro_batch=1))
    assert picture.shape == (3, 24, 32)


def test_two_iterators_do_not_disturb_each_other(model: DiffusersModel) -> None:
    expected = [list(model.sample(PROMPTS, SEEDS, replace(FEW, steps=steps))) for steps in (2, 5)]
    mixed = zip(*(model.sample(PROMPTS, SEEDS, replace(FEW, steps=steps)) for steps in (2, 5)), strict=True)
    for index, (short, long) in enumerate(mixed):
        assert torch.equal(short, expected[0][index])
        assert torch.equal(long, expected[1][index])


def test_no_prompts_no_pictures(model: DiffusersModel) -> None:
    assert list(model.sample([], [], FEW)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps cannot be 0"),
        ({"guidance_scale": float("nan")}, "guidance_scale cannot be nan"),
        ({"guidance_scale": -1.0}, "guidance_scale"),
        ({"micro_batch": 0}, "micro_batch cannot be 0"),
        ({"height": 20}, "height cannot be 20.*multiple of 8"),
        ({"noise": "none"}, "'per-image' or 'sequential'"),
        ({"scheduler": "DIMScheduler"}, "Did you mean 'DDIMScheduler'"),
        ({"scheduler": "DPMSolverSDEScheduler"}, "cannot be used"),
        ({"scheduler": "FlowMatchEulerDiscreteScheduler"}, "cannot be used"),
    ],
)
def test_settings_are_checked_at_once(model: DiffusersModel, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.sample(["a cat"], [0], replace(FEW, **changes))


@pytest.mark.parametrize("seeds", [[1], [1, -1], [1, 2**64]])
def test_seeds_are_checked_at_once(model: DiffusersModel, seeds: list[int]) -> None:
    with pytest.raises(ConfigError, match="seed"):
        model.sample(["a cat", "a dog"], seeds, FEW)


def test_nan_weights_are_an_error(tmp_path: Path) -> None:
    file = write_pipeline(tmp_path) / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_out.weight"][0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ComputeError, match="not finite"):
        list(load(str(tmp_path)).sample(["a cat"], [0], FEW))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_draws_nearly_the_same(model: DiffusersModel, folders: dict[str, Path], dtype: str) -> None:
    half = load(str(folders["sd1"]), dtype=dtype)
    pairs = zip(half.sample(PROMPTS, SEEDS, FEW), model.sample(PROMPTS, SEEDS, FEW), strict=True)
    assert max((a.float() - b.float()).abs().mean() for a, b in pairs) < 4


def test_default_settings(folders: dict[str, Path], tmp_path: Path) -> None:
    assert load(str(folders["sd1"])).default_settings() == SamplerSettings(steps=50, guidance_scale=7.5, micro_batch=8)
    assert load(str(folders["sdxl"])).default_settings().guidance_scale == 5.0
    folder = write_pipeline(tmp_path)
    (folder / "vu_sampling.json").write_text(json.dumps({"steps": 12, "scheduler": "DDIMScheduler"}))
    assert load(str(folder)).default_settings() == SamplerSettings(
        steps=12, guidance_scale=7.5, scheduler="DDIMScheduler", micro_batch=8
    )
    (folder / "vu_sampling.json").write_text(json.dumps({"step": 12}))
    with pytest.raises(ModelError, match=r"vu_sampling\.json.*'step'.*Did you mean 'steps'"):
        load(str(folder)).default_settings()


def test_the_key_changes_with_all_that_decides_a_picture(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load(str(folders["sd1"]))
    base = json.dumps(model.sampling_key(FEW), sort_keys=True)
    changes = [
        {"steps": 4},
        {"guidance_scale": 5.0},
        {"scheduler": "DDIMScheduler"},
        {"height": 24},
        {"width": 24},
        {"negative_prompt": "blue"},
        {"micro_batch": 4},
        {"noise": "sequential"},
    ]
    keys = {json.dumps(model.sampling_key(replace(FEW, **change)), sort_keys=True) for change in changes}
    keys.add(json.dumps(load(str(folders["sd1"]), dtype="float16").sampling_key(FEW), sort_keys=True))
    keys.add(json.dumps(load(str(write_pipeline(tmp_path, seed=1))).sampling_key(FEW), sort_keys=True))
    assert len(keys | {base}) == len(changes) + 3
    assert json.dumps(load(str(folders["sd1"])).sampling_key(replace(FEW, height=16)), sort_keys=True) == base


def test_the_key_names_float32_that_is_not_multiplied_as_such(folders: dict[str, Path]) -> None:
    model = load(str(folders["sd1"]))
    exact = model.sampling_key(FEW)
    assert "float32" not in exact
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert model.sampling_key(FEW) == {**exact, "float32": {"convolutions": "ieee", "matmuls": "bf16"}}
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_key_names_what_convolutions_do_on_cuda(folders: dict[str, Path]) -> None:
    # A key is made of configurations alone: no device is needed.
    model = load(str(folders["sd1"]), device="cuda")
    default = model.sampling_key(FEW)
    convolutions = torch.backends.cudnn
    before = convolutions.allow_tf32
    try:
        convolutions.allow_tf32 = not before
        assert model.sampling_key(FEW) != default
    finally:
        convolutions.allow_tf32 = before


def test_pictures_do_not_depend_on_the_callers_settings(folder: Path) -> None:
    expected = list(load(str(folder)).sample(PROMPTS[:4], SEEDS[:4], FEW))
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        torch.set_default_device("meta")
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = list(load(str(folder)).sample(PROMPTS[:4], SEEDS[:4], FEW))
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))


def test_the_key_is_json_whatever_the_scheduler_stores(tmp_path: Path) -> None:
    from diffusers import DPMSolverMultistepScheduler

    folder = write_pipeline(tmp_path)
    DPMSolverMultistepScheduler().save_pretrained(folder / "scheduler")
    assert "-Infinity" in (folder / "scheduler/scheduler_config.json").read_text()
    model = load(str(folder))
    assert '"lambda_min_clipped": "-inf"' in json.dumps(model.sampling_key(FEW), allow_nan=False)
    assert len(list(model.sample(["a cat"], [0], FEW))) == 1
