"""Several runs side by side: rows, the front, and what makes them hard to compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vu_core.errors import RunError
from vu_core.records import Record
from vu_core.sidebyside import side_by_side, value_of
from vu_core.types import Result


def result(metric, group, after, **more):
    return Result(**{"metric": metric, "group": group, "before": 0.0, "after": after, "change": after, "n": 5, **more})


def share(metric, group, after):
    return result(metric, group, after, direction="up", unit="%")


def write(folder: Path, *results, **facts) -> Path:
    folder.mkdir(parents=True)
    Record(folder=folder, status="finished", results=list(results), **facts).write()
    return folder


def trade(folder, forgot, kept, **facts):
    return write(folder, share("ua", "forget", forgot), share("ira", "retain", kept), **facts)


def test_the_front_holds_what_no_other_run_outdoes(tmp_path):
    numbers = {"best-kept": (50, 99), "both": (90, 95), "outdone": (90, 94), "worst": (10, 10), "most": (100, 20)}
    found = side_by_side([trade(tmp_path / name, *values) for name, values in numbers.items()])
    assert found.front() == ("best-kept", "both", "most")
    forgetting, keeping = found.axes()
    assert (forgetting.metric, forgetting.values, keeping.metric) == ("ua", (50, 90, 90, 10, 100), "ira")


def test_judges_of_one_name_and_other_weights_are_told_apart(tmp_path):
    def judged(version):
        return trade(tmp_path / version, 90, 90, scorers={"features": {"name": "emoji-features", "version": version}})

    folders = [judged("1.0, sha256 aaaaaaaa"), judged("1.0, sha256 bbbbbbbb")]
    (said,) = side_by_side(folders).differences()
    assert said.startswith("different weights of judges: ")
    assert "features=aaaaaaaa" in said and "features=bbbbbbbb" in said


def test_equals_are_both_on_the_front(tmp_path):
    assert side_by_side([trade(tmp_path / name, 90, 90) for name in "ab"]).front() == ("a", "b")


def test_less_is_better_where_the_direction_is_down(tmp_path):
    rows = {"good": (1.0, 0.1), "bad": (5.0, 0.2)}
    folders = [
        write(
            tmp_path / name,
            result("hit", "forget", forgot, direction="down"),
            result("distance", "retain", kept, direction="down"),
        )
        for name, (forgot, kept) in rows.items()
    ]
    assert side_by_side(folders).front() == ("good",)


def test_toward_the_reference_the_nearer_is_better(tmp_path):
    folders = [
        write(
            tmp_path / name,
            result("unlearning_accuracy", "forget", 90.0 + gap, direction="reference", reference=90.0, gap=gap),
            share("retain_accuracy", "retain", 90.0),
        )
        for name, gap in (("near", -1.0), ("far", 8.0))
    ]
    found = side_by_side(folders)
    assert found.front() == ("near",)
    assert found.axes()[0].distance and found.axes()[0].values == (1.0, 8.0)
    assert value_of(result("x", "forget", 3.0, direction="reference")) is None


def test_recognised_forgetting_comes_first_where_all_have_it(tmp_path):
    both = (share("ua", "forget", 1), share("ua_recognised", "forget", 2), share("ira", "retain", 3))
    folders = [write(tmp_path / "a", *both), write(tmp_path / "b", *both)]
    assert side_by_side(folders).axes()[0].metric == "ua_recognised"
    folders.append(trade(tmp_path / "c", 1, 2))
    assert side_by_side(folders).axes()[0].metric == "ua"


def test_without_a_common_metric_there_is_no_front(tmp_path):
    folders = [write(tmp_path / "a", share("ua", "forget", 1)), write(tmp_path / "b", share("ira", "retain", 1))]
    found = side_by_side(folders)
    assert found.axes() is None and found.front() == () and json.loads(found.as_json())["front"] is None
    assert [r and r.after for r in found.rows("forget")["ua"]] == [1, None]


def test_what_is_measured_without_direction_is_no_axis(tmp_path):
    rows = (result("contrast", "forget", 1.0), share("ira", "retain", 1))
    assert side_by_side([write(tmp_path / name, *rows) for name in "ab"]).axes() is None


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (("uce-cat", "fade-cat"), ("uce-cat", "fade-cat")),
        (("uce/cat-seed0", "fade/cat-seed0"), ("uce", "fade")),
        (("x/a", "y/a", "y/b"), ("x/a", "y/a", "y/b")),
    ],
)
def test_labels_tell_runs_apart(tmp_path, paths, labels):
    assert side_by_side([trade(tmp_path / path, 1, 1) for path in paths]).labels == labels


def test_every_difference_is_a_sentence(tmp_path):
    one = trade(tmp_path / "a", 1, 1, protocol={"name": "p@1", "sha256": "1" * 64}, request={"forget": ["cat"]})
    two = trade(tmp_path / "b", 1, 1, protocol={"name": "p@1", "sha256": "2" * 64}, request={"forget": ["cat"]})
    assert side_by_side([one, two]).differences() == ["different protocol: a: p@1 11111111; b: p@1 22222222"]
    three = trade(tmp_path / "c", 1, 1, request={"forget": ["dog"]}, model={"name": "m", "fingerprint": "f" * 64})
    found = side_by_side([one, three]).differences()
    assert found == [
        "different protocol: a: p@1 11111111; c: none",
        "different model: a: none; c: m ffffffff",
        "different what was forgotten: a: cat; c: dog",
    ]


def test_what_cannot_be_compared_is_refused(tmp_path):
    one = trade(tmp_path / "a", 1, 1)
    with pytest.raises(RunError, match="one run alone"):
        side_by_side([one])
    with pytest.raises(RunError, match="more than once"):
        side_by_side([one, tmp_path / "b" / ".." / "a"])
    with pytest.raises(RunError, match="no readable record"):
        side_by_side([one, tmp_path / "nothing"])
