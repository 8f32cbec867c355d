"""FADE's step as published, that step at its best, and saliency as published: what `fade.py` measures against.

They mirror the public implementation as far as it costs time or memory; see the docstring of `fade.py`. They share no
code with vu-fade and vu-train.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

LAYERS = ("to_k", "to_q", "to_v", "to_out.0")
RANK, LEARNING_RATE, WEIGHTS = 4, 1e-4, {"forget": 0.3, "retain": 1.0}
FORGET, OVERWRITING, RETAIN = "a photo of a cat", "a photo of a dog", "a photo of a house"


@dataclass(frozen=True)
class Setting:
    """A model, a resolution and batches."""

    folder: Path
    size: int
    batch: int
    pictures: int

    def images(self, seed: int) -> torch.Tensor:
        shape = (self.pictures, 3, self.size, self.size)
        return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


class Published:
    """The published step on a pipeline of its own."""

    def __init__(self, setting: Setting) -> None:
        from diffusers import DDPMScheduler

        self.setting, self.pipe = setting, load_pipeline(setting.folder)
        self.unet = with_peft(self.pipe.unet)
        self.schedule = DDPMScheduler.from_config(self.pipe.scheduler.config)
        parameters = [parameter for parameter in self.unet.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
        self.data = {"forget": setting.images(0), "retain": setting.images(1)}
        self.forget = cycle(self.loader("forget"))

    def loader(self, name: str) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(self.data[name], batch_size=self.setting.batch, shuffle=True, drop_last=True)

    def step(self) -> None:
        forget, retain = (self.noised(images) for images in (next(self.forget), next(iter(self.loader("retain")))))
        states, overwriting, retained = (self.states(text) for text in (FORGET, OVERWRITING, RETAIN))
        losses = {
            "forget": F.mse_loss(self.student(forget, states), self.teacher(forget, overwriting)),
            "retain": F.mse_loss(self.student(retain, retained), self.teacher(retain, retained)),
        }
        total = sum(WEIGHTS[name] * loss for name, loss in losses.items())
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        for value in (total, *losses.values()):
            value.item()

    def noised(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            latents = self.pipe.vae.encode(images.float() / 127.5 - 1).latent_dist.sample()
        latents = latents * self.pipe.vae.config.scaling_factor
        timesteps = torch.randint(0, self.schedule.config.num_train_timesteps, (len(latents),))
        return self.schedule.add_noise(latents, torch.randn_like(latents), timesteps), timesteps

    def states(self, text: str) -> torch.Tensor:
        tokenizer, texts = self.pipe.tokenizer, [text] * self.setting.batch
        tokens = tokenizer(
            texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            return self.pipe.text_encoder(tokens.input_ids)[0]

    def student(self, noisy: tuple[torch.Tensor, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        return self.unet(*noisy, encoder_hidden_states=states).sample

    def teacher(self, noisy: tuple[torch.Tensor, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), without_adapter(self.unet):
            return self.unet(*noisy, encoder_hidden_states=states).sample

    def steps(self, count: int) -> list[float]:
        return [seconds(self.step) for _ in range(count + 1)][1:]


class Vectorised(Published):
    """The same losses with nothing computed twice."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        texts = [self.states(text) for text in (FORGET, OVERWRITING, RETAIN)]
        self.student_states = torch.cat([texts[0], texts[2]])
        self.teacher_states = torch.cat([texts[1], texts[2]])
        self.posteriors = {}
        with torch.no_grad():
            for name, images in self.data.items():
                found = [self.pipe.vae.encode(image[None].float() / 127.5 - 1).latent_dist for image in images]
                self.posteriors[name] = torch.cat([one.mean for one in found]), torch.cat([one.std for one in found])
        self.scaling = self.pipe.vae.config.scaling_factor
        self.pipe.vae = self.pipe.text_encoder = None
        self.done = 0

    def step(self) -> None:
        latents = torch.cat([self.latents(name) for name in self.posteriors])
        timesteps = torch.randint(0, self.schedule.config.num_train_timesteps, (len(latents),))
        noisy = self.schedule.add_noise(latents, torch.randn_like(latents), timesteps), timesteps
        teacher = self.teacher(noisy, self.teacher_states)
        student = self.student(noisy, self.student_states)
        batch = self.setting.batch
        total = WEIGHTS["forget"] * F.mse_loss(student[:batch], teacher[:batch])
        total = total + WEIGHTS["retain"] * F.mse_loss(student[batch:], teacher[batch:])
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        if self.done % 10 == 0:
            total.item()

    def latents(self, name: str) -> torch.Tensor:
        mean, std = self.posteriors[name]
        chosen = torch.randint(0, len(mean), (self.setting.batch,))
        return (mean[chosen] + std[chosen] * torch.randn_like(mean[chosen])) * self.scaling


def saliency_losses(pipe, setting: Setting) -> Iterator[torch.Tensor]:
    """Yield the loss of each batch of an epoch; latents and states are at hand."""
    from diffusers import DDPMScheduler

    schedule, generator = DDPMScheduler.from_config(pipe.scheduler.config), torch.Generator().manual_seed(0)
    side, channels = setting.size // pipe.vae_scale_factor, pipe.unet.config.in_channels
    for _ in range(0, setting.pictures, setting.batch):
        latents, noise = (torch.randn(setting.batch, channels, side, side, generator=generator) for _ in range(2))
        states = torch.randn(
            setting.batch, pipe.tokenizer.model_max_length, pipe.unet.config.cross_attention_dim, generator=generator
        )
        timesteps = torch.randint(0, 1000, (setting.batch,), generator=generator)
        noisy = schedule.add_noise(latents, noise, timesteps)
        yield F.mse_loss(pipe.unet(noisy, timesteps, encoder_hidden_states=states).sample, noise)


def matrices(unet) -> dict[str, torch.nn.Parameter]:
    layers = {
        name: layer for name, layer in unet.named_modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    }
    return {name: layer.weight for name, layer in layers.items()}


def saliency_published(pipe, setting: Setting) -> dict[str, float]:
    """Keep every gradient, and a sum of absolute gradients beside them."""
    pipe.unet.requires_grad_(True)
    sums = {name: torch.zeros_like(weight) for name, weight in matrices(pipe.unet).items()}
    for loss in saliency_losses(pipe, setting):
        loss.backward()
        for name, weight in matrices(pipe.unet).items():
            sums[name] += weight.grad.abs()
        pipe.unet.zero_grad()
    return {name: total.mean().item() for name, total in sums.items()}


def load_pipeline(folder: Path):
    import diffusers
    from diffusers import StableDiffusionPipeline

    diffusers.logging.disable_progress_bar()
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, dtype=torch.float32)
    for module in (pipe.vae, pipe.text_encoder, pipe.unet):
        module.requires_grad_(False).eval()
    return pipe


def with_peft(unet):
    from peft import LoraConfig

    config = LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=list(LAYERS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unet.add_adapter(config)
    return unet


@contextmanager
def without_adapter(unet) -> Iterator[None]:
    unet.disable_adapters()
    yield
    unet.enable_adapters()


def cycle(loader) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
