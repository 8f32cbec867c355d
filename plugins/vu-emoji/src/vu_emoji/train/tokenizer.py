"""A CLIP tokenizer whose words are those of the captions, letters for the rest."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from vu_core.files import write_text
from vu_emoji.catalogue import Catalogue

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
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


def merges_of(words: Iterable[str]) -> list[tuple[str, str]]:
    """Returns the merges, in their order, of byte-pair encoding trained until each word is one token.

    The most frequent pair goes first, and of equally frequent ones the first in the order of strings: the
    trainer of the tokenizers library takes any of them, so that no two of its vocabularies are alike.
    """
    spelled = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges = []
    while counts := Counter(pair for parts in spelled for pair in pairwise(parts)):
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        spelled = [_merged(parts, merges[-1]) for parts in spelled]
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    done: list[str] = []
    for part in parts:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return done


def write_tokenizer(catalogue: Catalogue, folder: Path, positions: int) -> None:
    """Writes ``vocab.json`` and ``merges.txt`` and saves a CLIPTokenizer built from them.

    A concept's name is one token, as most are in CLIP's own vocabulary; other words fall apart into pieces
    and letters.
    """
    from transformers import CLIPTokenizer

    merges = merges_of(vocabulary_words(catalogue))
    characters = sorted(string.ascii_lowercase + string.digits + string.punctuation)
    # Single characters with and without the suffix, so that any lower-case text can be spelt.
    letters = [*characters, *(character + END_OF_WORD for character in characters)]
    tokens = [*letters, *dict.fromkeys(a + b for a, b in merges), START, END]
    write_text(folder / "vocab.json", json.dumps({token: i for i, token in enumerate(tokens)}))
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
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
