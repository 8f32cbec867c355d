"""A diffusers text-to-image pipeline as a model of vu: capabilities over lazily loaded parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vu_core import ConfigError, Encoding, ModelError, SamplerSettings, Site
from vu_core.config import validate
from vu_core.edits import check_unedited
from vu_core.modes import evaluating, while_evaluating
from vu_core.numerics import float32_precision, torch_defaults
from vu_core.weights import read_json
from vu_diffusers.families import POOLED, TEXT
from vu_diffusers.hub import find_folder
from vu_diffusers.sources import FolderSource, PipelineSource, Source
from vu_diffusers.training import Diffusing

if TYPE_CHECKING:
    import torch

SAMPLING_FILE = "vu_sampling.json"
"""Optional file of a model folder: fields of `SamplerSettings` that suit this model."""

_DTYPES = ("float32", "float16", "bfloat16")
_PACKAGES = ("vu-diffusers", "torch", "diffusers", "transformers")
# Larger ones are hardly faster on a CPU, and cost more where the last one is filled up.
_LARGEST_BATCH = 8
_PIXELS_AT_ONCE = 2**20


def load(
    source: str, *, device: str = "cpu", dtype: str = "float32", download: bool = False, revision: str | None = None
) -> DiffusersModel:
    """Return the pipeline in a folder or under a hub id. Only JSON files and the headers of weight files are read now.

    Args:
        source: A folder in diffusers' format, or a hub id such as ``"organisation/name"``.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        dtype: Type to compute in, whatever the stored one is: ``"float32"``, ``"float16"``, ``"bfloat16"``.
        download: Whether a hub model may be fetched over the network.
        revision: Branch, tag or commit of a hub model.

    Raises:
        ModelError: There is no pipeline of a supported family, or its weights are pickle files.
        ConfigError: The dtype is unknown.

    Example:
        >>> import tempfile
        >>> from vu_core.testing.pipelines import write_pipeline
        >>> model = load(str(write_pipeline(Path(tempfile.mkdtemp()))))
        >>> model.sites()[0].path
        'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k'
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype '{dtype}' is not supported", hint=f"Use one of: {', '.join(_DTYPES)}.")
    folder, commit = find_folder(source, download=download, revision=revision)
    return DiffusersModel(
        FolderSource(folder, source), name=source, device=device, dtype=dtype, folder=folder, revision=commit
    )


def adopt(found: Any, *, name: str = "pipeline") -> DiffusersModel:
    """Return a model over a pipeline object in memory, which stays as it is.

    Its modules are shared, wherever and in whatever dtype they are; it is sampled from without its
    safety checker.

    Args:
        found: A diffusers pipeline of a supported family, without LoRA adapters loaded.
        name: What messages and records call it.

    Raises:
        ModelError: It is of another family.

    Example:
        >>> from vu_core.testing.pipelines import build_pipeline
        >>> adopt(build_pipeline()).dtype
        'float32'
    """
    source = PipelineSource(found)
    parameter = next(found.components[source.family.denoiser].parameters())
    dtype = str(parameter.dtype).removeprefix("torch.")
    return DiffusersModel(source, name=name, device=parameter.device.type, dtype=dtype)


class DiffusersModel(Diffusing):
    """A text-to-image pipeline of a U-Net family; made by `load` or `adopt`.

    It offers `TensorSource`, `HasSites`, `Encodes`, `Denoises`, `Diffuses` and `Samples`. Reading tensors
    imports torch alone, encoding also transformers, and only the last three import diffusers.

    Attributes:
        name: How the user called it.
        family: ``"text-to-image"``.
        device: Where its modules are.
        dtype: Name of the type it computes in.
        folder: Where it lies on disk; None for a pipeline in memory.
        revision: Commit of a hub model; None otherwise.
    """

    family = "text-to-image"

    def __init__(
        self,
        source: Source,
        *,
        name: str,
        device: str,
        dtype: str,
        folder: Path | None = None,
        revision: str | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.dtype = dtype
        self.folder = folder
        self.revision = revision
        self._source = source
        self._modules: dict[str, torch.nn.Module] = {}
        self._float32_encoders: dict[str, torch.nn.Module] = {}
        self._tokenizers: dict[str, Any] = {}

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the weights, configurations and vocabularies it is made of."""
        return self._source.fingerprint()

    @torch_defaults()
    def component(self, name: str) -> torch.nn.Module:
        """Return a component; a folder's is loaded once, in eval mode, without gradients.

        Raises:
            ModelError: There is no such component, or its files are damaged.
        """
        import torch

        if name not in self._modules:
            if name not in self._source.family.modules:
                known = ", ".join(self._source.family.modules)
                raise ModelError(f"'{self.name}' has no component '{name}'", hint=f"It has: {known}.")
            self._modules[name] = self._source.module(name, self.device, getattr(torch, self.dtype))
        return self._modules[name]

    def tensor_names(self, component: str) -> Sequence[str]:
        """Return the names of all tensors of a component, as stored."""
        return self._source.tensor_names(component)

    def tensor(self, component: str, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored dtype.

        Raises:
            ModelError: The tensor or its file is missing or damaged.
        """
        return self._source.tensor(component, name)

    def sites(self) -> Sequence[Site]:
        """Return every key and value projection of cross-attention, and what embeds pooled text, in forward order.

        Shapes come from the files' headers; no tensor is read.

        Raises:
            ModelError: There is none, as when LoRA adapters are loaded into a pipeline in memory.
        """
        family = self._source.family
        names = self._source.tensor_names(family.denoiser)
        present = set(names)
        sites = []
        for path, rule in family.sites_in(names):
            rows, columns = self._source.shape(family.denoiser, f"{path}.weight")[:2]
            sites.append(
                Site(
                    component=family.denoiser,
                    path=path,
                    role=rule.role,
                    stream=rule.stream,
                    shape=(rows, columns),
                    columns=(0, int(self._source.config(rule.width[0])[rule.width[1]])) if rule.width else None,
                    bias=f"{path}.bias" in present,
                )
            )
        if not sites:
            raise ModelError(
                f"the {family.denoiser} of '{self.name}' has no cross-attention to text",
                hint="Where LoRA adapters are loaded, call pipe.unload_lora_weights() first.",
            )
        return sites

    @torch_defaults()
    def encode(self, prompts: Sequence[str]) -> Encoding:
        """Return the states that the pipeline computes for ``prompts``: float32 on the CPU, full length.

        They are computed in float32 whatever the model's dtype, so that an edit does not depend on the type
        that pictures are drawn in. The stream ``"text"`` is what the sites read; SDXL adds ``"pooled"`` (N, 1, d).

        Raises:
            RequestError: There are no prompts.
            ModelError: States are not finite, as with NaN weights.
            EditError: An edit of a text encoder is applied now, to a model of another dtype than float32.
        """
        from vu_diffusers.text import encode

        family = self._source.family
        encoders = [(self._tokenizer(of), self._float32_encoder(name)) for name, of in family.tokenizers.items()]
        with evaluating(module for _, module in encoders):
            return encode(prompts, encoders, penultimate=family.penultimate, name=self.name)

    def encoders(self) -> Mapping[str, str]:
        """Return the sha256 (hex) of each text encoder's weights, by component."""
        return {name: self._source.sha256(name) for name in self._source.family.tokenizers}

    @property
    def prediction_type(self) -> str:
        """What the denoiser predicts: ``"epsilon"``, ``"v_prediction"`` or ``"sample"``."""
        return str(self._source.config("scheduler").get("prediction_type", "epsilon"))

    def denoise(self, latents: torch.Tensor, timesteps: torch.Tensor, encoding: Encoding) -> torch.Tensor:
        """Return the U-Net's prediction (N, C, h, w), in the model's dtype; gradients flow.

        Args:
            latents: float (N, C, h, w), scaled as the scheduler's ``scale_model_input`` would.
            timesteps: int64 (N,).
            encoding: Of N prompts.
        """
        unet = self.component(self._source.family.denoiser)
        like = next(unet.parameters())
        states = {stream: values.to(like) for stream, values in encoding.states.items()}
        extra = {}
        if POOLED in states:
            height, width = (side * self._pixels_per_latent() for side in latents.shape[-2:])
            ids = like.new_tensor([height, width, 0, 0, height, width]).expand(len(latents), -1)
            extra["added_cond_kwargs"] = {"text_embeds": states[POOLED][:, 0], "time_ids": ids}
        output = unet(latents.to(like), timesteps.to(like.device), encoder_hidden_states=states[TEXT], **extra)
        prediction: torch.Tensor = output.sample
        return prediction

    def default_settings(self) -> SamplerSettings:
        """Return the settings in the folder's ``vu_sampling.json``, the pipeline's own defaults for the rest.

        Raises:
            ModelError: The file has an unknown field or a value of the wrong type.
        """
        family = self._source.family
        height, width = self._size()
        batch = min(max(_PIXELS_AT_ONCE // (height * width), 1), _LARGEST_BATCH)
        settings = SamplerSettings(steps=family.steps, guidance_scale=family.guidance_scale, micro_batch=batch)
        path = self.folder / SAMPLING_FILE if self.folder else None
        if path is None or not path.is_file():
            return settings
        try:
            return validate(SamplerSettings, {**asdict(settings), **read_json(path)})
        except ConfigError as error:
            raise ModelError(f"'{path}': {error.message}", hint=error.hint) from error

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width, in pixels, that the denoiser was trained at."""
        return self._size()

    @torch_defaults()
    def sample(self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplerSettings) -> Iterator[torch.Tensor]:
        """Yield one picture a prompt, in order: uint8 (3, H, W) RGB on the CPU.

        Bit for bit the same for any grouping and order of the prompts, at the same micro-batch, thread
        count and versions. With ``noise="sequential"`` the first seed alone counts, and noise is drawn in
        the order of the prompts; a scheduler that adds noise in its steps then follows the published
        one-by-one loop only at a micro-batch of 1.

        Raises:
            ConfigError: A setting or seed is out of range, or the scheduler does not fit.
            ComputeError: A picture is not finite, as with NaN weights.
        """
        from vu_diffusers.sampling import check_prompts, check_settings, draw

        check_settings(settings)
        check_prompts(prompts, seeds)
        self._float32_encoders.clear()  # Drawing may need their memory.
        pipe = self._pipeline(settings.scheduler)
        height, width = self._size(settings)
        scale = self._pixels_per_latent()
        latent_shape = (int(pipe.unet.config.in_channels), height // scale, width // scale)
        pictures = draw(pipe, prompts, seeds, replace(settings, height=height, width=width), latent_shape)
        return while_evaluating(self._modules.values(), pictures)

    def sampling_key(self, settings: SamplerSettings) -> Mapping[str, Any]:
        """Return, as JSON values, all that decides a picture besides prompt, seed and edits."""
        import torch

        height, width = self._size(settings)
        scheduler = {key: _json_value(value) for key, value in self._source.config("scheduler").items()}
        device = torch.device(self.device).type
        precision = float32_precision(device)
        return {
            "fingerprint": self.fingerprint(),
            "pipeline": self._source.family.pipeline,
            "scheduler": {"class": settings.scheduler or scheduler.get("_class_name"), "config": scheduler},
            "steps": settings.steps,
            "guidance_scale": settings.guidance_scale,
            "height": height,
            "width": width,
            "negative_prompt": settings.negative_prompt,
            "micro_batch": settings.micro_batch,
            "noise": settings.noise,
            "dtype": self.dtype,
            "device": device,
            "threads": torch.get_num_threads() if device == "cpu" else None,
            "versions": {package: version(package) for package in _PACKAGES},
            **({"float32": precision} if set(precision.values()) - {"ieee"} else {}),
        }

    def _pipeline(self, scheduler: str | None) -> Any:
        """Return a pipeline over this model's modules with a scheduler of its own."""
        import diffusers

        from vu_core.quiet import quiet
        from vu_diffusers.sampling import make_scheduler

        family = self._source.family
        parts: dict[str, Any] = {name: self.component(name) for name in family.modules}
        parts |= {name: self._tokenizer(name) for name in family.tokenizers.values()}
        parts["scheduler"] = make_scheduler(scheduler, self._source.config("scheduler"), family.scheduler_fixes)
        # Importing the class makes transformers complain about a missing torchvision, which nothing here uses.
        with quiet("transformers"):
            cls = getattr(diffusers, family.pipeline)
        pipe = cls(**parts, **self._source.options, **family.fixed)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def _float32_encoder(self, name: str) -> torch.nn.Module:
        """Return a text encoder in float32: the component itself, or a second one, kept until pictures are drawn."""
        import torch

        encoder = self.component(name)
        if next(encoder.parameters()).dtype == torch.float32:
            return encoder
        check_unedited(self, name)
        if name not in self._float32_encoders:
            self._float32_encoders[name] = self._source.float32_module(name, self.device)
        return self._float32_encoders[name]

    def _tokenizer(self, name: str) -> Any:
        if name not in self._tokenizers:
            self._tokenizers[name] = self._source.tokenizer(name)
        return self._tokenizers[name]

    def _size(self, settings: SamplerSettings | None = None) -> tuple[int, int]:
        """Return height and width in pixels: the settings', else those the denoiser was trained at."""
        side = self._source.config(self._source.family.denoiser)["sample_size"]
        rows, columns = side if isinstance(side, list | tuple) else (side, side)
        scale = self._pixels_per_latent()
        height, width = (settings.height, settings.width) if settings else (None, None)
        return height or rows * scale, width or columns * scale

    def _pixels_per_latent(self) -> int:
        """Return how many pixels one latent is wide: the VAE halves the picture between its blocks."""
        return 1 << (len(self._source.config("vae")["block_out_channels"]) - 1)


def _json_value(value: Any) -> Any:
    """Return ``value``, or its name when it is a number that JSON lacks: DPM-Solver stores ``-Infinity``."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
