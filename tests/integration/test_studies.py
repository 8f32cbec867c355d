"""Studies: runs carried out once and judged anew, pooled over prompts, and put into words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from vu_core.errors import RunError
from vu_core.runspec import RunSpec
from vu_core.statistics import mean_measurement

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
