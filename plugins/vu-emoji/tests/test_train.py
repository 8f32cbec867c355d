"""The parts of the training run that are cheap to check."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from vu_emoji.catalogue import load_catalogue
from vu_emoji.judges import OTHER, EmojiClassifier, judge_images, load_judge
from vu_emoji.probes import Labelled, compose_art
from vu_emoji.train.export import forget_origins
from vu_emoji.train.files import Checkpoint, replace_folder, write_json
from vu_emoji.train.judge_pool import JudgePool
from vu_emoji.train.judging import draw_batch, fit_temperature, judge_classes, train_judge
from vu_emoji.train.optimizers import build_optimizer, orthogonalise
from vu_emoji.train.pool import Captioner, Pool, compose_pool
from vu_emoji.train.settings import JudgeSettings, PoolSettings, VaeSettings
from vu_emoji.train.text import agreement, contrastive_loss
from vu_emoji.train.tokenizer import vocabulary_words, write_tokenizer
from vu_emoji.train.vae import build_vae, encode, normalise_latents


def test_captioner_draws_only_listed_and_true_captions() -> None:
    captioner = Captioner(load_catalogue())
    captions = list(captioner.list_all())
    rng = np.random.default_rng(0)
    for _ in range(300):
        caption = captions[captioner.draw("cat", "mono", "pink", rng)]
        assert caption.object in (None, "cat")
        assert caption.style in (None, "mono")
        assert caption.background == "pink"
    assert len(captioner.captions) == len(captions)


def test_agreement_accepts_what_is_left_open() -> None:
    captioner = Captioner(load_catalogue())
    captions = captioner.list_all()
    number = captioner.number("cat", None, None, 0)
    facts = [("cat", "noto", "white"), ("cat", "mono", "pink"), ("dog", "noto", "white")]
    matches = agreement([captions[number]], facts)
    assert matches.tolist() == [[1.0, 1.0, 0.0]]
    good = contrastive_loss(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.eye(2))
    assert good < contrastive_loss(torch.zeros(2, 2), torch.eye(2))


def test_orthogonalise_brings_singular_values_near_one() -> None:
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_a_tokenizer_is_the_same_each_time_and_knows_every_word(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    for name in ("first", "second"):
        write_tokenizer(load_catalogue(), tmp_path / name, 16)
    for file in ("vocab.json", "merges.txt"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "first")
    assert [word for word in vocabulary_words(load_catalogue()) if len(tokenizer.tokenize(word)) != 1] == []
    assert tokenizer.tokenize("zq!") == ["z", "q</w>", "!</w>"]


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def train(steps: int, path: Path, generator: torch.Generator) -> torch.Tensor:
    net = small_net()
    optimizer = build_optimizer(net, "muon", 1e-2)
    checkpoint = Checkpoint(path, {"model": net}, optimizer)
    notes = checkpoint.load(generator) or {"step": 0}
    for _ in range(notes["step"], steps):
        loss = net(torch.randn(5, 4, generator=generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    checkpoint.save({"step": steps}, generator)
    return torch.cat([p.flatten() for p in net.parameters()])


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = train(6, tmp_path / "whole.safetensors", torch.Generator().manual_seed(1))
    train(3, tmp_path / "broken.safetensors", torch.Generator().manual_seed(1))
    resumed = train(6, tmp_path / "broken.safetensors", torch.Generator())
    assert torch.equal(whole, resumed)


def test_normalised_latents_decode_to_the_same_images() -> None:
    pool = compose_pool(load_catalogue(), PoolSettings(plain=1, coloured=0), "held-out")
    assert isinstance(pool, Pool)
    vae = build_vae(VaeSettings(channels=(8, 8, 8)), 64).eval()
    rows = torch.arange(len(pool))
    with torch.no_grad():
        before = vae.decode(encode(vae, pool, rows)).sample
        spread_before = vae.encode(pool.batch(rows)).latent_dist
        normalise_latents(vae, pool)
        latents = encode(vae, pool, rows)
        after = vae.decode(latents).sample
        spread = vae.encode(pool.batch(rows)).latent_dist
    assert torch.allclose(before, after, atol=1e-4)
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3)
    scale = spread_before.mean.std((0, 2, 3))
    ratio = (spread_before.std / spread.std).mean((0, 2, 3))
    assert torch.allclose(ratio, scale, rtol=1e-2)


def test_replacing_a_folder_leaves_no_other(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_exported_configurations_name_no_folder_of_the_training_machine(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    write_json(tmp_path / "vae" / "config.json", {"_name_or_path": "/home/someone/vae", "sample_size": 64})
    forget_origins(tmp_path)
    assert json.loads((tmp_path / "vae" / "config.json").read_text()) == {"sample_size": 64}


def judge_pool() -> JudgePool:
    """Each cell once, and gray pictures in the place of unfinished ones."""
    catalogue = load_catalogue()
    gray = Labelled.of_nothing(torch.full((8, 3, 64, 64), 0.5), catalogue)
    return JudgePool(compose_art(catalogue, np.random.default_rng(0), 1), gray)


def test_one_in_four_of_a_judges_batch_shows_nothing() -> None:
    images, classes = draw_batch(judge_pool(), "style", 64, torch.Generator().manual_seed(0))
    assert images.shape == (64, 3, 64, 64)
    assert (classes == 6).sum() == 16
    assert (classes[8:56] < 6).all()


def test_a_trained_judge_is_loaded_as_it_was(tmp_path: Path) -> None:
    catalogue, pool = load_catalogue(), judge_pool()
    settings = JudgeSettings(
        kind="object", network="depthwise", width=8, batch=16, steps=2, fit_batches=1, seed=1, pool=1
    )
    checkpoint = tmp_path / "checkpoint.safetensors"
    notes = train_judge(catalogue, "object-b", pool, pool, settings, checkpoint, tmp_path)
    first = load_judge("object-b", tmp_path)
    assert first.classes == (*catalogue.object_names, OTHER)
    assert first.temperature == notes["temperature"]
    train_judge(catalogue, "object-b", pool, pool, settings, checkpoint, tmp_path)
    images = pool.drawings.images[:5].float() / 255
    assert judge_images(load_judge("object-b", tmp_path), images) == judge_images(first, images)


def test_the_temperature_is_the_one_with_the_least_log_loss() -> None:
    torch.manual_seed(0)
    catalogue, pool = load_catalogue(), judge_pool()
    judge = EmojiClassifier(judge_classes(catalogue, "style"), "depthwise", 8).eval()
    with torch.no_grad():
        judge.head.weight.mul_(100)  # an untrained judge that is sure of itself must be cooled
    assert fit_temperature(catalogue, judge, "style", pool, 1) > 1.9
