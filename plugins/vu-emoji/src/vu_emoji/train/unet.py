"""Training of the denoiser on cached latents."""

from __future__ import annotations

import logging
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vu_emoji.catalogue import Catalogue
from vu_emoji.train.files import Checkpoint
from vu_emoji.train.latents import LatentPool
from vu_emoji.train.loop import Progress
from vu_emoji.train.optimizers import build_optimizer
from vu_emoji.train.pool import Captioner
from vu_emoji.train.settings import UnetSettings

log = logging.getLogger(__name__)

SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
}


def build_unet(settings: UnetSettings, latents: LatentPool) -> Any:
    """Returns an untrained UNet2DConditionModel that fits the cached latents and text states."""
    from diffusers import UNet2DConditionModel

    down = {"A": "CrossAttnDownBlock2D", "C": "DownBlock2D"}
    up = {"A": "CrossAttnUpBlock2D", "C": "UpBlock2D"}
    torch.manual_seed(settings.seed)
    return UNet2DConditionModel(
        sample_size=latents.latents.shape[-1],
        in_channels=latents.latents.shape[1],
        out_channels=latents.latents.shape[1],
        down_block_types=tuple(down[level] for level in settings.levels),
        up_block_types=tuple(up[level] for level in reversed(settings.levels)),
        block_out_channels=settings.channels,
        layers_per_block=1,
        # diffusers takes this for the number of heads.
        attention_head_dim=settings.heads,
        cross_attention_dim=latents.states.shape[-1],
        norm_num_groups=16,
    )


def noise_levels(device: str = "cpu") -> torch.Tensor:
    """Returns float32 (T,): the schedule's cumulative alphas."""
    from diffusers import DDPMScheduler

    alphas: torch.Tensor = DDPMScheduler(**SCHEDULE).alphas_cumprod.to(device)
    return alphas


def velocity_loss(
    model: nn.Module,
    latents: torch.Tensor,
    states: torch.Tensor,
    times: torch.Tensor,
    alphas: torch.Tensor,
    generator: torch.Generator,
    gamma: float,
) -> torch.Tensor:
    """Returns the v-prediction loss, weighted by min(SNR, gamma) / (SNR + 1) (Hang et al. 2023).

    Args:
        model: the denoiser.
        latents: float32 (B, 4, h, w).
        states: float32 (B, positions, width).
        times: int64 (B,).
        alphas: cumulative alphas of the schedule.
        generator: of the noise.
        gamma: cap of the signal-to-noise ratio.
    """
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    level = alphas[times].view(-1, 1, 1, 1)
    signal_part, noise_part = level.sqrt(), (1 - level).sqrt()
    noisy = signal_part * latents + noise_part * noise
    wanted = signal_part * noise - noise_part * latents
    made = model(noisy, times, states, return_dict=False)[0]
    ratio = level / (1 - level)
    weight = ratio.clamp(max=gamma) / (ratio + 1)
    loss: torch.Tensor = (weight * (made - wanted).square()).mean()
    return loss


class CaptionedBatches:
    """Draws batches of latents, text states and time steps; a step's batch depends on it alone."""

    def __init__(self, catalogue: Catalogue, cache: LatentPool, settings: UnetSettings) -> None:
        self.catalogue = catalogue
        self.cache = cache
        self.settings = settings
        self.captioner = Captioner(catalogue)
        self.captioner.list_all()
        self.empty = self.captioner.number(None, None, None, 0)

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the latents, text states and time steps of a step."""
        rng = np.random.default_rng([self.settings.seed, step])
        size = self.settings.batch
        rows = torch.from_numpy(rng.integers(0, len(self.cache.latents), size))
        numbers = []
        for row in rows.tolist():
            if rng.random() < self.settings.empty_share:
                numbers.append(self.empty)
                continue
            numbers.append(
                self.captioner.draw(
                    self.catalogue.object_names[int(self.cache.objects[row])],
                    self.catalogue.style_names[int(self.cache.styles[row])],
                    self.catalogue.background_names[int(self.cache.backgrounds[row])],
                    rng,
                )
            )
        # One time step from each of B equal stretches: less variance than B free draws.
        spread = (rng.permutation(size) + rng.random(size)) / size
        times = torch.from_numpy((spread * SCHEDULE["num_train_timesteps"]).astype(np.int64))
        return self.cache.latents[rows].float(), self.cache.states[numbers].float(), times


class Average:
    """An exponential moving average of a module's weights, shorter while training is young."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average toward the model."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own: list[torch.Tensor] = list(self.model.parameters())
        new: list[torch.Tensor] = list(model.parameters())
        torch._foreach_lerp_(own, new, 1 - decay)


def rate(step: int, settings: UnetSettings, decay_from: int | None) -> float:
    """Returns the share of the peak rate at a step."""
    if decay_from is not None:
        return max(0.0, 1 - (step - decay_from) / settings.decay)
    return min(1.0, (step + 1) / settings.warm_up)


class Run:
    """A denoiser in training: its weights, their average, the optimiser and where it stands.

    Args:
        cache: latents and text states.
        settings: shape and budget.
        checkpoint_path: the loop's state, resumed when there.
        final_path: of the last stretch, in which the rate falls to zero; that stretch starts from
            ``checkpoint_path`` or resumes here. None while the rate is held.
        device: where the denoiser, its average and the optimiser's state are; noise is drawn on the CPU.
    """

    def __init__(
        self,
        cache: LatentPool,
        settings: UnetSettings,
        checkpoint_path: Path,
        final_path: Path | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        self.settings = settings
        self.device = device
        self.alphas = noise_levels(device)
        self.model = build_unet(settings, cache).to(device)
        self.average = Average(self.model, settings.ema)
        self.optimizer = build_optimizer(
            self.model,
            settings.optimizer,
            settings.learning_rate,
            settings.weight_decay,
            outer_rate=settings.outer_learning_rate,
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        modules = {"model": self.model, "ema": self.average.model}
        self.checkpoint = Checkpoint(checkpoint_path, modules, self.optimizer)
        notes = self.checkpoint.load(self.generator) or {"step": 0}
        self.decay_from: int | None = None
        self.last = settings.steps
        if final_path is not None:
            self.checkpoint = Checkpoint(final_path, modules, self.optimizer)
            held = notes["step"]
            notes = self.checkpoint.load(self.generator) or notes
            self.decay_from = notes.get("decay_from") or held
            self.last = self.decay_from + settings.decay
        self.step: int = notes["step"]

    def take_step(self, batches: CaptionedBatches) -> float:
        """Takes one step and returns the loss."""
        share = rate(self.step, self.settings, self.decay_from)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        latents, states, times = (part.to(self.device) for part in batches.draw(self.step))
        loss = velocity_loss(self.model, latents, states, times, self.alphas, self.generator, self.settings.gamma)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        return loss.item()

    def save(self) -> None:
        """Writes the state."""
        images = self.step * self.settings.batch
        self.checkpoint.save({"step": self.step, "images": images, "decay_from": self.decay_from}, self.generator)


def train_unet(
    catalogue: Catalogue,
    cache: LatentPool,
    settings: UnetSettings,
    checkpoint_path: Path,
    final_path: Path | None = None,
    *,
    device: str = "cpu",
) -> int:
    """Trains the denoiser and returns the number of steps done; see :class:`Run` for paths and device.

    Stops after ``settings.steps``, or with its state saved when told to by SIGTERM or SIGINT.
    """
    run = Run(cache, settings, checkpoint_path, final_path, device=device)
    size = sum(p.numel() for p in run.model.parameters()) / 1e6
    log.info("unet: %.2f M parameters, from step %d to %d", size, run.step, run.last)
    batches = CaptionedBatches(catalogue, cache, settings)
    progress = Progress("unet", every=50)
    stop: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.append(number))
    run.model.train()
    while run.step < run.last and not stop:
        loss = run.take_step(batches)
        progress.add(run.step - 1, settings.batch, loss=loss)
        if run.step % settings.save_every == 0:
            run.save()
    run.save()
    log.info("unet: stopped at step %d, state saved", run.step)
    return run.step
