"""Pictures inside the page, as small as it takes to keep the page under its limit."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MAX_PICTURES = 500
# Encoded bytes of all pictures together; as text they take a third more, and the page stays under 10 MB.
TOTAL_BYTES = 6_500_000
_SIDES = (512, 384, 256, 192, 128, 96, 64)
_QUALITIES = (85, 65)
# A picture with anything in it takes about this many bytes a pixel, or more.
_FEWEST_BYTES = 0.05
_FAST = 1  # Slower methods save a few percent.
# Pictures this small are kept as they are, without loss, where that fits.
_SMALL = 128


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture inside the page.

    Attributes:
        uri: ``data:image/webp;base64,...``.
        width: Pixels.
        height: Pixels.
    """

    uri: str
    width: int
    height: int


class Thumbnails:
    """Makes thumbnails that together stay under `TOTAL_BYTES`.

    Args:
        count: How many pictures there will be, at most.
    """

    def __init__(self, count: int) -> None:
        self._each = TOTAL_BYTES // max(count, 1)

    def of(self, path: Path) -> Thumbnail | None:
        """Return the picture at ``path``, or None when it is missing or damaged."""
        try:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
        except (OSError, Image.DecompressionBombError):
            return None
        data, size = self._fitting(picture)
        uri = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
        return Thumbnail(uri=uri, width=size[0], height=size[1])

    def _fitting(self, picture: Image.Image) -> tuple[bytes, tuple[int, int]]:
        if max(picture.size) <= _SMALL:
            data = _webp(picture, lossless=True)
            if len(data) <= self._each:
                return data, picture.size
        data, smaller = b"", picture
        for side in self._sides(max(picture.size)):
            smaller = picture.copy()
            smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
            for quality in _QUALITIES:
                data = _webp(smaller, quality=quality)
                if len(data) <= self._each:
                    return data, smaller.size
        # Noise as small as it gets; the page may then pass its limit by little.
        return data, smaller.size

    def _sides(self, longest: int) -> list[int]:
        """Return the sizes worth a try, the largest first: none above the picture's own, nor hopeless ones."""
        sides = [min(longest, _SIDES[0]), *(side for side in _SIDES[1:] if side < longest)]
        return [side for side in sides if side * side * _FEWEST_BYTES <= self._each] or sides[-1:]


def _webp(picture: Image.Image, *, quality: int = 80, lossless: bool = False) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="webp", quality=quality, lossless=lossless, method=_FAST)
    return stream.getvalue()
