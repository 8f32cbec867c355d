"""Metrics that examine models themselves: when, how often, what is kept, and what happens when they fail."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import vu_core
from vu_core.errors import RunError
from vu_core.examining import FindingsFile
from vu_core.meters import Examined

MEASURED = ("--metric", "moved", "--metric", "moved_share", "--device", "cpu")
BASE = ("run", "blank", "--forget", "dark", *MEASURED)
RIGHT = (
    "run",
    "blank",
    "--forget",
    "dark",
    "--metric",
    "moved",
    "--metric",
    "right",
    "--device",
    "cpu",
    "--out",
    "run",
)


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy-classifier")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def examined(monkeypatch):
    """What was examined: part and number of edits, in order."""
    import vu_shapes_work

    seen = []
    monkeypatch.setattr(vu_shapes_work, "EXAMINED", seen)
    return seen


@pytest.fixture
def retrained(vu):
    for seed in range(3):
        arguments = ("--device", "cpu", "--metric", "right", "--seed", str(seed), "--out", f"retrained/{seed}")
        assert vu("run", "retrain", "--forget", "dark", *arguments).exit_code == 0
    return "retrained"


def record_of(folder):
    return json.loads((Path(folder) / "record.json").read_text())


def results_of(folder):
    return {result["metric"]: result for result in record_of(folder)["results"]}


def counts_of(folder):
    stages = {stage["name"]: stage["detail"] for stage in record_of(folder)["stages"]}
    return {name: (stage["computed"], stage["cached"]) for name, stage in stages.items() if name.startswith("examine ")}


def means_of(edit):
    return vu_core.read_edit(edit).tensors["classifier.means"].tolist()


def test_before_after_and_every_retrained_model_are_examined(vu, retrained, examined):
    result = vu(*BASE, "--retrained", retrained, "--out", "run")
    assert result.exit_code == 0, result.output
    original = vu_core.load_model("greys", device="cpu").tensor("classifier", "means").tolist()
    after = (abs(means_of("run")[0] - original[0]) + abs(means_of("run")[2] - original[2])) / 2
    others = [
        (abs(one[0] - original[0]) + abs(one[2] - original[2])) / 2
        for one in (means_of(f"retrained/{seed}") for seed in range(3))
    ]
    found = results_of("run")["moved"]
    assert (found["before"], found["after"]) == (0.0, pytest.approx(after, abs=1e-6))
    assert (found["reference"], found["reference_n"]) == (pytest.approx(sum(others) / 3), 3)
    assert found["gap"] == pytest.approx(after - sum(others) / 3, abs=1e-6)
    share = results_of("run")["moved_share"]
    assert (share["before"], share["after"]) == (0.0, pytest.approx(3 * after / sum(others)))
    apart = [one / ((sum(others) - one) / 2) for one in others]
    assert share["reference"] == pytest.approx(sum(apart) / 3) and share["reference_noise"] is not None
    assert examined == [("dark", 0), ("bright", 0), *[("dark", 1), ("bright", 1)] * 4]


def test_metrics_that_name_the_same_examination_share_it(vu, retrained):
    vu(*BASE, "--retrained", retrained, "--out", "run")
    assert counts_of("run") == {"examine before": (2, 2), "examine after": (2, 2), "examine retrained": (6, 6)}
    after = json.loads(Path("run/examined/after.json").read_text())
    assert after["moved"] == after["moved_share"]
    assert set(after["moved"]["found"]) == {"dark", "bright"} and after["moved"]["problem"] == ""
    kept = {path.stem for path in Path("cache").rglob("*.found")}
    assert len(kept) == 10 and set(after["moved"]["keys"].values()) < kept


def test_a_repeated_measurement_examines_nothing(vu, retrained, examined):
    vu(*BASE, "--retrained", retrained, "--out", "run")
    examined.clear()
    vu(*BASE, "--retrained", retrained, "--out", "again")
    result = vu("eval", "run", *MEASURED, "--retrained", retrained, "--out", "measured")
    assert result.exit_code == 0, result.output
    assert examined == []
    assert results_of("again") == results_of("measured") == results_of("run")


def test_an_interruption_loses_one_part(vu, retrained, examined, monkeypatch):
    import vu_shapes_work

    vu(*BASE, "--retrained", retrained, "--out", "whole")
    monkeypatch.setenv("VU_CACHE_DIR", "other-cache")
    examined.clear()
    carried_out = vu_shapes_work.Moved.examine

    def interrupted(self, part, subject):
        if len(examined) == 5:
            raise KeyboardInterrupt
        return carried_out(self, part, subject)

    with monkeypatch.context() as patch:
        patch.setattr(vu_shapes_work.Moved, "examine", interrupted)
        stopped = vu(*BASE, "--retrained", retrained, "--out", "part")
    assert stopped.exit_code == 130 and record_of("part")["status"] == "interrupted"
    examined.clear()
    assert vu("run", "--resume", "--out", "part").exit_code == 0
    assert len(examined) == 10 - 5
    assert results_of("part") == results_of("whole")


def test_other_options_are_another_examination(vu, examined):
    protocol = Path("greys.toml")
    for times, expected in ((1, 4), (3, 4), (1, 0)):
        protocol.write_text(
            'name = "mine@1"\ndataset = ""\n[pictures]\nsplits = ["test"]\n'
            f"[metrics]\nmoved = {{ times = {times}.0 }}\n"
        )
        examined.clear()
        arguments = ("--protocol", str(protocol), "--device", "cpu", "--out", f"run-{times}-{expected}")
        assert vu("run", "blank", "--forget", "dark", *arguments).exit_code == 0
        assert len(examined) == expected
    once, thrice = (results_of(f"run-{times}-4")["moved"]["after"] for times in (1, 3))
    assert thrice == pytest.approx(3 * once)


def test_without_retrained_models_there_is_no_reference(vu):
    assert vu(*BASE, "--out", "run").exit_code == 0
    found = results_of("run")
    assert found["moved"]["after"] > 0 and "no reference" in found["moved"]["note"]
    assert found["moved_share"]["after"] is None and "no reference" in found["moved_share"]["note"]


def test_a_model_as_it_is_has_nothing_forgotten(vu, examined):
    result = vu("eval", "greys", "--protocol", "greys@1", "--metric", "moved", "--device", "cpu", "--out", "measured")
    assert result.exit_code == 0, result.output
    assert results_of("measured")["moved"]["note"].startswith("nothing is forgotten") and examined == []


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (lambda: 1 / 0, "metric 'moved', before: ZeroDivisionError"),
        (lambda: {"moved": math.nan}, "metric 'moved', before: ValueError"),
        (lambda: {"moved": object()}, "metric 'moved', before: TypeError"),
        (lambda: {"moved": -1.0}, "is outside [0.0, None]"),
    ],
)
def test_a_metric_that_fails_is_an_error_and_the_others_go_on(vu, monkeypatch, finding, said):
    import vu_shapes_work

    monkeypatch.setattr(vu_shapes_work.Moved, "examine", lambda *given: finding())
    result = vu(*RIGHT)
    assert result.exit_code != 0
    assert said in " ".join(record_of("run")["errors"])
    assert results_of("run")["right"]["after"] is not None and results_of("run").get("moved", {}).get("after") is None


def test_a_damaged_file_of_the_cache_is_computed_again(vu, examined):
    vu(*RIGHT)
    damaged = next(Path("cache").rglob("*.found"))
    damaged.write_text("{")
    examined.clear()
    assert vu(*RIGHT[:-1], "again").exit_code == 0
    assert len(examined) == 1 and results_of("again") == results_of("run")


def test_what_was_found_comes_back_from_its_file_and_damage_is_one_sentence(tmp_path):
    file = FindingsFile(tmp_path / "examined" / "after.json")
    found = {"moved": Examined(found={"dark": {"moved": 0.1}}, keys={"dark": "0" * 64})}
    file.write(found)
    assert file.read() == found
    for text in ("[]", '{"moved": {"lost": 1}}', "{"):
        file.path.write_text(text)
        with pytest.raises(RunError, match="cannot be read"):
            file.read()


def test_a_model_that_draws_is_examined_by_the_same_door(vu, install_fakes):
    install_fakes("toy")
    arguments = ("--forget", "cat", "--protocol", "toy-quick@1", "--metric", "hit", "--metric", "repainted")
    result = vu("run", "repaint", *arguments, "--out", "run")
    assert result.exit_code == 0, result.output
    found = results_of("run")["repainted"]
    assert found["before"] == 0.0 and found["after"] > 0 and found["change"] == found["after"]
    assert counts_of("run") == {"examine before": (1, 0), "examine after": (1, 0)}
