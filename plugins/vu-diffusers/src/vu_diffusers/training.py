"""What training on pictures needs of a pipeline: latents of pictures, and the noise schedule it was trained with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core import ModelError
from vu_core.modes import evaluating
from vu_core.numerics import torch_defaults
from vu_core.weights import read_json

if TYPE_CHECKING:
    import torch

    from vu_diffusers.sources import Source

TRAINING_FILE = "vu_training.json"
"""Optional file of a model folder: ``{"posterior": "mean"}`` when its denoiser was trained on means, not on samples."""

_PACKAGES = ("vu-diffusers", "torch", "diffusers")
_POSTERIORS = ("sample", "mean")


class Diffusing(ABC):
    """The capability `Diffuses` over a pipeline's parts; `DiffusersModel` inherits it."""

    name: str
    device: str
    dtype: str
    folder: Path | None
    _source: Source
    _modules: dict[str, torch.nn.Module]
    _float32_encoders: dict[str, torch.nn.Module]

    @abstractmethod
    def component(self, name: str) -> torch.nn.Module:
        """Return a component of the pipeline."""

    @property
    def training_timesteps(self) -> int:
        """Number of noise levels of the schedule it was trained with."""
        return int(self._schedule.config.num_train_timesteps)

    @torch_defaults()
    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of the latents of ``images``: float32 (N, C, h, w) on the CPU.

        The deviation is zero where the model's folder says that its denoiser was trained on means.

        Args:
            images: uint8 (N, 3, H, W) RGB; H and W multiples of the VAE's factor.

        Raises:
            ModelError: Latents are not finite, as with NaN weights; or the folder's file is malformed.
        """
        vae = self.component("vae")
        with evaluating([vae]), _wide_enough(vae):
            mean, std = _posterior(vae, images)
        shift, scale = self._normalisation()
        mean, std = (mean - shift) * scale, std * scale * (self._trained_on() == "sample")
        if not (mean.isfinite().all() and std.isfinite().all()):
            raise ModelError(
                f"the VAE of '{self.name}' gives latents that are not finite",
                hint="Its weights hold NaN or infinite values, or overflow in this dtype.",
            )
        return mean, std

    def posterior_key(self) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a posterior besides the image."""
        import torch

        return {
            "vae": self._source.sha256("vae"),
            "class": str(self._source.config("vae").get("_class_name")),
            "posterior": self._trained_on(),
            "normalisation": [values.flatten().tolist() for values in self._normalisation()],
            "dtype": self.dtype,
            "device": torch.device(self.device).type,
            "versions": {package: version(package) for package in _PACKAGES},
        }

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return ``latents`` float (N, C, h, w) with ``noise`` at ``timesteps`` int64 (N,), as `denoise` reads them."""
        noisy: torch.Tensor = self._schedule.add_noise(latents, noise, timesteps)
        return noisy

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return what `denoise` was trained to predict for the same arguments of `add_noise`: (N, C, h, w).

        The noise, the velocity or the latents, as the scheduler's ``prediction_type`` says.
        """
        if self._schedule.config.prediction_type == "v_prediction":
            velocity: torch.Tensor = self._schedule.get_velocity(latents, noise, timesteps)
            return velocity
        return latents if self._schedule.config.prediction_type == "sample" else noise

    def unload_encoders(self) -> None:
        """Free the memory of VAE and text encoders; a pipeline in memory keeps its own."""
        for name in ("vae", *self._source.family.tokenizers):
            self._modules.pop(name, None)
            self._float32_encoders.pop(name, None)

    @cached_property
    def _schedule(self) -> Any:
        """A ``DDPMScheduler``: whatever it is sampled with, each family is trained with discrete DDPM noise."""
        from diffusers import DDPMScheduler

        from vu_core.quiet import quiet

        with quiet("diffusers"):
            return DDPMScheduler.from_config(dict(self._source.config("scheduler")))

    def _trained_on(self) -> str:
        """Return what the denoiser was trained on: a ``"sample"`` of the posterior, as usual, or its ``"mean"``."""
        path = self.folder / TRAINING_FILE if self.folder else None
        if path is None or not path.is_file():
            return "sample"
        given = read_json(path)
        if set(given) != {"posterior"} or given["posterior"] not in _POSTERIORS:
            raise ModelError(
                f"'{path}' holds {given}", hint='It holds {"posterior": "mean"} or {"posterior": "sample"}.'
            )
        return str(given["posterior"])

    def _normalisation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return shift and scale of latents, each (1, C or 1, 1, 1): those that the pipeline undoes to decode."""
        import torch

        config = self._source.config("vae")
        shift, scale = torch.zeros(1), torch.tensor([float(config["scaling_factor"])])
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if self._source.family.normalised_latents and mean is not None and std is not None:
            shift, scale = torch.tensor(mean), scale / torch.tensor(std)
        return shift.view(1, -1, 1, 1), scale.view(1, -1, 1, 1)


def _posterior(vae: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    with torch.no_grad():
        found = vae.encode(images.to(vae.device, vae.dtype) / 127.5 - 1).latent_dist
    return found.mean.float().cpu(), found.std.float().cpu()


@contextmanager
def _wide_enough(vae: Any) -> Iterator[None]:
    """Encode in float32 where the VAE says that it overflows in float16, as the pipelines do when they decode."""
    import torch

    stored = vae.dtype
    upcast = stored == torch.float16 and vae.config.force_upcast
    try:
        if upcast:
            vae.to(torch.float32)
        yield
    finally:
        if upcast:
            vae.to(stored)
