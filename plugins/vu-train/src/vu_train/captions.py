"""Captions that name a concept, and the same captions with another one in its place."""

from __future__ import annotations

import re

from vu_core import Concept, RequestError

PLACE = "{concept}"
"""Stands for the concept's text in a caption template."""


def replace_concept(caption: str, concept: Concept, replacement: Concept) -> str:
    """Return ``caption`` with the text of ``replacement`` wherever that of ``concept`` stands.

    Whole words count, in any case, and an article before them follows the new text.

    Raises:
        RequestError: The caption does not name the concept.

    Example:
        >>> replace_concept("an apple in noto style", Concept(name="apple"), Concept(name="banana"))
        'a banana in noto style'
    """

    def written(match: re.Match[str]) -> str:
        article = match["article"] or ""
        if article.lower() in ("a", "an"):
            article = article[0] + ("n" if replacement.text[:1].lower() in "aeiou" else "")
        return f"{article}{match['gap'] or ''}{replacement.text}"

    pattern = rf"(?:\b(?P<article>an?)(?P<gap>\s+))?{_words(concept.text)}"
    changed, count = re.subn(pattern, written, caption, flags=re.IGNORECASE)
    if not count:
        raise RequestError(
            f"the caption '{caption}' does not name '{concept.text}', so it cannot name '{replacement.text}' instead",
            hint="Give a caption template with {concept}, or overwriting captions.",
        )
    return changed


def names(caption: str, concept: Concept) -> bool:
    """Return whether ``caption`` names ``concept``, as whole words in any case.

    Example:
        >>> names("A cat on a mat", Concept(name="cat")), names("a caterpillar", Concept(name="cat"))
        (True, False)
    """
    return re.search(_words(concept.text), caption, flags=re.IGNORECASE) is not None


def _words(text: str) -> str:
    """Return a pattern of ``text`` as whole words."""
    return rf"(?<!\w){re.escape(text)}(?!\w)"
