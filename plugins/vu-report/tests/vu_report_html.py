"""What every page must be, found by parsing it: whole, labelled, escaped, and asking the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "input", "br", "wbr"}
HEADINGS = ("h1", "h2", "h3", "h4")


class Page(HTMLParser):
    """The elements of a page in their order: tag, attributes, and the texts inside."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.stack: list[str] = []
        self.within: list[tuple[str, ...]] = []
        self.feed(html)
        self.close()
        assert self.stack == [], f"left open: {self.stack}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        self.elements.append((tag, dict(attrs)))
        self.within.append(tuple(self.stack))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> ends {self.stack[-1:]}"
        self.stack.pop()

    def handle_data(self, data):
        for tag in set(self.stack):
            self.texts.setdefault(tag, []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str = "main") -> str:
        return " ".join("".join(self.texts.get(tag, ())).split())


def check(html: str) -> Page:
    """Parse a page, check all that every page must be, and return it."""
    page = Page(html)
    _check_structure(page)
    _check_names(page)
    _check_closed(page, html)
    return page


def _check_structure(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    levels = [HEADINGS.index(tag) for tag, _ in page.elements if tag in HEADINGS]
    outside_dialog = levels[:-1]
    assert outside_dialog[0] == 0 and all(b - a <= 1 for a, b in pairwise(outside_dialog))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id is used twice"
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "data-copy"):
            assert attributes.get(name, ids[0]) in ids, attributes
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids, attributes


def _check_names(page: Page) -> None:
    assert all(image.get("alt") is not None for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img") if "id" not in image), "a picture says nothing"
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    tables = len(page.all("table"))
    named = len(page.all("caption")) + sum("tabindex" in d and "aria-label" in d for d in page.all("div"))
    assert named >= tables
    for (tag, attributes), within in zip(page.elements, page.within, strict=True):
        if tag == "input":
            assert "label" in within
        if attributes.get("role") == "region":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
            assert attributes["tabindex"] == "0", "what scrolls must be reachable by keyboard"
        if tag == "svg":
            assert attributes["aria-hidden"] == "true"


def _check_closed(page: Page, html: str) -> None:
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith(("data:", "#")) or (tag, name) == ("a", "href"), (tag, value[:80])
            assert "://" not in value[:40] and not value.lower().startswith("javascript:")
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "url(" not in text and "@import" not in text and "http" not in text
