"""Several runs side by side: rows, the front, and what makes them hard to compare."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from vu_core.errors import RunError
from vu_core.records import Record
from vu_core.sidebyside import comparison_json, side_by_side, value_of
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


def runs(folders):
    return side_by_side(folders)[""]


def test_the_front_holds_what_no_other_run_outdoes(tmp_path):
    numbers = {"best-kept": (50, 99), "both": (90, 95), "outdone": (90, 94), "worst": (10, 10), "most": (100, 20)}
    found = runs([trade(tmp_path / name, *values) for name, values in numbers.items()])
    assert found.front() == ("best-kept", "both", "most")
    forgetting, keeping = found.axes()
    assert (forgetting.metric, forgetting.values, keeping.metric) == ("ua", (50, 90, 90, 10, 100), "ira")


def test_judges_of_one_name_and_other_weights_are_told_apart(tmp_path):
    def judged(version):
        return trade(tmp_path / version, 90, 90, scorers={"features": {"name": "emoji-features", "version": version}})

    folders = [judged("1.0, sha256 aaaaaaaa"), judged("1.0, sha256 bbbbbbbb")]
    (said,) = runs(folders).differences()
    assert said.startswith("different weights of judges: ")
    assert "features=aaaaaaaa" in said and "features=bbbbbbbb" in said


def test_equals_are_both_on_the_front(tmp_path):
    assert runs([trade(tmp_path / name, 90, 90) for name in "ab"]).front() == ("a", "b")


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
    assert runs(folders).front() == ("good",)


def test_toward_the_reference_the_nearer_is_better(tmp_path):
    folders = [
        write(
            tmp_path / name,
            result("unlearning_accuracy", "forget", 90.0 + gap, direction="reference", reference=90.0, gap=gap),
            share("retain_accuracy", "retain", 90.0),
        )
        for name, gap in (("near", -1.0), ("far", 8.0))
    ]
    found = runs(folders)
    assert found.front() == ("near",)
    assert found.axes()[0].distance and found.axes()[0].values == (1.0, 8.0)
    assert value_of(result("x", "forget", 3.0, direction="reference")) is None


def test_recognised_forgetting_comes_first_where_all_have_it(tmp_path):
    both = (share("ua", "forget", 1), share("ua_recognised", "forget", 2), share("ira", "retain", 3))
    folders = [write(tmp_path / "a", *both), write(tmp_path / "b", *both)]
    assert runs(folders).axes()[0].metric == "ua_recognised"
    folders.append(trade(tmp_path / "c", 1, 2))
    assert runs(folders).axes()[0].metric == "ua"


def test_without_a_common_metric_there_is_no_front(tmp_path):
    folders = [write(tmp_path / "a", share("ua", "forget", 1)), write(tmp_path / "b", share("ira", "retain", 1))]
    found = runs(folders)
    assert found.axes() is None and found.front() == () and found.as_dict()["front"] is None
    assert [r and r.after for r in found.rows("forget")["ua"]] == [1, None]


def test_what_is_measured_without_direction_is_no_axis(tmp_path):
    rows = (result("contrast", "forget", 1.0), share("ira", "retain", 1))
    assert runs([write(tmp_path / name, *rows) for name in "ab"]).axes() is None


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (("uce-cat", "fade-cat"), ("uce-cat", "fade-cat")),
        (("uce/cat-seed0", "fade/cat-seed0"), ("uce", "fade")),
        (("x/a", "y/a", "y/b"), ("x/a", "y/a", "y/b")),
    ],
)
def test_labels_tell_runs_apart(tmp_path, paths, labels):
    assert runs([trade(tmp_path / path, 1, 1) for path in paths]).labels == labels


def test_every_difference_is_a_sentence(tmp_path):
    one = trade(tmp_path / "a", 1, 1, protocol={"name": "p@1", "sha256": "1" * 64}, request={"forget": ["cat"]})
    two = trade(tmp_path / "b", 1, 1, protocol={"name": "p@1", "sha256": "2" * 64}, request={"forget": ["cat"]})
    assert runs([one, two]).differences() == ["different protocol: a: p@1 11111111; b: p@1 22222222"]
    three = trade(tmp_path / "c", 1, 1, request={"forget": ["dog"]}, model={"name": "m", "fingerprint": "f" * 64})
    found = runs([one, three]).differences()
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
    with pytest.raises(RunError, match="cannot be read"):
        side_by_side([one, tmp_path / "nothing"])
    bench = write_bench(tmp_path / "bench", {"uce": {"object": (90, 90)}})
    with pytest.raises(RunError, match=r"is a bench, .* is none"):
        side_by_side([one, bench])
    empty = write_bench(tmp_path / "empty", {})
    with pytest.raises(RunError, match="measured nothing"):
        side_by_side([bench, empty])


def write_bench(folder, trades, **facts):
    """Write a bench that forgot cat and dog; ``trades`` are forgetting and keeping, by unlearner and kind."""
    table, done = [], []
    for unlearner, kinds in trades.items():
        for kind, (forgot, kept) in kinds.items():
            rows = [asdict(share("ua", "forget", forgot)), asdict(share("ira", "retain", kept))]
            table += [{"unlearner": unlearner, "kind": kind, "concepts": 2, **row} for row in rows]
            for name in ("cat", "dog"):
                where = f"{unlearner}/{kind}-{name}-seed0"
                trade(folder / where, forgot, kept, **facts)
                run = {"unlearner": unlearner, "kind": kind, "forget": name, "seed": 0, "status": "finished"}
                done.append({**run, "folder": where, "seconds": {"unlearn": 2.0}, "results": rows})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps({"schema": 1, "table": table, "runs": done}))
    return folder


def test_benches_stand_side_by_side_by_kind_an_unlearner_each(tmp_path):
    one = write_bench(tmp_path / "one", {"uce": {"object": (90, 95), "style": (50, 50)}, "fade": {"object": (80, 90)}})
    two = write_bench(tmp_path / "two", {"esd": {"object": (95, 80)}, "noise": {"style": (60, 60)}})
    found = side_by_side([one, two])
    assert {kind: each.labels for kind, each in found.items()} == {
        "object": ("uce", "fade", "esd"),
        "style": ("uce", "noise"),
    }
    assert found["object"].front() == ("uce", "esd") and found["style"].front() == ("noise",)
    assert [part.concepts for part in found["object"].parts] == [2, 2, 2]
    values = json.loads(comparison_json(found))["kinds"]["object"]
    assert values["runs"][0] | {"model": None} == {
        "label": "uce", "status": "finished", "unlearner": None, "preset": None, "forget": ["cat", "dog"],
        "model": None, "protocol": None, "edit": {"sha256": None, "bytes": None}, "seconds": 4.0,
    }  # fmt: skip


def test_an_unlearner_of_two_benches_is_told_apart_by_their_folders(tmp_path):
    model = {"name": "m", "fingerprint": "f" * 64}
    folders = [
        write_bench(tmp_path / "one", {"uce": {"object": (90, 95)}, "fade": {"object": (1, 1)}}),
        write_bench(tmp_path / "two", {"uce": {"object": (95, 90)}}, model=model),
    ]
    found = side_by_side(folders)["object"]
    assert found.labels == ("one: uce", "one: fade", "two: uce")
    assert found.differences() == ["different model: one: uce: none; one: fade: none; two: uce: m ffffffff"]
