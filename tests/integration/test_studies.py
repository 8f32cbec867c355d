"""Studies: runs carried out once and judged anew, pooled over prompts, and put into words."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from vu_tune.space import read_space

from vu_core.config import validate
from vu_core.errors import RunError
from vu_core.records import Record, Stage, read_record
from vu_core.registry import Registry
from vu_core.runspec import RunSpec
from vu_core.stages import Surface
from vu_core.statistics import mean_measurement
from vu_core.types import Result

ROOT = Path(__file__).parents[2]
QUICK = "toy-quick@1"


@pytest.fixture
def study(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    return __import__("study")


@pytest.fixture
def uce(study) -> ModuleType:
    return __import__("uce")


@pytest.fixture
def toy(study, install_fakes, monkeypatch, tmp_path):
    """Return a function that carries out runs of the toy's unlearner and judges them."""
    install_fakes("toy")
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))

    def outcomes(*forget, scorers=(), **fields):
        bench = study.Bench(tmp_path / "work", scorers=dict(scorers))
        spec = {"unlearner": "repaint", "protocol": QUICK, "device": "cpu", **fields}
        runs = [study.StudyRun(name=name, title=name, spec=RunSpec(forget=(name,), **spec)) for name in forget]
        return bench, bench.outcomes(runs)

    return outcomes


def hits(outcome):
    return {group: (before.value, after.value) for (_, group), (before, after) in outcome.measured.items()}


def test_a_finished_run_is_not_repeated_but_judged_anew(toy):
    _, (first,) = toy("cat")
    assert hits(first) == {"forget": (100, 0), "retain": (100, 100)}
    record = (first.folder / "record.json").read_bytes()
    after = first.folder / "images" / "after"
    shutil.copyfile(after / "fox-0.png", after / "dog-0.png")
    _, (again,) = toy("cat")
    assert hits(again) == {"forget": (100, 0), "retain": (100, 75)}
    assert (first.folder / "record.json").read_bytes() == record


def test_other_judges_judge_the_same_pictures(toy):
    toy("cat")
    bench, (outcome,) = toy("cat", scorers={"object": "toy-dull"})
    assert hits(outcome) == {"forget": (0, 0), "retain": (25, 25)}
    ((judge, right),) = bench.right_of_base(outcome)
    assert (judge.name, judge.version) == ("toy-dull", "7")
    assert (right.group, right.value, right.n) == ("object", 20, 5)
    assert outcome.record["scorers"]["object"]["name"] == "toy-object"


@pytest.mark.parametrize("what", ["model", "protocol"])
def test_pictures_of_another_model_or_protocol_are_refused(study, toy, what):
    _, (outcome,) = toy("cat")
    file = outcome.folder / "record.json"
    record = json.loads(file.read_text())
    record[what] = {**record[what], "fingerprint": "of another", "sha256": "of another"}
    file.write_text(json.dumps(record))
    with pytest.raises(study.StudyError, match=f"was made with another {what}. Remove it"):
        toy("cat")


def test_a_folder_of_another_run_is_refused(toy):
    toy("cat")
    with pytest.raises(RunError, match="holds another run; what differs: seed"):
        toy("cat", seed=1)


def test_runs_that_share_prompts_are_pooled_by_prompt(study, toy):
    _, outcomes = toy("cat", "dog", protocol="toy@1")
    found = study.pool(outcomes, "hit", "retain").after
    assert (found.value, found.n) == (100, 96)
    assert len(set(found.sample_ids)) == 96 and len(set(found.clusters)) == 60


def made_up(name, **shares):
    """Return an outcome of ten prompts with two pictures each, of which the given numbers succeed before and after."""

    def measured(group, successes):
        values = [100.0 * (i < successes) for i in range(20)]
        ids = [f"{i}" for i in range(20)]
        return mean_measurement(group, values, sample_ids=ids, clusters=[f"{i // 2}" for i in range(20)], success=100.0)

    pairs = {}
    for metric, (before, after) in shares.items():
        for group in ("forget", "retain", "dog"):
            pairs[metric, group] = (measured(group, before), measured(group, after))
    environment = {"versions": dict.fromkeys(VERSIONS, "1.0"), "threads": 2}
    record = {"seed": 0, "environment": environment, "model": {"fingerprint": "f" * 64}}
    run = SimpleNamespace(name=name, title=name, spec=SimpleNamespace(options={"erase_scale": 5.0}))
    return SimpleNamespace(run=run, record=record, measured=pairs)


VERSIONS = ("vu-core", "vu-uce", "vu-emoji", "vu-diffusers", "torch", "diffusers", "transformers")
SHARES = {"ua": (0, 20), "ua_recognised": (0, 16), "ira": (20, 18), "cra": (19, 19), "replaced": (0, 20)}


def test_a_row_holds_values_intervals_and_counts(uce):
    row = uce.pooled_row("cat", [made_up("cat", **SHARES)])
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["cat", "100.0 [72.2, 100.0]", "80.0 [50.0, 100.0]", "20"]
    assert cells[4] == "100.0 [72.2, 100.0]" and cells[5].startswith("-10.0 [-30.0, +0.0]")
    assert cells[6].startswith("95.0 [") and cells[7].startswith("+0.0 [-") and cells[8] == "20"


def test_the_page_has_a_number_for_every_blank(uce, monkeypatch):
    monkeypatch.setattr(uce, "SCALES", (5.0,))
    found = {name: [made_up("one", **SHARES), made_up("two", **SHARES)] for name in uce.SECTIONS}
    text = uce.page(found, {"objects": found["objects"]}, "| judges |")
    assert "$" not in text and "| judges |" in text and "torch 1.0" in text
    assert "| dog | 100.0 [72.2, 100.0] | -10.0 [-30.0, +0.0] | 20 |" in text


def test_nothing_that_the_preset_was_tuned_on_is_reported_as_a_result(uce):
    reported = {
        name
        for section in uce.SECTIONS
        if section != "curve"
        for run in uce.SECTIONS[section]()
        for name in run.spec.forget
    }
    assert not reported & set(uce.TUNED_ON)
    assert len(uce.OBJECTS) >= 10 and len(uce.STYLES) >= 3


def test_the_page_was_judged_by_the_judges_that_ship(uce):
    from vu_emoji.judges import JUDGES, judge_folder

    from vu_core.files import sha256_of_file

    text = (ROOT / "docs" / "results" / "uce.md").read_text()
    for name in JUDGES:
        version = sha256_of_file(judge_folder() / f"{name}.safetensors")
        assert f"| emoji-{name} | {version[:8]} |" in text, "run: nox -s study -- uce"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyboardInterrupt(), "stopped; the same command continues"),
        (RunError("full", hint="Empty it."), "error: full. Empty it."),
    ],
)
def test_a_stop_and_an_error_are_a_sentence(study, fault, said):
    def main():
        raise fault

    with pytest.raises(SystemExit, match=f"^{said}$"):
        study.carry_out(main)


@pytest.fixture
def classification(study, monkeypatch, tmp_path) -> ModuleType:
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("VU_PLUGINS_OFF", "vu-report")
    return __import__("classification")


def quick(classification):
    """Return the study of a digit with one method, two settings and one request."""
    asked = replace(classification.STUDIES[0].reported[0], seeds=(1, 2, 3))
    methods = {"ssd": classification.DIGITS["ssd"]}
    return replace(classification.STUDIES[0], reported=(asked,), methods=methods, trials=2)


def test_a_study_of_classifiers_tunes_on_one_digit_and_reports_another(classification, tmp_path):
    carrier = classification.Carrier(quick(classification), tmp_path / "work", Registry.discover(), Surface())
    measured = carrier.measured()
    (row,) = measured.rows
    assert row.gap.n == 3 and row.shown["UA"].value > 50 and 0 < row.time < 0.5
    record = measured.runs[0][1]
    assert record.request["forget"] == ["1"] and len(record.retrained) == 6
    assert row.gap.value == pytest.approx(average_gap_by_hand([record for _, record in measured.runs]))
    tuned = json.loads((tmp_path / "work" / "tuned" / "ssd" / "tuning.json").read_text())
    assert tuned["tuned_on"]["forget"] == ["0"] and len(tuned["settings"]) == 2
    best = min(one["values"] for one in tuned["settings"] if one["values"])
    assert measured.chosen["ssd"].options in [one["options"] for one in tuned["settings"] if one["values"] == best]
    assert measured.chosen["ssd"].gap == best[0]
    assert {one.metric for folder in (tmp_path / "work" / "tuned").rglob("record.json") for one in results(folder)} == {
        "average_gap"
    }
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("record.json")}
    assert carrier.measured().rows == measured.rows
    assert {path: path.stat().st_mtime_ns for path in made} == made


def results(file):
    return read_record(file.parent).results


def average_gap_by_hand(records):
    """Return the mean over runs of the mean distance of the four numbers from the retrained models' means."""
    wanted = {
        ("unlearning_accuracy", "forget"),
        ("retain_accuracy", "retain"),
        ("test_accuracy", "retain"),
        ("mia_svc", "forget"),
    }
    gaps = [abs(one.gap) for record in records for one in record.results if (one.metric, one.group) in wanted]
    assert len(gaps) == 4 * len(records)
    return sum(gaps) / len(gaps)


def test_nothing_that_classifiers_are_tuned_on_is_reported(classification):
    for one in classification.STUDIES:
        tuned = {(one.tuned.forget, one.tuned.drawn, seed) for seed in one.tuned.seeds}
        reported = [(asked.forget, asked.drawn, seed) for asked in one.reported for seed in asked.seeds]
        assert not {asked[:2] for asked in tuned} & {asked[:2] for asked in reported}
        assert not {asked[2] for asked in tuned} & {asked[2] for asked in reported}
        assert len({asked[2] for asked in reported}) >= 5
        assert all(len(searched) == 2 for searched, _ in one.methods.values())


def test_every_option_that_a_study_searches_or_sets_is_one_of_the_method(classification):
    for one in classification.STUDIES:
        for method, (searched, fixed) in one.methods.items():
            config = Registry.discover().get("unlearner", method).config_class()
            assert len(read_space(searched, config)) == 2
            assert validate(config, fixed)


def test_methods_are_ranked_beside_retraining_and_the_page_has_a_number_for_every_blank(classification, tmp_path):
    page = __import__("classification_page")
    runs = [
        (f"digit {request}", made_up_run(method, request, gap, seconds))
        for method, gap, seconds in (("jit", 1.5, 0.1), ("ssd", 0.5, 0.4), ("gradient-ascent", 30.0, 0.01))
        for request in (1, 2, 3)
    ]
    measured = page.Measured(
        task=classification.STUDIES[0].task,
        tuned_on="0",
        trials=2,
        chosen={name: page.Chosen({"noise": 0.12345}, 0.25) for name in ("jit", "ssd", "gradient-ascent")},
        searched={
            "jit": ["noise=0:1"],
            "ssd": ["selection=1:2"],
            "gradient-ascent": ["epochs=1:2"],
            "salun": ["share=0:1"],
        },
        runs=runs,
        retrained=[made_up_run("retrain", 1, 0.1, seconds) for seconds in (9.0, 10.0, 30.0)],
        cpu_seconds=120.0,
    )
    assert [row.method for row in measured.rows] == ["ssd", "jit", "gradient-ascent"]
    page.write_page([measured], [classification.STUDIES[2].task], tmp_path / "docs" / "results" / "classification.md")
    text = (tmp_path / "docs" / "results" / "classification.md").read_text()
    assert "$" not in text
    assert "| 1 | ssd | 99.0 | 99.0 | 99.0 | 99.0 | 0.50 [0.50, 0.50] | 3 | 1/25 |" in text
    assert "| 2 | **jit** |" in text and "1/100" in text
    assert "**Digits: a class**: it holds, for jit." in text
    assert "| *retraining* | 98.0 | 98.0 | 98.0 | 98.0 | 0.20" in text
    assert "| `noise=0.123` | 0.25 |" in text and "| salun | `share=0:1` | no setting gave a number | - |" in text
    assert "| method | digit 1 | digit 2 | digit 3 |" in text and "| jit | 1.50 | 1.50 | 1.50 |" in text
    assert "- Clothes: a class: not made yet" in text and "- Clothes: a random tenth" not in text
    assert (tmp_path / "docs" / "assets" / "results" / "classification" / "gap.svg").stat().st_size > 5000


def made_up_run(method, request, gap, seconds):
    """Return the record of a run of which all percentages are 99, of retrained models 98, and the gap is given."""
    metrics = [("unlearning_accuracy", "forget"), ("retain_accuracy", "retain")]
    metrics += [("test_accuracy", "retain"), ("mia_svc", "forget")]
    found = [
        Result(metric=name, group=group, before=1.0, after=99.0, change=98.0, n=10, reference=98.0, reference_n=5)
        for name, group in metrics
    ]
    found.append(
        Result(
            metric="average_gap",
            group="all",
            before=50.0,
            after=gap,
            change=gap - 50.0,
            n=10,
            reference=0.2,
            reference_n=5,
        )
    )
    return Record(
        folder=Path(),
        unlearner={"name": method},
        seed=request,
        environment={"versions": {"torch": "1.0"}, "threads": 1},
        stages=[Stage(name="unlearn", seconds=5 * seconds, cpu_seconds=seconds), Stage(name="evaluate", seconds=1.0)],
        results=found,
    )


@pytest.mark.parametrize(("time", "said"), [(1.234, "1.2"), (0.5, "1/2"), (0.02, "1/50"), (0.001, "1/1000")])
def test_a_ratio_of_times_is_read_at_a_glance(classification, time, said):
    assert __import__("classification_page").ratio(time) == said
