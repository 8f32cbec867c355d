"""The verdict in words: nothing is claimed that lies within noise."""

from __future__ import annotations

import pytest
from vu_report.sentences import verdict
from vu_report_folders import RESULTS, result

KEPT = result("ira", "retain", 98.0, 99.0, (-2, 3))
UNRECOGNISED = result("unrecognised", after=80.0, span=(60, 95), direction="down")


def headline(*results, **more):
    return verdict(results, "cat", **more).headline


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (result(), "Forgot cat; kept the rest, within noise."),
        (result(after=70.0), "Mostly forgot cat; kept the rest, within noise."),
        (result(after=20.0, span=(5, 30)), "Partly forgot cat; kept the rest, within noise."),
        (
            result(after=5.0, span=(-4, 14)),
            "No forgetting of cat was shown (ua went from 0.0 to 5.0 %, within noise); kept the rest, within noise.",
        ),
        (
            result(after=60.0, span=(-10, 90)),
            "Too little was measured to say whether it forgot cat (ua went from 0.0 to 60.0 %, within noise); "
            "kept the rest, within noise.",
        ),
        (
            result(before=60.0, after=20.0, span=(-60, -20)),
            "No forgetting of cat was shown (ua went from 60.0 to 20.0 %); kept the rest, within noise.",
        ),
    ],
)
def test_how_much_was_forgotten(share, expected):
    assert headline(share, KEPT).replace("\N{NO-BREAK SPACE}", " ") == expected


def test_destroying_is_not_forgetting():
    found = verdict([result(), UNRECOGNISED, KEPT], "cat")
    assert found.headline.startswith("Destroyed rather than forgot cat: in 80.0")
    assert found.tone == "bad"


def test_some_unrecognisable_pictures_are_named_but_are_not_destruction():
    some = result("unrecognised", after=20.0, span=(5, 35), direction="down")
    found = verdict([result(), some, KEPT], "cat")
    assert found.headline.startswith("Forgot cat;")
    assert "in 20.0\N{NO-BREAK SPACE}% nothing is recognisable" in found.details[0]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (result("ira", "retain", 98.0, 80.0, (-25, -10)), "damaged what was to be kept: ira on retain went from 98.0"),
        (result("ira", "neighbours", 98.0, 80.0, (-25, -10)), "damaged what was to be kept: ira on neighbours"),
        (result("ira", "retain", 98.0, 97.0, (-30, 28)), "whether it kept the rest (a loss of up to 30.0 points)"),
        (result("ira", "retain", 98.0, 97.0, None), "how sure it kept the rest is not known"),
        (result("fid", "retain", None, 12.0, None, unit=""), "what it kept was not measured"),
    ],
)  # fmt: skip
def test_what_was_kept(kept, expected):
    assert expected in headline(result(), kept).replace("\N{NO-BREAK SPACE}", " ")


def test_a_loss_counts_whichever_way_is_better():
    lost = result("unrecognised", "retain", 1.0, 30.0, (20, 40), direction="down")
    assert "damaged what was to be kept: unrecognised on retain" in headline(result(), lost)


def test_what_the_interval_leaves_open_is_said():
    details = verdict(RESULTS, "cat", neighbours="dog").details
    assert any("ira 98.0 → 99.0" in d and "a loss of up to 2.0 points cannot be ruled out" in d for d in details)
    assert any(d.startswith("Neighbours dog (n = 20)") for d in details)


def test_few_pictures_are_named():
    assert "6 are few: the interval is wide." in verdict([result(n=6), KEPT], "cat").details


def accuracy(metric="unlearning_accuracy", group="forget", **more):
    values = {"reference": 95.0, "reference_n": 5, "gap": 2.0, "reference_noise": 2.5, "direction": "reference"}
    return result(metric, group, before=2.0, after=97.0, span=(90, 100), **values | more)


def test_beside_retrained_models():
    kept = accuracy("retain_accuracy", "retain", gap=0.1)
    found = verdict([accuracy(), kept], "cat")
    assert found.headline == (
        "Forgot cat as models do that never learned it; no farther from them on the rest than they from each other."
    )
    assert found.tone == "good"
    assert "5 retrained models have 95.0" in found.details[0] and "a gap of +2.0" in found.details[0]
    off = accuracy("retain_accuracy", "retain", gap=-7.0)
    assert headline(accuracy(gap=47.0), off) == (
        "On cat it lies +47.0 points from models that never learned it; "
        "on the rest, retain_accuracy lies \N{MINUS SIGN}7.0 from theirs."
    )


def test_one_retrained_model_has_no_noise():
    found = verdict([accuracy(reference_n=1, reference_noise=None)], "cat")
    assert found.headline.startswith("On cat it lies +2.0 points")
    assert "one retrained model has 95.0" in found.details[0]


def test_without_retrained_models_nothing_is_claimed():
    found = verdict([accuracy(reference=None, gap=None, reference_n=0, reference_noise=None)], "cat")
    assert "there is no retrained model to hold that against" in found.headline and found.tone == "neutral"


def test_other_metrics_are_told_by_their_names():
    other = result("hit", before=100.0, after=0.0, span=(-100, -80), direction="down")
    assert headline(other, KEPT).startswith("On cat, hit went from 100.0 to 0.0")
    assert headline(KEPT).startswith("Whether cat was forgotten was not measured")


def test_nothing_measured_and_nothing_unlearned():
    assert verdict([], "cat").headline == "Nothing was measured."
    assert headline(result("ira", "all", 98.0, None)) == "A model as it is: nothing was unlearned."
