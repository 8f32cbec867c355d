"""Scorers on tiny random judges; the shipped ones are measured by the tests of the assets."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from vu_emoji.dataset import EmojiDataset
from vu_emoji.judges import EmojiClassifier
from vu_emoji.scorers import (
    ClipFeatures,
    ClipJudge,
    ClipObjectJudge,
    Judge,
    object_judge,
    second_object_judge,
    second_style_judge,
    style_judge,
)

from vu_core import PluginError

CLASSES = ["cat", "dog", "other"]


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    judge = EmojiClassifier(CLASSES, "depthwise", width=4)
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in judge.state_dict().items()},
        folder / "object.safetensors",
    )
    (folder / "object.json").write_text(
        json.dumps({"classes": CLASSES, "network": "depthwise", "width": 4, "glances": True, "temperature": 1.5})
    )
    write_clip(folder / "clip")
    return folder


def write_clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig
    from vu_emoji.catalogue import load_catalogue
    from vu_emoji.train.tokenizer import write_tokenizer

    write_tokenizer(load_catalogue(), folder, 16)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = CLIPTextConfig(**size, vocab_size=600, max_position_embeddings=16)
    vision = CLIPVisionConfig(**size, image_size=64, patch_size=16)
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)
    CLIPModel(config).save_pretrained(folder)


def pictures(count: int, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def test_a_judge_gives_calibrated_probabilities(judges: Path):
    judge = Judge("object", folder=judges)
    found = judge.score(pictures(5), [""] * 5)
    assert list(found.names) == CLASSES
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(5))
    logits = judge._network(pictures(5).float() / 255)
    torch.testing.assert_close(found.probabilities, logits.softmax(1))
    assert (judge.name, len(judge.version)) == ("emoji-object", 64)


def test_a_verdict_does_not_depend_on_the_batch(judges: Path):
    judge = Judge("object", folder=judges)
    together = judge.score(pictures(6), [""] * 6).probabilities
    alone = torch.cat([judge.score(one[None], [""]).probabilities for one in pictures(6)])
    torch.testing.assert_close(together, alone)


def test_the_second_judges_are_others():
    for first, second in ((object_judge(), second_object_judge()), (style_judge(), second_style_judge())):
        assert second.name == f"{first.name}-b"
        assert second.version != first.version
        assert second.score(pictures(2), [""] * 2).names == first.score(pictures(2), [""] * 2).names


def test_pictures_of_another_size_are_resized(judges: Path):
    assert Judge("object", folder=judges).score(pictures(2, 128), [""] * 2).probabilities.shape == (2, 3)


def test_missing_weights_say_so(tmp_path: Path):
    with pytest.raises(PluginError, match="Install vu-emoji again"):
        Judge("object", folder=tmp_path)
    with pytest.raises(PluginError, match="Install vu-emoji again"):
        ClipJudge(folder=tmp_path)


def test_clip_compares_each_picture_with_its_own_prompt(judges: Path):
    judge = ClipJudge(folder=judges / "clip")
    prompts = ["a noto cat", "a flat apple", "a bus"]
    with torch.no_grad():
        found = judge.score(pictures(3), prompts)
        turned = judge.score(pictures(3).flip(0), prompts[::-1])
    assert found.shape == (3,)
    assert bool((found.abs() <= 1).all())
    assert found.unique().numel() == 3
    torch.testing.assert_close(turned.flip(0), found)


def test_features_are_what_clip_compares_with_a_prompt(judges: Path):
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(judges / "clip").eval()
    scorer = ClipFeatures(folder=judges / "clip")
    with torch.no_grad():
        found = scorer.score(pictures(3), [""] * 3)
        output = model(input_ids=torch.tensor([[1, 2, 3]]), pixel_values=pictures(3).float() / 127.5 - 1)
    torch.testing.assert_close(found, output.image_embeds)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert scorer.version == ClipJudge(folder=judges / "clip").version


def test_zero_shot_classes_are_those_whose_prompt_is_nearest(judges: Path):
    judge, clip = ClipObjectJudge(folder=judges / "clip"), ClipJudge(folder=judges / "clip")
    found = judge.score(pictures(2), [""] * 2)
    assert (found.names[0], len(found.names)) == ("cat", 30)
    with torch.no_grad():
        cosines = [clip.score(pictures(2), [prompt] * 2) for prompt in ("a cat", "a dog")]
    expected = (100 * (cosines[0] - cosines[1])).exp()
    columns = [list(found.names).index(name) for name in ("cat", "dog")]
    torch.testing.assert_close(
        found.probabilities[:, columns[0]] / found.probabilities[:, columns[1]], expected, rtol=1e-3, atol=1e-5
    )


@pytest.mark.embedded
def test_zero_shot_classes_of_the_art_are_mostly_right():
    judge, seen = ClipObjectJudge(), EmojiDataset().pictures("test")[::12]
    with torch.no_grad():
        found = judge.score(torch.stack([picture.read() for picture in seen]), [""] * len(seen)).labels()
    right = sum(label == picture.attributes["object"] for label, picture in zip(found, seen, strict=True))
    assert right / len(seen) > 0.9


def test_a_prompt_that_is_too_long_is_cut_with_a_warning(judges: Path, caplog: pytest.LogCaptureFixture):
    judge = ClipJudge(folder=judges / "clip")
    with caplog.at_level(logging.WARNING, logger="vu_emoji"), torch.no_grad():
        found = judge.score(pictures(1), ["a noto cat " * 20])
    assert bool(found.isfinite().all())
    assert "are cut" in caplog.text
