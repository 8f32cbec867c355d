"""The catalogue: names, captions, splits. Runs without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from vu_emoji.catalogue import load_catalogue, with_articles


def test_every_cell_is_trained_or_held_out() -> None:
    catalogue = load_catalogue()
    train, held_out = set(catalogue.cells("train")), set(catalogue.cells("held-out"))
    assert train | held_out == set(catalogue.cells())
    assert not train & held_out
    assert len(catalogue.objects) >= 30
    assert len(catalogue.styles) == 6


def test_each_style_has_a_held_out_cell_and_no_object_loses_two() -> None:
    held_out = load_catalogue().cells("held-out")
    assert {style for _, style in held_out} == set(load_catalogue().style_names)
    assert len({name for name, _ in held_out}) == len(held_out)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (("cat", "noto", None), "a noto cat"),
        (("apple", None, None), "apple"),
        ((None, "mono", "pink"), "mono style on a pink background"),
        ((None, None, None), ""),
        ((None, None, "pink"), ""),
    ],
)
def test_captions_state_the_facts(facts: tuple, text: str) -> None:
    assert load_catalogue().caption(*facts) == text


def test_captions_of_a_cell_are_true_of_it() -> None:
    for caption in load_catalogue().captions("apple", "emojitwo"):
        assert caption.object in (None, "apple")
        assert caption.style in (None, "emojitwo")
        for fact in (caption.object, caption.style, caption.background):
            assert fact is None or fact in caption.text


def test_articles() -> None:
    assert with_articles("a octopus in a house") == "an octopus in a house"


def test_neighbours_come_from_the_same_subgroup_first() -> None:
    neighbours = load_catalogue().neighbours("cat")
    assert neighbours[:3] == ("dog", "fox", "tiger")
    assert "car" not in neighbours
    assert load_catalogue().neighbours("cat", 2) == neighbours[:2]
    with pytest.raises(KeyError):
        load_catalogue().neighbours("unicorn")


def test_unknown_background_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="white"):
        load_catalogue().rgb("plaid")


def test_the_catalogue_is_light() -> None:
    code = "import sys, vu_emoji.catalogue as c; c.load_catalogue(); print('torch' in sys.modules)"
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"
