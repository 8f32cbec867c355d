"""Progress for people: iterations inside iterations, and lines above them."""

from __future__ import annotations

import io
import sys

import pytest

from vu_core.progress import say, together, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Return a function that makes standard error a terminal; called within the test, as pytest changes it before."""

    def make():
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return make


def test_bars_inside_bars_are_shown_together(on_terminal):
    terminal, seen = on_terminal(), []
    with together():
        for outer in track("ab", 2, "outside"):
            for inner in track([1, 2], 2, "inside"):
                seen.append((outer, inner))
            say(f"{outer} is done")
    assert seen == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    shown = terminal.getvalue()
    assert all(text in shown for text in ("outside", "inside", "a is done", "b is done", "left"))


def test_blocks_in_blocks_show_their_bars_together_too(on_terminal):
    on_terminal()
    with together():
        for _ in track("ab", 2, "outside"):
            with together():
                assert list(track([1, 2], 2, "inside")) == [1, 2]
    assert list(track("ab", 2, "alone")) == ["a", "b"]


def test_after_an_interruption_bars_can_be_shown_again(on_terminal):
    on_terminal()
    with pytest.raises(KeyboardInterrupt), together():
        for _ in track("ab", 2, "outside"):
            raise KeyboardInterrupt
    assert list(track("ab", 2, "alone")) == ["a", "b"]


def test_without_a_terminal_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with together():
        assert list(track("ab", 2, "outside")) == ["a", "b"]
        say("a line")
    assert sys.stderr.getvalue() == "a line\n"
