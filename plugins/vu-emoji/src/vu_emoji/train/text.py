"""Contrastive training of a small CLIP on captions and images of the art."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vu_emoji.catalogue import Caption, Catalogue
from vu_emoji.train.files import Checkpoint
from vu_emoji.train.loop import Progress, resumable
from vu_emoji.train.optimizers import build_optimizer
from vu_emoji.train.pool import Captioner, Pool
from vu_emoji.train.settings import TextSettings
from vu_emoji.train.tokenizer import write_tokenizer

log = logging.getLogger(__name__)


def build_clip(settings: TextSettings, tokenizer: Any, image_size: int) -> Any:
    """Returns an untrained CLIPModel for a tokenizer."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    shared = {
        "hidden_size": settings.width,
        "intermediate_size": 4 * settings.width,
        "num_attention_heads": settings.heads,
        "projection_dim": settings.projection,
    }
    text = CLIPTextConfig(
        **shared,
        num_hidden_layers=settings.text_layers,
        vocab_size=len(tokenizer),
        max_position_embeddings=settings.positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        **shared,
        num_hidden_layers=settings.vision_layers,
        image_size=image_size,
        patch_size=settings.patch,
    )
    torch.manual_seed(settings.seed)
    return CLIPModel(
        CLIPConfig(
            text_config=text.to_dict(),
            vision_config=vision.to_dict(),
            projection_dim=settings.projection,
        )
    )


def tokenize(tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Returns int64 (N, positions) token ids, padded as the pipeline pads."""
    ids: torch.Tensor = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids


def agreement(captions: list[Caption], facts: list[tuple[str, str, str]]) -> torch.Tensor:
    """Returns float32 (captions, images): 1 where nothing that a caption states is untrue."""
    rows = [
        [all(stated in (None, true) for stated, true in zip(stated_facts, fact, strict=True)) for fact in facts]
        for stated_facts in ((c.object, c.style, c.background) for c in captions)
    ]
    return torch.tensor(rows, dtype=torch.float32)


def contrastive_loss(logits: torch.Tensor, matches: torch.Tensor) -> torch.Tensor:
    """Returns the symmetric contrastive loss with several right answers a row."""
    rows = matches / matches.sum(1, keepdim=True)
    columns = (matches / matches.sum(0, keepdim=True)).T
    return 0.5 * (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, columns))


def train_clip(
    catalogue: Catalogue,
    pool: Pool,
    settings: TextSettings,
    checkpoint_path: Path,
    folder: Path,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    *,
    device: str = "cpu",
) -> Path:
    """Trains a CLIP and returns the folder with the model and its tokenizer.

    Args:
        catalogue: whose captions to learn.
        pool: the images.
        settings: shape and budget.
        checkpoint_path: where the loop's state is kept.
        folder: where the result goes.
        augment: changes float32 (B, 3, H, W) images in [-1, 1], on the CPU, before they are seen.
        device: where it is trained.
    """
    from transformers import CLIPTokenizer

    write_tokenizer(catalogue, folder, settings.positions)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    model = build_clip(settings, tokenizer, catalogue.image_size).to(device)
    optimizer = build_optimizer(
        model,
        settings.optimizer,
        settings.learning_rate,
        0.05,
        outer=("embedding", "logit_scale"),
        outer_rate=settings.outer_learning_rate,
    )
    generator = torch.Generator().manual_seed(settings.seed)
    checkpoint = Checkpoint(checkpoint_path, {"model": model}, optimizer)
    captioner = Captioner(catalogue)
    captions = captioner.list_all()
    ids = tokenize(tokenizer, [c.text for c in captions])
    progress = Progress(f"clip {folder.name}")
    model.train()
    for step in resumable("clip", checkpoint, generator, settings.steps, settings.learning_rate):
        rng = np.random.default_rng([settings.seed, step])
        rows = torch.from_numpy(rng.integers(0, len(pool), settings.batch))
        facts = [pool_facts(catalogue, pool, int(row)) for row in rows]
        numbers = [captioner.draw(*fact, rng) for fact in facts]
        images = pool.batch(rows)
        if augment is not None:
            images = augment(images, generator)
        output = model(input_ids=ids[numbers].to(device), pixel_values=images.to(device))
        matches = agreement([captions[n] for n in numbers], facts).to(device)
        loss = contrastive_loss(output.logits_per_text, matches)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6)
        progress.add(step, settings.batch, loss=loss.item())
    model.eval()
    model.save_pretrained(folder)
    return folder


def pool_facts(catalogue: Catalogue, pool: Pool, row: int) -> tuple[str, str, str]:
    """Returns the names of an image's object, style and background."""
    return (
        catalogue.object_names[int(pool.objects[row])],
        catalogue.style_names[int(pool.styles[row])],
        catalogue.background_names[int(pool.backgrounds[row])],
    )
