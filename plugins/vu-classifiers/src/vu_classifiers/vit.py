"""A vision transformer for small pictures; Dosovitskiy et al., arXiv:2010.11929, in the size called tiny."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class _Block(nn.Module):
    """Attention and a perceptron, each normalised before and added to what it read."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, tokens, width = x.shape
        split = self.qkv(self.norm1(x)).reshape(count, tokens, 3, self._heads, width // self._heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(queries, keys, values).transpose(1, 2).reshape(count, tokens, width)
        x = x + self.proj(mixed)
        found: torch.Tensor = x + self.mlp(self.norm2(x))
        return found


class ViT(nn.Module):
    """A vision transformer that reads its answer from a class token.

    Args:
        classes: How many.
        picture_size: Height and width, in pixels, multiples of ``patch``.
        patch: Side of a patch, in pixels.
        width: Numbers of a token.
        depth: Blocks.
        heads: Of each block's attention.
    """

    def __init__(
        self, classes: int, picture_size: tuple[int, int], patch: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        rows, columns = (side // patch for side in picture_size)
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, rows * columns + 1, width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) for normalised pictures (N, 3, H, W)."""
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits


def vit_tiny(
    classes: int, picture_size: tuple[int, int], width: int = 192, depth: int = 12, heads: int = 3, patch: int = 4
) -> ViT:
    """Return a vision transformer of the size tiny, with patches of 4 pixels for small pictures.

    Args:
        classes: How many.
        picture_size: Multiples of ``patch``, in pixels.
        width: Numbers of a token, a multiple of ``heads``.
        depth: Blocks.
        heads: Of each block's attention.
        patch: Side of a patch, in pixels.

    Raises:
        ValueError: Sizes do not divide evenly.

    Example:
        >>> sum(p.numel() for p in vit_tiny(10, (32, 32)).parameters())
        5362762
    """
    if any(side % patch for side in picture_size):
        raise ValueError(f"pictures of {' x '.join(map(str, picture_size))} pixels have no whole patches of {patch}")
    if width % heads:
        raise ValueError(f"a width of {width} cannot be split among {heads} heads")
    return ViT(classes, picture_size, patch, width, depth, heads)
