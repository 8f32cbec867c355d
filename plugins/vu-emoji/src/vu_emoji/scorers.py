"""The judges as vu's scorers: which object, which style, and how well picture and prompt agree."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from vu_core import Classes, Concept, PluginError
from vu_core.files import sha256_of_file
from vu_emoji.catalogue import load_catalogue, with_articles
from vu_emoji.judges import judge_folder, load_judge

CLIP_FOLDER = "clip"

_log = logging.getLogger(__name__)


class Judge:
    """Which concept of one kind a picture shows, or ``"other"``.

    Args:
        name: One of ``vu_emoji.judges.JUDGES``.
        device: Where it computes.
        folder: Where the judges are; the shipped ones when None.

    Raises:
        PluginError: The judge's files are missing.
    """

    def __init__(self, name: str, *, device: str = "cpu", folder: Path | None = None) -> None:
        folder = folder or judge_folder()
        self.name = f"emoji-{name}"
        self.version = _version(folder / f"{name}.safetensors")
        self._network = load_judge(name, folder).to(device)
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Classes:
        """Return the verdicts on ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        logits = self._network(_prepared(images, self._device))
        return Classes(names=self._network.classes, probabilities=logits.float().softmax(1).cpu())


def object_judge(*, device: str = "cpu") -> Judge:
    """Return the judge of objects."""
    return Judge("object", device=device)


def style_judge(*, device: str = "cpu") -> Judge:
    """Return the judge of styles."""
    return Judge("style", device=device)


def second_object_judge(*, device: str = "cpu") -> Judge:
    """Return the second judge of objects."""
    return Judge("object-b", device=device)


def second_style_judge(*, device: str = "cpu") -> Judge:
    """Return the second judge of styles."""
    return Judge("style-b", device=device)


class ClipJudge:
    """Cosine of picture and prompt in a small CLIP that was trained on the art.

    Args:
        device: Where it computes.
        folder: Where the CLIPModel and its tokenizer are; the shipped ones when None.

    Raises:
        PluginError: The files are missing.
    """

    name = "emoji-clip"

    def __init__(self, *, device: str = "cpu", folder: Path | None = None) -> None:
        from transformers import CLIPTokenizer

        folder = folder or judge_folder() / CLIP_FOLDER
        self._model, self.version = _load_clip(folder, device)
        self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        self._positions = self._model.config.text_config.max_position_embeddings
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return cosines float32 (N,) of ``images`` uint8 (N, 3, H, W) RGB and their ``prompts``.

        A prompt longer than the text encoder reads is cut, with a warning in the log.
        """
        ids = self._tokenizer(list(prompts), padding="max_length", max_length=self._positions).input_ids
        if longest := max(len(row) for row in ids) - self._positions:
            _log.warning("%s reads %d tokens: up to %d are cut", self.name, self._positions, longest)
            ids = self._tokenizer(
                list(prompts), padding="max_length", max_length=self._positions, truncation=True
            ).input_ids
        output = self._model(
            input_ids=torch.tensor(ids, device=self._device), pixel_values=_prepared(images, self._device) * 2 - 1
        )
        return F.cosine_similarity(output.image_embeds.float(), output.text_embeds.float()).cpu()


class ClipObjectJudge:
    """Which object a picture shows: zero-shot classification by the small CLIP that was trained on the art.

    A softmax of 100 times the cosines of the picture and ``"a cat"``, ``"a dog"`` and so on, one prompt for each of the
    catalogue's objects in its order. It always names one of them.

    Args:
        device: Where it computes.
        folder: Where the CLIPModel and its tokenizer are; the shipped ones when None.

    Raises:
        PluginError: The files are missing.
    """

    name = "emoji-clip-object"

    def __init__(self, *, device: str = "cpu", folder: Path | None = None) -> None:
        from transformers import CLIPTokenizer

        folder = folder or judge_folder() / CLIP_FOLDER
        self._model, self.version = _load_clip(folder, device)
        self._device = device
        self._names = load_catalogue().object_names
        prompts = [with_articles(f"a {Concept(name=name).text}") for name in self._names]
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        tokens = tokenizer(
            prompts,
            padding="max_length",
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        read = self._model.text_model(input_ids=tokens.input_ids.to(device)).pooler_output
        self._texts = F.normalize(self._model.text_projection(read).float(), dim=1)

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Classes:
        """Return the verdicts on ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        cosines = _embedded(self._model, images, self._device) @ self._texts.T
        return Classes(names=self._names, probabilities=(100 * cosines).softmax(1).cpu())


class ClipFeatures:
    """A picture's embedding, of length 1, in the small CLIP that was trained on the art.

    Args:
        device: Where it computes.
        folder: Where the CLIPModel is; the shipped one when None.

    Raises:
        PluginError: The files are missing.
    """

    name = "emoji-features"

    def __init__(self, *, device: str = "cpu", folder: Path | None = None) -> None:
        self._model, self.version = _load_clip(folder or judge_folder() / CLIP_FOLDER, device)
        self._device = device

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return features float32 (N, 128) of ``images`` uint8 (N, 3, H, W) RGB; ``prompts`` are not looked at."""
        return _embedded(self._model, images, self._device).cpu()


def _load_clip(folder: Path, device: str) -> tuple[Any, str]:
    """Return the CLIPModel in ``folder`` and its version."""
    from transformers import CLIPConfig, CLIPModel

    weights = folder / "model.safetensors"
    version = _version(weights)
    # Built and filled by hand: from_pretrained draws a progress bar over a file of 3 MB.
    model: Any = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
    model.load_state_dict(load_file(weights))
    return model.float().eval().requires_grad_(False).to(device), version


def _embedded(model: Any, images: torch.Tensor, device: str) -> torch.Tensor:
    """Return the embeddings of ``images`` uint8 (N, 3, H, W), float32 (N, 128) of length 1."""
    seen = model.vision_model(pixel_values=_prepared(images, device) * 2 - 1).pooler_output
    return F.normalize(model.visual_projection(seen).float(), dim=1)


def _prepared(images: torch.Tensor, device: str) -> torch.Tensor:
    """Return ``images`` uint8 (N, 3, H, W) as float32 in [0, 1], at the size the judges were trained on."""
    size = load_catalogue().image_size
    pictures = images.to(device).float() / 255
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", antialias=True)


def _version(weights: Path) -> str:
    if not weights.is_file():
        raise PluginError(f"'{weights}' is missing from the installed vu-emoji", hint="Install vu-emoji again.")
    return sha256_of_file(weights)
