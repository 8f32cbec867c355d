"""``vu bench`` on the toy plugin's model: every animal forgotten in turn."""

from __future__ import annotations

import json
import random
from importlib.resources import files
from pathlib import Path

import pytest

ANIMALS = ("cat", "dog", "fox", "bear", "frog")
BENCH = ("bench", "toy-quick@1", "--unlearner", "repaint", "--device", "cpu", "--out", "bench")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def work(monkeypatch):
    """Count what is done: edits made, pictures drawn, models loaded."""
    import vu_toy_work as toy

    done = {"edits": 0, "pictures": 0, "models": 0}
    unlearn, sample, make = toy.Repaint.unlearn, toy.ToyModel.sample, toy.ToyModel.__init__

    def counted_unlearn(self, *arguments):
        edit = unlearn(self, *arguments)
        done["edits"] += 1
        return edit

    def counted_sample(self, *arguments):
        for picture in sample(self, *arguments):
            done["pictures"] += 1
            yield picture

    def counted_make(self, *arguments, **options):
        done["models"] += 1
        make(self, *arguments, **options)

    monkeypatch.setattr(toy.Repaint, "unlearn", counted_unlearn)
    monkeypatch.setattr(toy.ToyModel, "sample", counted_sample)
    monkeypatch.setattr(toy.ToyModel, "__init__", counted_make)
    return done


def bench_of(folder="bench"):
    return json.loads((Path(folder) / "bench.json").read_text())


def row(bench, group):
    (found,) = [r for r in bench["table"] if (r["metric"], r["group"]) == ("hit", group)]
    return found


def test_every_concept_is_forgotten_in_turn_and_pooled(vu, work):
    result = vu(*BENCH)
    assert result.exit_code == 0, result.output
    assert "base model" in result.stdout and "5 of 5 runs finished" in result.stdout
    bench = bench_of()
    assert (bench["schema"], bench["status"], bench["seeds"]) == (1, "finished", [0])
    assert bench["protocol"]["name"] == "toy-quick@1" and bench["environment"]["versions"]["vu-toy"] == "1.0"
    forget, retain = row(bench, "forget"), row(bench, "retain")
    assert (forget["concepts"], forget["n"], forget["before"], forget["after"]) == (5, 5, 100, 0)
    assert (retain["n"], retain["after"], retain["change"]) == (20, 100, 0)
    assert forget["after_interval"]["high"] < 50 and forget["interval"]["high"] < 0
    assert [run["forget"] for run in bench["runs"]] == list(ANIMALS)
    assert work == {"edits": 5, "pictures": 5 + 25, "models": 1}
    assert bench["work"] == {"runs": 5, "runs_already_there": 0, "drawn": 30, "cached": 20}
    assert "measured on: run" in result.stdout
    costs = {row["metric"]: row for row in bench["costs"]}
    assert list(costs) == ["unlearn_time", "unlearn_memory", "edit_size"]
    assert costs["unlearn_time"]["concepts"] == 5 and costs["unlearn_time"]["before"] is None
    each = [run["seconds"]["unlearn"] for run in bench["runs"]]
    assert costs["unlearn_time"]["after"] == pytest.approx(sum(each) / 5, abs=1e-3)


def test_another_judge_judges_every_run(vu):
    assert vu(*BENCH, "--forget", "cat", "--scorer", "object=toy-dull").exit_code == 0
    record = json.loads(Path("bench/repaint/object-cat-seed0/record.json").read_text())
    assert record["scorers"]["object"]["name"] == "toy-dull"


def test_other_words_for_what_is_forgotten_are_not_in_the_matrix(vu):
    own = (files("vu_toy_world") / "toy-quick@1.toml").read_text().replace("toy-quick@1", "words@1")
    Path("words.toml").write_text(own + '[synonyms]\ncat = ["wildcat", "housecat"]\n')
    done = vu("bench", "words.toml", *BENCH[2:], "--forget", "cat,dog")
    assert done.exit_code == 0, done.output
    verdicts = Path("bench/repaint/object-cat-seed0/verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["synonym"] for line in verdicts].count(True) == 2
    assert bench_of()["interference"]["repaint"]["n"] == [[1] * 5, [1] * 5]


def test_each_run_is_a_run(vu):
    vu(*BENCH, "--forget", "cat")
    vu("run", "repaint", "--forget", "object:cat", "--quick", "--device", "cpu", "--out", "run")
    ours, its = (json.loads((Path(f) / "record.json").read_text()) for f in ("bench/repaint/object-cat-seed0", "run"))
    assert (ours["edit"], ours["results"], ours["unlearner"]) == (its["edit"], its["results"], its["unlearner"])


def test_started_again_it_repeats_nothing(vu, work):
    vu(*BENCH)
    first, records = bench_of(), {p: p.stat().st_mtime_ns for p in Path("bench").rglob("record.json")}
    work.update(edits=0, pictures=0, models=0)
    assert vu(*BENCH).exit_code == 0
    assert work == {"edits": 0, "pictures": 0, "models": 0}
    assert {p: p.stat().st_mtime_ns for p in Path("bench").rglob("record.json")} == records and len(records) == 5
    again = bench_of()
    assert again["work"] == {"runs": 0, "runs_already_there": 5, "drawn": 0, "cached": 0}
    assert (again["table"], again["interference"]) == (first["table"], first["interference"])


class Killed(BaseException):
    """As a kill: what was being written is lost, and nothing more is written."""


def test_a_bench_goes_on_in_a_folder_that_is_called_as_its_protocol(vu, work):
    named = (*BENCH[:-1], "toy-quick@1", "--forget", "cat,dog")
    for _ in range(2):
        result = vu(*named)
        assert result.exit_code == 0, result.output
    assert work["edits"] == 2


def test_killed_at_random_moments_it_repeats_only_what_was_in_flight(vu, work, monkeypatch):
    import vu_core.files as files
    import vu_core.records as records

    whole = json.loads(vu(*BENCH, "--out", "whole", "--json").stdout)
    monkeypatch.setenv("VU_CACHE_DIR", "other-cache")
    work.update(edits=0, pictures=0, models=0)
    flush, draw, kills = files.os.fsync, random.Random(5), 0
    with monkeypatch.context() as patch:
        patch.setattr(records.Record, "_write_if_possible", lambda self: None)
        for _ in range(20):
            left = iter(range(draw.randrange(1, 34)))

            def killed(descriptor, left=left):
                if next(left, None) is None:
                    raise Killed
                flush(descriptor)

            patch.setattr(files.os, "fsync", killed)
            try:
                vu(*BENCH)
            except Killed:
                kills += 1
    final = json.loads(vu(*BENCH, "--json").stdout)
    again = (work["edits"] - 5) + (work["pictures"] - 30)
    assert kills >= 10 and 0 <= again <= kills
    assert final["work"]["runs"] + final["work"]["runs_already_there"] == 5
    assert (final["table"], final["interference"]) == (whole["table"], whole["interference"])
    assert [run["edit"] for run in final["runs"]] == [run["edit"] for run in whole["runs"]]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(vu, work, monkeypatch):
    import vu_toy_work as toy

    unlearn = toy.Repaint.unlearn

    def interrupted(self, model, request, *arguments):
        if request.forget[0].name == "fox":
            raise KeyboardInterrupt
        return unlearn(self, model, request, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(toy.Repaint, "unlearn", interrupted)
        stopped = vu(*BENCH)
    assert stopped.exit_code == 130 and "the same command continues in bench" in stopped.stderr
    bench = bench_of()
    assert bench["status"] == "interrupted" and row(bench, "forget")["concepts"] == 2
    assert [run["status"] for run in bench["runs"]] == ["finished"] * 2 + ["pending"] * 3
    dry = json.loads(vu(*BENCH, "--dry-run", "--json").stdout)
    assert dry["runs"] == "5: 2 there already, 3 to do" and "from 2 runs" in dry["time"]
    assert vu(*BENCH).exit_code == 0 and work["edits"] == 5


def test_a_concept_that_fails_is_a_row_and_the_others_go_on(vu, monkeypatch):
    import vu_toy_work as toy

    unlearn = toy.Repaint.unlearn

    def broken(self, model, request, *arguments):
        if request.forget[0].name == "dog":
            raise ZeroDivisionError("no dogs")
        return unlearn(self, model, request, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(toy.Repaint, "unlearn", broken)
        result = vu(*BENCH)
    assert result.exit_code == 1 and "error: repaint dog: ZeroDivisionError: no dogs" in result.stdout
    bench = bench_of()
    assert bench["status"] == "failed" and bench["errors"] == ["repaint dog: ZeroDivisionError: no dogs"]
    assert row(bench, "forget")["concepts"] == 4
    assert vu(*BENCH).exit_code == 0 and row(bench_of(), "forget")["concepts"] == 5


def test_the_matrix_says_who_suffers_when_whom_is_forgotten(vu, monkeypatch):
    import vu_toy_work as toy

    unlearn = toy.Repaint.unlearn

    def harmful(self, model, request, data, *arguments):
        """Forgetting a dog repaints foxes, too."""
        if request.forget[0].name == "dog":
            from vu_core.types import Concept, Request

            request = Request(forget=(*request.forget, Concept(name="fox")))
        return unlearn(self, model, request, data, *arguments)

    monkeypatch.setattr(toy.Repaint, "unlearn", harmful)
    result = vu(*BENCH, "--forget", "cat,dog")
    assert "repaint hit hardest: fox 100 to 0 % when dog is forgotten" in " ".join(result.stdout.split())
    found = bench_of()["interference"]["repaint"]
    assert (found["forget"], found["measured"]) == (["cat", "dog"], list(ANIMALS))
    assert found["change"] == [[-100, 0, 0, 0, 0], [0, -100, -100, 0, 0]]
    (worst,) = found["hardest"]
    assert (worst["forget"], worst["measured"], worst["neighbour"]) == ("dog", "fox", True)
    assert Path("bench/interference-repaint.png").read_bytes().startswith(b"\x89PNG")


def test_seeds_and_unlearners_are_runs_of_their_own(vu, work):
    result = vu(*BENCH, "--forget", "cat", "--seeds", "0,1", "-o", "repaint.strength=1", "--json")
    assert result.exit_code == 0, result.output
    bench = json.loads(result.stdout)
    assert [(run["seed"], run["folder"]) for run in bench["runs"]] == [
        (0, "repaint/object-cat-seed0"),
        (1, "repaint/object-cat-seed1"),
    ]
    assert row(bench, "forget")["concepts"] == 1 and work["edits"] == 2
    assert json.loads(Path("bench/repaint/object-cat-seed1/record.json").read_text())["seed"] == 1


def test_other_options_in_the_same_folder_are_refused(vu):
    vu(*BENCH, "--forget", "cat")
    refused = vu(*BENCH, "--forget", "cat", "-o", "strength=0.5")
    assert refused.exit_code == 2 and "what differs: options" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--forget", "cta"), "Did you mean 'cat'"),
        (("--forget", "style"), "no concept 'style'"),
        (("--unlearner", "repaint"), "each named once"),
        (("--unlearner", "needy", "--model", "toy"), "needs a classifier"),
        (("-o", "strength=7"), "strength"),
        (("-o", "crash.strength=1"), "not in this bench"),
        (("--seeds", "one"), "takes integers"),
        (("--metric", "hot"), "Did you mean 'hit'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(vu, arguments, message):
    result = vu(*BENCH, *arguments)
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert not Path("bench").exists()


def test_nothing_of_a_finished_run_stays_in_memory(vu, monkeypatch):
    import gc

    import vu_toy_work as toy

    from vu_core.edits import Edit
    from vu_core.types import Sample

    unlearn, alive = toy.Repaint.unlearn, []

    def counting(self, *arguments):
        gc.collect()
        found = [sum(type(thing) is cls for thing in gc.get_objects()) for cls in (Edit, Sample)]
        alive.append(found)
        return unlearn(self, *arguments)

    monkeypatch.setattr(toy.Repaint, "unlearn", counting)
    assert vu(*BENCH).exit_code == 0
    assert len(alive) == 5 and alive[1:] == alive[:1] * 4 and alive[0][0] == 0


def test_the_counters_of_a_continued_run_cover_all_attempts(vu, monkeypatch):
    import vu_toy_work as toy

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(toy.ToyScorer, "score", interrupted)
        assert vu(*BENCH, "--forget", "cat").exit_code == 130
    assert vu(*BENCH, "--forget", "cat").exit_code == 0
    record = json.loads(Path("bench/repaint/object-cat-seed0/record.json").read_text())
    assert [stage["name"] for stage in record["resumed"]] == ["unlearn", "sample before", "sample after", "evaluate"]
    assert record["stages"][0]["skipped"] and record["resumed"][0]["seconds"] > 0
    (run,) = bench_of()["runs"]
    assert (run["drawn"], run["cached"]) == (10, 10)
    assert run["seconds"]["unlearn"] >= round(record["resumed"][0]["seconds"], 3)
