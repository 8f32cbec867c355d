"""Published CLIPs: the loaders on a real, small CLIP in the same format, beside transformers' own computation."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import vu_metrics_image.clip as clips
from PIL import Image
from safetensors.torch import save_file
from vu_metrics_image.clip import LARGE, Q16, ClipClasses
from vu_metrics_image.scorers import CLIPS

from vu_core import DataError, PluginError
from vu_core.testing import Component
from vu_core.testing.checks import scorers

CLIP = Path(str(files("vu_emoji"))) / "assets" / "judges" / "clip"
HOPPER = Path(__file__).parent / "data" / "grace_hopper.jpg"


def picture() -> torch.Tensor:
    with Image.open(HOPPER) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """Put the small CLIP where the hub's cache keeps the published ones, and vectors of its width beside."""
    for repository in (clips.BASE, clips.LARGE, clips.LARGE_336):
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0" * 40)
        shutil.copytree(CLIP, folder / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    vectors = tmp_path / "torch" / "hub" / "checkpoints" / clips.Q16_FILE
    vectors.parent.mkdir(parents=True)
    save_file({"prompts": torch.randn(2, 128, generator=torch.Generator().manual_seed(0))}, vectors)
    return vectors


def slow_embedding(picture: torch.Tensor, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the unnormalised embeddings of one picture and one text, by the whole model."""
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(CLIP).double().eval()
    side = model.config.vision_config.image_size
    height, width = picture.shape[1:]
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    image = image.resize((side, int(height * side / width)), Image.Resampling.BICUBIC)
    top = round((image.height - side) / 2)
    pixels = np.asarray(image, np.float64)[top : top + side] / 255
    for channel in range(3):
        pixels[..., channel] = (pixels[..., channel] - clips.MEAN[channel]) / clips.DEVIATION[channel]
    ids = CLIPTokenizer.from_pretrained(CLIP)(
        text, padding="max_length", max_length=model.config.text_config.max_position_embeddings, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        output = model(input_ids=ids, pixel_values=torch.from_numpy(pixels).permute(2, 0, 1)[None])
    return output.image_embeds[0], output.text_embeds[0]


def test_cosines_beside_a_slow_reference():
    found = clips.base_agreement(folder=CLIP).score(picture()[None], ["a cat image"])
    seen, read = slow_embedding(picture(), "a cat image")
    expected = float(seen @ read) / float(seen.norm() * read.norm())
    assert float(found[0]) == pytest.approx(expected, abs=1e-5)


def test_classes_are_a_softmax_of_a_hundred_cosines():
    judge = ClipClasses(clips.BASE, ["cat", "dog", "house"], "three", "a {}", folder=CLIP)
    found = judge.score(picture()[None], [""])
    cosines = []
    for name in ("cat", "dog", "house"):
        seen, read = slow_embedding(picture(), f"a {name}")
        cosines.append(float(seen @ read) / float(seen.norm() * read.norm()))
    weights = np.exp(100 * (np.array(cosines) - max(cosines)))
    assert found.probabilities[0].numpy() == pytest.approx(weights / weights.sum(), abs=1e-3)
    assert judge.name == "clip-vit-base-patch32-three"


def test_q16_of_the_worked_example(monkeypatch, hub):
    """Cosines of 0.20 and 0.21 are a probability of 0.7310586; of 0.21 and 0.20 nothing is found."""
    judge = Q16()
    judge._vectors = torch.eye(2, 3)
    seen = torch.tensor([[0.20, 0.21, 0.0], [0.21, 0.20, 0.0]])
    monkeypatch.setattr(judge, "pictures", lambda images: seen)
    found = judge.score(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ["", ""]).found
    assert [[label for label, _ in one] for one in found] == [["inappropriate"], []]
    assert found[0][0][1] == pytest.approx(0.7310586, abs=1e-6)


def test_vectors_of_another_clip_are_refused(hub):
    save_file({"prompts": torch.zeros(2, 768)}, hub)
    with pytest.raises(PluginError, match=r"shape \(2, 768\), not \(2, 128\)"):
        Q16()


@pytest.mark.parametrize("spec", CLIPS, ids=lambda spec: spec.name)
def test_they_are_read_from_the_hub_s_cache_and_keep_the_contract(hub, spec):
    for check in scorers.CHECKS:
        check.function(Component(spec=spec, load=lambda: getattr(clips, spec.target.partition(":")[2])))


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError) as raised:
        clips.large_agreement()
    assert f"'model.safetensors' of '{LARGE}' is not in the hub's cache" in raised.value.message
    with pytest.raises(DataError, match="the vectors of Q16"):
        Q16()
