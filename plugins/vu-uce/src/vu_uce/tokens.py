"""The two published rules that pick rows of token states."""

from __future__ import annotations

from typing import Literal

import torch

TokenRule = Literal["last", "aligned-tail"]


def last_content_index(mask: torch.Tensor) -> torch.Tensor:
    """Return the index of the last content token: the one before the token that marks the end.

    A prompt without content has none; index 0 stands for it. That is the beginning-of-sequence
    state in CLIP, as published. In T5 the published code takes -1, a padding state, by accident.

    Args:
        mask: bool (N, L), True for a prompt's tokens, those that mark its beginning and end included.

    Returns:
        int64 (N,).
    """
    return (mask.sum(dim=1) - 2).clamp(min=0)


def aligned_rows(states: torch.Tensor, mask: torch.Tensor, rule: TokenRule) -> torch.Tensor:
    """Return the rows of prompts that belong together, aligned at their last content tokens.

    With ``"last"`` that is one row a prompt. With ``"aligned-tail"`` it is that row and all that
    follow, end and padding tokens included, cut to the shortest: L - max(last content index) rows.

    Args:
        states: float (N, L, d).
        mask: bool (N, L).
        rule: The token rule.

    Returns:
        float (N, R, d); row r of every prompt stands for the same position after its content.
    """
    start = last_content_index(mask)
    length = 1 if rule == "last" else states.shape[1] - int(start.max())
    positions = start[:, None] + torch.arange(length)
    return states.gather(1, positions[:, :, None].expand(-1, -1, states.shape[2]))


def preserved_rows(states: torch.Tensor, mask: torch.Tensor, rule: TokenRule) -> torch.Tensor:
    """Return the rows of one prompt whose outputs are preserved: the last content token's, or all.

    Args:
        states: float (L, d).
        mask: bool (L,).
        rule: ``"last"`` picks one row, ``"aligned-tail"`` all L.

    Returns:
        float (1 or L, d).
    """
    return aligned_rows(states[None], mask[None], rule)[0] if rule == "last" else states
