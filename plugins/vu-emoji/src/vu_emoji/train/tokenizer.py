"""A CLIP tokenizer whose words are those of the captions, letters for the rest."""

from __future__ import annotations

import json
import string
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from vu_core.files import write_text
from vu_emoji.catalogue import Catalogue

START, END = "<|startoftext|>", "<|endoftext|>"
EXTRA_WORDS = (
    "animal food vehicle building plant fruit flower thing object photo image picture painting "
    "drawing emoji icon style of the in on with and no without not red orange purple black brown"
)


def vocabulary_words(catalogue: Catalogue) -> list[str]:
    """Returns the words that become one token each."""
    words = set(EXTRA_WORDS.split())
    words.update(catalogue.object_names, catalogue.style_names, catalogue.background_names)
    words.update(catalogue.background_suffix.replace("{background}", "").split())
    for texts in catalogue.templates.values():
        for text in texts:
            words.update(w for w in text.split() if not w.startswith("{"))
    words.add("an")
    return sorted(words)


def write_tokenizer(catalogue: Catalogue, folder: Path, positions: int) -> None:
    """Writes ``vocab.json`` and ``merges.txt`` and saves a CLIPTokenizer built from them.

    Byte-pair encoding is trained until each word is one token, so that a concept's name is one
    token, as most are in CLIP's own vocabulary; other words fall apart into pieces and letters.
    """
    from transformers import CLIPTokenizer

    words = vocabulary_words(catalogue)
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    characters = string.ascii_lowercase + string.digits + string.punctuation
    trainer = trainers.BpeTrainer(
        vocab_size=10_000,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=list(characters),
        show_progress=False,
    )
    # Single characters with the suffix, so that any lower-case text can be spelt.
    bpe.train_from_iterator([*words, *characters], trainer)
    model = json.loads(bpe.to_str())["model"]
    tokens = list(model["vocab"])
    tokens += [c + "</w>" for c in characters if c + "</w>" not in model["vocab"]]
    vocab = {token: i for i, token in enumerate([*tokens, START, END])}
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    write_text(folder / "vocab.json", json.dumps(vocab))
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=positions,
    )
    tokenizer.save_pretrained(folder)
