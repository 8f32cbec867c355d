"""Runs, measurements and benches of a classifier, which is asked about a dataset's pictures, on the toy's model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vu_core
from vu_core import Edit
from vu_core.answers import AnswerFile
from vu_core.editfiles import read_edit
from vu_core.edits import applied
from vu_core.retrained import UNTRAINED

RETRAINED = ("run", "retrain", "--forget", "grey", "--device", "cpu")
BASE = ("run", "blank", "--forget", "grey", "--device", "cpu", "--out", "run")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy-classifier")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def retrained(vu):
    for seed in range(4):
        result = vu(*RETRAINED, "--seed", str(seed), "--out", f"retrained/{seed}")
        assert result.exit_code == 0, result.output
    return "retrained"


def record_of(folder="run"):
    return json.loads((Path(folder) / "record.json").read_text())


def results_of(folder="run"):
    return {(result["metric"], result["group"]): result for result in record_of(folder)["results"]}


def test_without_retrained_models_the_table_says_that_there_is_no_reference(vu):
    result = vu(*BASE)
    assert result.exit_code == 0, result.output
    found = results_of()
    assert found["right", "forget"]["before"] > 90 and found["right", "forget"]["after"] == 0.0
    assert found["right", "forget"]["reference"] is None and found["right", "forget"]["gap"] is None
    assert "no reference" in found["right", "forget"]["note"]
    assert found["alike", "all"]["after"] is None and "no reference" in found["alike", "all"]["note"]
    assert "Same pictures before and after" in result.stdout


def test_the_folder_holds_edit_answers_and_verdicts_but_no_pictures(vu):
    vu(*BASE)
    there = {path.name for path in Path("run").iterdir()}
    assert there == {"run.toml", "record.json", "edit.safetensors", "answers", "verdicts.jsonl", "README.md"}
    verdicts = [json.loads(line) for line in Path("run/verdicts.jsonl").read_text().splitlines()]
    assert len(verdicts) == 72
    grey = next(row for row in verdicts if row["sample"] == "test-grey-0")
    assert grey["before"] == {"class": "grey"} and grey["after"]["class"] != "grey" and grey["split"] == "test"
    after = AnswerFile(Path("run/answers/after.safetensors")).read()
    assert after.names == ["dark", "grey", "bright"] and after.logits.shape == (72, 3)


def test_a_run_is_held_against_the_retrained_models_that_forgot_the_same(vu, retrained):
    vu("run", "retrain", "--forget", "dark", "--device", "cpu", "--out", "retrained/other")
    result = vu(*BASE, "--retrained", retrained)
    assert result.exit_code == 0, result.output
    right = results_of()["right", "retain"]
    others = [results_of(f"retrained/{seed}")["right", "retain"]["after"] for seed in range(4)]
    assert right["reference_n"] == 4 and len(record_of()["retrained"]) == 4
    assert right["reference"] == pytest.approx(sum(others) / 4)
    assert right["gap"] == pytest.approx(right["after"] - right["reference"])
    alike = results_of()["alike", "all"]
    assert alike["reference_n"] == 4 and alike["reference_noise"] is not None and alike["after"] > 60
    assert "retrained: mean of 4 models" in result.stdout.replace("\n", " ")
    times = [record_of(f"retrained/{seed}")["stages"][0]["seconds"] for seed in range(4)]
    assert sorted(facts["seconds"] for facts in record_of()["retrained"]) == sorted(times)
    assert "run_time_efficiency" in result.stdout


def test_a_retrained_model_is_not_held_against_itself(vu, retrained):
    result = vu(*RETRAINED, "--seed", "1", "--retrained", retrained, "--out", "run")
    assert result.exit_code == 0, result.output
    assert results_of()["right", "retain"]["reference_n"] == 3


def test_retrained_models_of_other_data_do_not_count(vu, retrained):
    vu(*BASE, "--retrained", retrained, "--data", "each=6")
    assert record_of()["retrained"] == []


def test_where_the_files_lie_does_not_change_the_data(vu, retrained):
    vu(*BASE, "--retrained", retrained, "--data", "root=elsewhere")
    assert len(record_of()["retrained"]) == 4


def test_a_repeated_measurement_asks_the_model_nothing(vu, retrained):
    vu(*BASE, "--retrained", retrained)
    first = results_of()
    assert vu(*BASE[:-1], "again", "--retrained", retrained).exit_code == 0
    stages = {stage["name"]: stage["detail"] for stage in record_of("again")["stages"]}
    assert [stages[f"answer {name}"]["computed"] for name in ("before", "after", "retrained")] == [0, 0, 0]
    assert results_of("again") == first


def test_no_interval_of_a_retrained_model_is_computed(vu, retrained, monkeypatch):
    from vu_core import statistics

    asked = []
    original = statistics._mean_interval
    monkeypatch.setattr(statistics, "_mean_interval", lambda *given: asked.append(given) or original(*given))
    vu(*BASE, "--retrained", retrained, "--metric", "right")
    found = results_of()
    assert found["right", "retain"]["reference_n"] == 4
    # Before, after and the change, of each of the two groups; besides, the mean over the retrained models.
    assert sum(len(values) > 4 for values, *_ in asked) == 6


def test_models_that_forgot_the_same_stand_beside_retrained_ones(vu, retrained):
    shake = ("run", "shake", "--forget", "grey", "--device", "cpu", "--metric", "counted")
    for seed in (5, 6):
        assert vu(*shake, "--seed", str(seed), "--out", f"retrained/shake-{seed}").exit_code == 0
    # Neither another request, nor another unlearner, nor the run itself is among them.
    vu("run", "shake", "--forget", "dark", "--device", "cpu", "--out", "retrained/other")
    vu("run", "blank", "--forget", "grey", "--device", "cpu", "--out", "retrained/blank")
    result = vu(*shake, "--seed", "6", "--retrained", retrained, "--out", "run")
    assert result.exit_code == 0, result.output
    found = results_of()["counted", "all"]
    assert (found["before"], found["after"]) == (None, 1 + 40.0)
    # Of the four retrained models, one stands for the model, one beside it, and two for the retrained.
    assert (found["reference"], found["reference_n"], found["gap"]) == (1 + 20.0, 1, 20.0)
    stages = {stage["name"]: stage["detail"] for stage in record_of()["stages"]}
    assert stages["answer unlearned"]["models"] == 1
    vu(*shake, "--seed", "7", "--out", "alone")
    assert "no reference" in results_of("alone")["counted", "all"]["note"]


def test_untrained_networks_answer_only_where_a_metric_asks(vu, retrained):
    assert vu(*BASE, "--metric", "blind", "--retrained", retrained).exit_code == 0
    stages = {stage["name"]: stage["detail"] for stage in record_of()["stages"]}
    assert stages["answer untrained"] == {"models": 5, "computed": 5 * 72, "cached": 0}
    model, question = vu_core.load_model("greys", device="cpu"), torch.full((1, 3, 4, 4), 0.5)
    answered = AnswerFile(Path("run/answers/untrained-3.safetensors")).read()
    expected = model.fresh(UNTRAINED[3])(question)[0].argmax()
    grey = [i for i, features in enumerate(answered.features) if abs(features.item() - 0.5) < 0.05]
    assert answered.names[answered.logits[grey[0]].argmax()] == model.classes[expected]
    found = results_of()["blind", "all"]
    assert found["reference_n"] == 4
    assert found["gap"] == pytest.approx(found["after"] - found["reference"])
    vu(*BASE[:-1], "other")
    assert "answer untrained" not in {stage["name"] for stage in record_of("other")["stages"]}


def test_without_knowing_how_it_began_a_model_has_nothing_untrained_to_compare_with(vu, monkeypatch):
    import vu_shapes_work

    monkeypatch.delattr(vu_shapes_work.GreysModel, "fresh")
    assert vu(*BASE, "--metric", "blind").exit_code == 0
    found = results_of()["blind", "all"]
    assert found["after"] is None
    assert "does not say how it was before training" in found["note"]


def test_eval_measures_the_same(vu, retrained):
    vu(*BASE, "--retrained", retrained)
    result = vu("eval", "run", "--device", "cpu", "--out", "measured")
    assert result.exit_code == 0, result.output
    assert results_of("measured") == results_of()


def test_eval_of_the_embedded_classifier_is_chosen_by_the_protocol(vu):
    result = vu("eval", "--protocol", "greys@1", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"]["name"] == "greys"


def test_a_bench_pools_the_distance_from_retrained_models(vu, retrained):
    result = vu("bench", "greys@1", "--unlearner", "blank", "--retrained", retrained, "--device", "cpu", "--out", "b")
    assert result.exit_code == 0, result.output
    bench = json.loads(Path("b/bench.json").read_text())
    row = next(row for row in bench["table"] if (row["metric"], row["group"]) == ("right", "retain"))
    held = results_of("b/blank/class-grey-seed0")["right", "retain"]
    assert row["reference"] == held["reference"] and row["gap"] == pytest.approx(held["gap"])
    assert bench["interference"]["blank"]["n"][0] == [12, 12, 12]
    assert "retrained" in result.stdout


def test_python_does_the_same(retrained):
    model = vu_core.load_model("greys", device="cpu")
    edit = vu_core.unlearn("blank", model, forget="grey")
    evaluation = vu_core.evaluate(model, edit, retrained=[retrained])
    assert evaluation["right", "retain"].reference_n == 4
    assert "retrained" in str(evaluation)
    with edit.applied(model):
        assert torch.equal(model.component("classifier").means, edit.tensors["classifier.means"])


def test_a_replaced_buffer_is_exact_and_comes_back():
    model = vu_core.load_model("greys", device="cpu")
    network = model.component("classifier")
    before, new = network.means, torch.tensor([1 / 3, 1e-9, 7.7])
    with applied(model, [Edit.dense({"classifier.means": new})]):
        assert torch.equal(network.means, new)
    assert network.means is before


def test_what_was_forgotten_earlier_stays_in_the_weights(vu):
    vu(*BASE)
    result = vu("run", "blank", "--forget", "dark", "--after", "run", "--device", "cpu", "--out", "second")
    assert result.exit_code == 0, result.output
    assert read_edit("second").tensors["classifier.means"][:2].tolist() == [9.0, 9.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--retrained", "nowhere"), "does not exist"),
        (("--data", "each=0"), "each"),
        (("--metric", "nonsense"), "nonsense"),
        (("--model", "elsewhere/there/model"), "does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_folder(vu, arguments, said):
    result = vu(*BASE, *arguments)
    assert result.exit_code == 2 and said in result.stderr
    assert not Path("run").exists()


def test_an_unlearner_of_pictures_is_refused_a_classifier(vu, install_fakes):
    install_fakes("toy-classifier", "toy")
    result = vu("run", "repaint", "--model", "greys", "--forget", "grey")
    assert result.exit_code == 2 and "greys is a classifier" in result.stderr.replace("\n", " ")
    result = vu("run", "blank", "--forget", "grey", "--protocol", "toy@1")
    assert result.exit_code == 2 and "'greys' does not offer Samples (draws" in result.stderr.replace("\n", " ")


def test_each_family_has_its_embedded_model(vu, install_fakes):
    install_fakes("toy-classifier", "toy")
    for unlearner, forget, model in (("blank", "grey", "greys"), ("repaint", "cat", "toy")):
        result = vu("run", unlearner, "--forget", forget, "--dry-run", "--json")
        assert json.loads(result.stdout)["model"].startswith(model)
