"""``vu run`` from the command line to the record, on the toy plugin's model."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vu_core.runspec import read_run_file

TOY = Path(__file__).parents[1] / "data" / "plugins" / "toy" / "vu_toy_world"
MODEL = str(TOY / "model")
BASE = ("run", "repaint", "--forget", "cat", "--device", "cpu")
QUICK = (*BASE, "--quick")  # 5 pictures before and after; without it 60.


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


def record_of(folder="runs/repaint-cat"):
    return json.loads((Path(folder) / "record.json").read_text())


def stages(record):
    return {stage["name"]: stage for stage in record["stages"]}


def outcome(record):
    return record["edit"]["sha256"], record["results"]


def test_a_run_ends_with_a_table_and_a_complete_folder(vu):
    result = vu(*BASE)
    assert result.exit_code == 0, result.output
    assert "hit %" in result.stdout and "Most damaged" in result.stdout
    folder = Path("runs/repaint-cat")
    there = {path.name for path in folder.iterdir()}
    assert there == {
        "run.toml",
        "record.json",
        "edit.safetensors",
        "pytorch_lora_weights.safetensors",
        "images",
        "contact-sheet.png",
        "README.md",
        "events.jsonl",
        "verdicts.jsonl",
    }
    assert len(list((folder / "images/before").iterdir())) == len(list((folder / "images/after").iterdir())) == 60
    record = record_of()
    assert record["status"] == "finished"
    hit = {r["group"]: r for r in record["results"]}
    assert (hit["forget"]["before"], hit["forget"]["after"], hit["forget"]["n"]) == (100, 0, 12)
    assert (hit["retain"]["before"], hit["retain"]["after"], hit["retain"]["n"]) == (100, 100, 48)


def test_the_record_says_all_that_a_repetition_needs(vu):
    vu(*BASE)
    record = record_of()
    assert record["request"]["forget"] == ["cat"]
    assert record["unlearner"]["config"] == {"strength": 0.75, "dense": False}
    assert record["unlearner"]["preset"] == "default"
    assert record["protocol"]["name"] == "toy@1" and len(record["protocol"]["sha256"]) == 64
    assert list(record["edit"]["read"]) == ["paint.table.weight"]
    assert record["scorers"] == {"object": {"name": "toy-object", "version": "1"}}
    assert record["environment"]["versions"]["vu-toy"] == "1.0"
    assert record["environment"]["threads"] == torch.get_num_threads()
    assert len(record["model"]["fingerprint"]) == 64
    timed = stages(record)
    assert list(timed) == ["unlearn", "sample before", "sample after", "evaluate", "report"]
    assert all(stage["seconds"] >= 0 and stage["peak_memory_bytes"] > 1e6 for stage in timed.values())


def test_repeating_from_run_toml_gives_the_same_edit_and_numbers(vu):
    vu(*QUICK, "--out", "one")
    result = vu("run", "-c", "one/run.toml", "--out", "two")
    assert result.exit_code == 0, result.output
    assert outcome(record_of("one")) == outcome(record_of("two"))
    assert read_run_file(Path("one/run.toml")) == read_run_file(Path("two/run.toml"))


def test_a_judge_can_be_chosen_and_is_recorded_and_repeated(vu):
    assert vu(*QUICK, "--scorer", "object=toy-dull", "--out", "one").exit_code == 0
    assert record_of("one")["scorers"] == {"object": {"name": "toy-dull", "version": "7"}}
    hit = {r["group"]: r["before"] for r in record_of("one")["results"]}
    assert hit == {"forget": 0, "retain": 25}
    assert read_run_file(Path("one/run.toml")).scorers == {"object": "toy-dull"}
    assert vu("run", "-c", "one/run.toml", "--out", "two").exit_code == 0
    assert record_of("two")["scorers"] == record_of("one")["scorers"]
    assert vu("run", "-c", "one/run.toml", "--scorer", "object=toy-object", "--out", "three").exit_code == 0
    assert record_of("three")["scorers"]["object"]["name"] == "toy-object"
    other = vu(*QUICK, "--out", "one", "--resume")
    assert other.exit_code == 2 and "what differs: scorers" in other.stderr


def test_a_judge_can_be_named_for_a_role_that_only_a_metric_asks_for(vu):
    result = vu(*BASE, "--metric", "lonely", "--scorer", "ghost=toy-ghost", "--dry-run", "--json")
    assert json.loads(result.stdout)["scorers"] == "ghost=toy-ghost"


def test_options_on_the_command_line_win_over_run_toml_and_over_the_preset(vu):
    vu(*QUICK, "-o", "strength=0.25", "--out", "one")
    assert record_of("one")["unlearner"]["config"]["strength"] == 0.25
    vu("run", "-c", "one/run.toml", "-o", "strength=0.5", "--out", "two")
    assert record_of("two")["unlearner"]["config"]["strength"] == 0.5


@pytest.mark.parametrize(("preset", "strength"), [("none", 0.5), ("full", 1.0), ("default", 0.75)])
def test_a_preset_is_named_and_recorded(vu, preset, strength):
    result = vu(*BASE, "--preset", preset, "--quick")
    assert result.exit_code == 0, result.output
    assert record_of()["unlearner"]["config"]["strength"] == strength
    assert (f"preset '{preset}'" in result.stderr) == (preset != "none")


def test_json_prints_the_record_and_nothing_else(vu):
    result = vu(*QUICK, "--json")
    assert json.loads(result.stdout) == record_of()


def test_quick_uses_the_quick_protocol(vu):
    vu(*QUICK)
    assert record_of()["protocol"]["name"] == "toy-quick@1"


def test_the_base_pictures_are_drawn_once_for_all_runs(vu):
    vu(*QUICK, "--out", "one")
    vu("run", "repaint", "--forget", "dog", "--quick", "--out", "two")
    assert stages(record_of("one"))["sample before"]["detail"] == {"drawn": 5, "cached": 0}
    assert stages(record_of("two"))["sample before"]["detail"] == {"drawn": 0, "cached": 5}
    assert stages(record_of("two"))["sample after"]["detail"] == {"drawn": 5, "cached": 0}


def test_retouching_a_runs_picture_does_not_change_the_cache(vu):
    vu(*QUICK, "--out", "one")
    picture = Path("one/images/before/cat-0.png")
    original = picture.read_bytes()
    picture.write_bytes(b"retouched")
    vu(*QUICK, "--out", "two")
    assert Path("two/images/before/cat-0.png").read_bytes() == original


def test_dry_run_checks_everything_and_writes_nothing(vu, tmp_path):
    result = vu(*BASE, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "60 pictures before" in result.stdout and "strength=0.75" in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert vu(*BASE, "--dry-run", "-o", "strength=7").exit_code == 2


@pytest.mark.parametrize("where", ["unlearner", "sample before", "sample after", "evaluate"])
def test_an_interrupted_run_is_finished_by_resume_with_the_same_result(vu, monkeypatch, where):
    import vu_toy_work as toy

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    vu(*QUICK, "--out", "whole")
    monkeypatch.setenv("VU_CACHE_DIR", "other-cache")
    with monkeypatch.context() as patch:
        if where == "unlearner":
            patch.setattr(toy.Repaint, "unlearn", interrupted)
        elif where == "evaluate":
            patch.setattr(toy.ToyScorer, "score", interrupted)
        else:
            drawn = toy.ToyModel.sample
            limit = 2 if where == "sample before" else 7
            count = iter(range(10_000))

            def sample(self, prompts, seeds, settings):
                for picture in drawn(self, prompts, seeds, settings):
                    if next(count) == limit:
                        raise KeyboardInterrupt
                    yield picture

            patch.setattr(toy.ToyModel, "sample", sample)
        stopped = vu(*QUICK, "--out", "part")
    assert stopped.exit_code == 130
    assert "vu run --resume --out part" in stopped.stderr
    assert record_of("part")["status"] == "interrupted"
    resumed = vu("run", "--resume", "--out", "part")
    assert resumed.exit_code == 0, resumed.output
    assert outcome(record_of("part")) == outcome(record_of("whole"))
    if where == "sample after":
        assert stages(record_of("part"))["sample after"]["detail"] == {"drawn": 3, "cached": 2}
    if where != "unlearner":
        assert stages(record_of("part"))["unlearn"]["skipped"]


def test_resume_without_a_folder_continues_the_last_run_like_it(vu):
    vu(*QUICK)
    vu("run", "repaint", "--forget", "dog", "--quick")
    result = vu(*QUICK, "--resume")
    assert result.exit_code == 0, result.output
    assert not Path("runs/repaint-cat-2").exists()
    nothing = vu("run", "repaint", "--forget", "bear", "--quick", "--resume")
    assert nothing.exit_code == 2 and "no run like this one" in nothing.stderr


def test_a_second_run_gets_a_folder_of_its_own(vu):
    vu(*QUICK)
    vu(*QUICK)
    assert Path("runs/repaint-cat-2/record.json").is_file()


def test_an_unlearner_that_raises_leaves_a_failed_record_and_a_traceback(vu):
    result = vu("run", "crash", "--forget", "cat", "--out", "run")
    assert isinstance(result.exception, RuntimeError)
    assert record_of("run")["status"] == "failed"
    assert record_of("run")["errors"] == ["RuntimeError: the unlearner broke"]


def test_an_edit_with_nan_is_refused(vu):
    result = vu("run", "poison", "--forget", "cat", "--out", "run")
    assert result.exit_code == 1
    assert "NaN or infinity" in result.stderr and not Path("run/edit.safetensors").exists()


def test_a_metric_that_fails_is_an_error_and_the_others_are_kept(vu):
    result = vu(*QUICK, "--metric", "hit,fault", "--out", "run")
    assert result.exit_code == 1
    record = record_of("run")
    assert record["status"] == "failed"
    assert any("fault" in error and "the metric broke" in error for error in record["errors"])
    assert {r["metric"] for r in record["results"]} == {"hit"}


def test_a_dense_edit_gives_the_same_pictures_and_no_lora_file(vu):
    vu(*QUICK, "--out", "low")
    vu(*QUICK, "-o", "dense=true", "--out", "dense")
    assert not Path("dense/pytorch_lora_weights.safetensors").exists()
    for path in Path("low/images/after").iterdir():
        assert path.read_bytes() == (Path("dense/images/after") / path.name).read_bytes()


def test_an_observer_that_fails_is_a_warning(vu, install_fakes):
    install_fakes("toy", "bad-observer")
    result = vu(*QUICK, "--out", "run")
    assert result.exit_code == 0, result.output
    assert any("vu-bad-observer" in warning for warning in record_of("run")["warnings"])


def test_no_space_left_is_one_sentence_and_loses_nothing(vu, monkeypatch):
    import vu_core.sampling as sampling

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device", "images/before/cat-0.png")

    with monkeypatch.context() as patch:
        patch.setattr(sampling, "write_bytes", full)
        result = vu(*QUICK, "--out", "run")
    assert result.exit_code == 2
    assert "no space left" in result.stderr and "--resume" in result.stderr
    assert vu("run", "--resume", "--out", "run").exit_code == 0


def test_an_edit_for_another_base_model_is_refused(vu, tmp_path):
    vu(*QUICK, "--out", "run")
    shutil.copytree(TOY / "model", "other")
    weights = Path("other/paint/model.safetensors")
    save_file({"table.weight": load_file(weights)["table.weight"] + 1}, weights)
    result = vu("sample", "a cat", "--model", "other", "--edit", "run")
    assert result.exit_code == 2 and "another base model" in result.stderr
    result = vu("export", "run", "--to", "diffusers-pipeline", "--model", "other", "--out", "merged")
    assert result.exit_code == 2 and not Path("merged").exists()


def test_sample_with_scale_zero_is_the_base_model(vu):
    vu(*QUICK, "--out", "run")
    for name, more in {"base": (), "zero": ("--edit", "run", "--edit-scale", "0"), "one": ("--edit", "run")}.items():
        result = vu("sample", "a cat", "a dog", "-n", "2", "--out", name, *more)
        assert result.exit_code == 0, result.output
    for path in Path("base").glob("0*.png"):
        assert path.read_bytes() == Path("zero", path.name).read_bytes()
    assert Path("base/00-0.png").read_bytes() != Path("one/00-0.png").read_bytes()
    assert Path("base/01-0.png").read_bytes() == Path("one/01-0.png").read_bytes()
    assert Path("base/grid.png").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--edit", "run", "--edit-scale", "nan"), "cannot be scaled by nan"),
        (("--edit", "run", "--out", "run/run.toml"), "is a file"),
        (("--edit", "run", "--edit", "nowhere"), "there is no edit at 'nowhere'"),
    ],
)
def test_sample_refuses_before_it_draws(vu, more, message):
    vu(*QUICK, "--out", "run")
    result = vu("sample", "a cat", *more)
    assert result.exit_code == 2 and message in result.stderr
    assert not Path("samples").exists()


def test_sample_draws_from_the_model_that_the_edit_was_made_for(vu):
    shutil.copytree(TOY / "model", "other")
    made = vu(*BASE, "--model", "./other", "--dataset", "toy", "--protocol", "toy-quick@1", "--out", "run")
    assert made.exit_code == 0, made.output
    shutil.rmtree("other")
    result = vu("sample", "a cat", "--edit", "run")
    assert result.exit_code == 2 and "other' does not exist" in result.stderr


def test_cache_tells_its_place_and_size_and_empties_itself(vu, tmp_path):
    vu(*QUICK, "--out", "run")
    assert str(tmp_path / "cache") in vu("cache", "where").stdout
    assert json.loads(vu("cache", "size", "--json").stdout)["pictures"] == 10
    assert vu("cache", "clear").exit_code == 0
    assert json.loads(vu("cache", "--json").stdout)["pictures"] == 0
    assert vu("cache", "cleer").exit_code == 2


BAD_INPUT = {
    "unknown unlearner": (("run", "repant", "--forget", "cat"), ["unknown unlearner 'repant'", "'repaint'"]),
    "unknown metric": ((*BASE, "--metric", "hot"), ["unknown metric 'hot'", "'hit'"]),
    "unknown dataset": ((*BASE, "--dataset", "tay"), ["unknown dataset 'tay'", "'toy'"]),
    "unknown model": ((*BASE, "--model", "tay"), ["unknown model 'tay'", "'toy'"]),
    "unknown protocol": ((*BASE, "--protocol", "toy@2"), ["unknown protocol 'toy@2'"]),
    "unknown preset": ((*BASE, "--preset", "ful"), ["no preset 'ful'", "'full'"]),
    "unknown option": ((*BASE, "-o", "strenght=1"), ["'strenght'", "'strength'"]),
    "option of the wrong type": ((*BASE, "-o", "strength=much"), ["'strength'", "'much'", "float"]),
    "option out of range": ((*BASE, "-o", "strength=7"), ["'strength'", ">= 0, <= 1"]),
    "option without a value": ((*BASE, "-o", "strength"), ["key=value", "'strength'"]),
    "no unlearner": (("run", "--forget", "cat"), ["no unlearner was named"]),
    "no forget": (("run", "repaint"), ["nothing to forget"]),
    "empty forget": (("run", "repaint", "--forget", ""), ["concept"]),
    "forget and retain overlap": ((*BASE, "--retain", "cat"), ["'cat' cannot be both"]),
    "unknown concept": (("run", "repaint", "--forget", "cta"), ["no concept 'cta'", "'cat'", "object: cat, dog"]),
    "replaced by itself": ((*BASE, "--replace-with", "cat"), ["'cat' cannot replace"]),
    "missing folder": ((*BASE, "--model", "./nowhere"), ["'./nowhere' does not exist"]),
    "folder that is no model": ((*BASE, "--model", "."), ["no model folder", "toy.json"]),
    "a file as a model": ((*BASE, "--model", "./broken.toml"), ["is a file"]),
    "unreadable run.toml": (("run", "-c", "broken.toml"), ["broken.toml", "not valid TOML", "line 1"]),
    "missing run.toml": (("run", "-c", "none.toml"), ["none.toml", "cannot be read"]),
    "run.toml with an unknown key": (("run", "-c", "odd.toml"), ["odd.toml", "'modle'", "'model'"]),
    "nothing to resume": (("run", "--resume", "--out", "nowhere"), ["'nowhere' holds no run to continue"]),
    "unknown device": ((*BASE[:-1], "tpu"), ["'tpu'"]),
    "device that is not there": ((*BASE[:-1], "mps"), ["device 'mps' is not there", "cpu"]),
    "unknown dtype": ((*BASE, "--dtype", "int8"), ["'int8'"]),
    "negative seed": ((*BASE, "--seed", "-1"), ["'seed'", ">= 0"]),
    "quick and protocol": ((*QUICK, "--protocol", "toy@1"), ["--quick"]),
    "model that lacks a capability": (
        ("run", "needy", "--forget", "cat", "--model", "toy"),
        ["needy needs a classifier", "Classifies"],
    ),
    "no embedded model of its family": (("run", "needy", "--forget", "cat"), ["no single embedded classifier"]),
    "metric without its judge": ((*BASE, "--metric", "lonely"), ["scorer for ghost", "--scorer ghost=NAME"]),
    "unknown judge": ((*BASE, "--scorer", "object=toy-objct"), ["unknown scorer 'toy-objct'", "'toy-object'"]),
    "unknown role": ((*BASE, "--scorer", "objct=toy-object"), ["the role 'objct'", "mean 'object'", "Roles: object"]),
    "judge of something else": ((*BASE, "--scorer", "object=toy-ghost"), ["'toy-ghost' judges ghost, not object"]),
    "judge without a role": ((*BASE, "--scorer", "toy-object"), ["role=name", "'toy-object'", "object=emoji-object-b"]),
    "judge without a protocol": (
        (*BASE, "--model", MODEL, "--dataset", "toy", "--scorer", "object=toy-object"),
        ["--scorer needs a protocol"],
    ),
    "out is a file": ((*BASE, "--out", "broken.toml"), ["is a file"]),
    "out holds something else": ((*BASE, "--out", "."), ["holds no run"]),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_message_and_exit_code_2(vu, case, tmp_path):
    Path("broken.toml").write_text("this is = = no toml")
    Path("odd.toml").write_text('unlearner = "repaint"\nforget = ["cat"]\nmodle = "toy"\n')
    before = sorted(tmp_path.rglob("*"))
    arguments, expected = BAD_INPUT[case]
    result = vu(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output and result.stdout == ""
    for text in expected:
        assert text in result.stderr, result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_out_that_holds_a_run_needs_resume_and_the_same_run(vu):
    vu(*QUICK, "--out", "run")
    again = vu(*QUICK, "--out", "run")
    assert again.exit_code == 2 and "already holds a run" in again.stderr
    other = vu("run", "repaint", "--forget", "dog", "--quick", "--out", "run", "--resume")
    assert other.exit_code == 2 and "another run" in other.stderr and "forget" in other.stderr


def test_a_truncated_edit_is_refused_and_kept(vu):
    vu(*QUICK, "--out", "run")
    file = Path("run/edit.safetensors")
    file.write_bytes(file.read_bytes()[:-9])
    size = file.stat().st_size
    result = vu("sample", "a cat", "--edit", "run")
    assert result.exit_code == 2 and "truncated" in result.stderr
    resumed = vu("run", "--resume", "--out", "run")
    assert resumed.exit_code == 2 and file.stat().st_size == size


def test_a_damaged_picture_is_excluded_and_counted(vu, monkeypatch):
    from vu_core import evidence_drawn

    drawn = evidence_drawn.draw

    def damage(model, edits, samples, settings, folder, ctx, **more):
        done = drawn(model, edits, samples, settings, folder, ctx, **more)
        folder.path(samples[0]).write_bytes(b"no picture")
        return done

    monkeypatch.setattr(evidence_drawn, "draw", damage)
    result = vu(*BASE, "--out", "run")
    assert result.exit_code == 1
    assert any("1 of 60 pictures are excluded" in error for error in record_of("run")["errors"])
