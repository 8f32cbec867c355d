"""Training on pictures: latents that the pipeline decodes, noise and targets as the families were trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from vu_diffusers.model import DiffusersModel, adopt, load

from vu_core import ModelError
from vu_core.interfaces import Diffuses
from vu_core.testing.pipelines import build_pipeline, write_pipeline


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def alphas(model: DiffusersModel) -> torch.Tensor:
    """Share of the signal at each timestep, float64, from the schedule's definition."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def test_the_capability_is_offered_and_computes_at_the_size_of_the_pipeline(folder: Path) -> None:
    model = load(str(folder))
    assert isinstance(model, Diffuses)
    assert (model.picture_size, model.training_timesteps) == ((16, 16), 1000)


def test_posteriors_are_the_vae_s_as_the_pipeline_reads_latents(folder: Path, images: torch.Tensor) -> None:
    model = load(str(folder))
    mean, std = model.posterior(images)
    vae = model.component("vae")
    with torch.no_grad():
        direct = vae.encode(images.float() / 127.5 - 1).latent_dist
    torch.testing.assert_close(mean, direct.mean * vae.config.scaling_factor)
    torch.testing.assert_close(std, direct.std * vae.config.scaling_factor)
    assert mean.dtype == torch.float32 and mean.shape == (3, 4, 8, 8)


def test_sdxl_s_normalisation_is_what_its_pipeline_undoes(images: torch.Tensor) -> None:
    """The pipeline's own decoding of its last latents, told to the model as a picture's, inverts the posterior."""
    pipe = build_pipeline(family="sdxl")
    pipe.vae.register_to_config(latents_mean=[0.5, -1.0, 2.0, 0.0], latents_std=[2.0, 0.5, 1.0, 3.0])
    decoded: list[torch.Tensor] = []
    decode = pipe.vae.decode
    pipe.vae.decode = lambda latents, **options: decoded.append(latents) or decode(latents, **options)
    options = {"num_inference_steps": 1, "guidance_scale": 0.0}
    last = pipe("a cat", generator=torch.manual_seed(0), output_type="latent", **options).images
    pipe("a cat", generator=torch.manual_seed(0), output_type="pt", **options)
    (raw,) = decoded
    model = adopt(pipe)
    with torch.no_grad():
        direct = pipe.vae.encode(images.float() / 127.5 - 1).latent_dist
    # An affine map by channel takes what the VAE decodes to what the denoiser reads; the posterior must follow it.
    slope = (last[0, :, 1:, :] - last[0, :, :-1, :]) / (raw[0, :, 1:, :] - raw[0, :, :-1, :])
    slope = slope.flatten(1).median(dim=1).values.view(1, 4, 1, 1)
    offset = (last - raw * slope).mean((2, 3), keepdim=True)
    mean, std = model.posterior(images)
    torch.testing.assert_close(mean, direct.mean * slope + offset, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(std, direct.std * slope, rtol=1e-3, atol=1e-4)


def test_stable_diffusion_ignores_that_normalisation_as_its_pipeline_does(images: torch.Tensor) -> None:
    pipe = build_pipeline(family="sd1")
    before, _ = adopt(pipe).posterior(images)
    pipe.vae.register_to_config(latents_mean=[0.5] * 4, latents_std=[2.0] * 4)
    assert torch.equal(adopt(pipe).posterior(images)[0], before)


def test_noise_and_targets_follow_the_definitions(folder: Path, family: str) -> None:
    model = load(str(folder))
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(4, 4, 8, 8, generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 250, 600, 999])
    share = alphas(model)[timesteps].view(-1, 1, 1, 1)
    noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
    torch.testing.assert_close(model.add_noise(latents, noise, timesteps).double(), noisy, rtol=0, atol=1e-5)
    velocity = share.sqrt() * noise - (1 - share).sqrt() * latents
    expected = velocity if family == "sd2" else noise.double()
    torch.testing.assert_close(model.target(latents, noise, timesteps).double(), expected, rtol=0, atol=1e-5)


def test_models_that_predict_the_sample(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": "sample"}))
    latents = torch.randn(1, 4, 8, 8)
    assert torch.equal(load(str(copy)).target(latents, torch.zeros_like(latents), torch.tensor([5])), latents)


def test_the_key_changes_with_the_vae_and_with_nothing_else(folders: dict[str, Path], tmp_path: Path) -> None:
    key = load(str(folders["sd1"])).posterior_key()
    assert key == load(str(folders["sd1"])).posterior_key() == json.loads(json.dumps(key))
    other = write_pipeline(tmp_path / "other", seed=1)
    assert load(str(other)).posterior_key() != key
    shutil.copytree(folders["sd1"] / "vae", other / "vae", dirs_exist_ok=True)
    assert load(str(other)).posterior_key() == key


def test_a_folder_says_that_its_denoiser_was_trained_on_means(
    folder: Path, tmp_path: Path, images: torch.Tensor
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "vu_training.json").write_text('{"posterior": "mean"}')
    usual, told = load(str(folder)), load(str(copy))
    assert torch.equal(told.posterior(images)[0], usual.posterior(images)[0])
    assert not told.posterior(images)[1].any() and usual.posterior(images)[1].all()
    assert told.posterior_key() != usual.posterior_key()
    (copy / "vu_training.json").write_text('{"posterior": "mode"}')
    with pytest.raises(ModelError, match=r"vu_training\.json' holds"):
        told.posterior(images)


def test_training_flags_and_gradients_are_left_as_they_were(images: torch.Tensor) -> None:
    pipe = build_pipeline()
    pipe.vae.train().requires_grad_(True)
    mean, _ = adopt(pipe).posterior(images)
    assert pipe.vae.training and pipe.vae.encoder.training and not mean.requires_grad


def test_half_precision_that_overflows_is_widened_and_put_back(folder: Path, images: torch.Tensor) -> None:
    wide = load(str(folder)).posterior(images)[0]
    model = load(str(folder), dtype="float16")
    vae = model.component("vae")
    vae.register_to_config(force_upcast=True)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    mean, _ = model.posterior(images)
    assert (mean - wide).abs().max() < 0.01
    assert all(tensor.dtype == torch.float16 for tensor in vae.state_dict().values())
    assert all(torch.equal(vae.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_vae_with_nan_is_named(images: torch.Tensor) -> None:
    pipe = build_pipeline()
    pipe.vae.quant_conv.bias.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="the VAE of 'pipeline' gives latents that are not finite"):
        adopt(pipe).posterior(images)
