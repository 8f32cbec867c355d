"""The Python API on the toy plugin's model: the same edits, numbers and errors as the command line's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import vu_core as vu
from vu_core.chains import edits_of
from vu_core.errors import ConfigError, EditError, ModelError, RequestError, RunError, UnknownNameError, VuError
from vu_core.sampling import read_png
from vu_core.types import Concept

QUICK = "toy-quick@1"
PIPELINE = "diffusers-pipeline"


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def model():
    return vu.load_model("toy", device="cpu")


@pytest.fixture
def painting(model):
    from vu_toy_work import Painting

    return Painting(model.tensor("paint", "table.weight"))


def run(vu_command, *arguments):
    result = vu_command("run", "repaint", "--forget", "cat", "--device", "cpu", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(Path("runs/repaint-cat/record.json").read_text())


def cached():
    return {path.name for path in Path("cache").rglob("*.png")}


def test_edit_and_numbers_are_those_of_the_command_and_pictures_are_drawn_once(vu, model):
    import vu_core

    record = run(vu, "--quick")
    drawn = cached()
    edit = vu_core.unlearn("repaint", model, forget="cat")
    result = vu_core.evaluate(model, edit, protocol=QUICK)
    assert edit.sha256() == record["edit"]["sha256"]
    assert edit.info == vu_core.read_edit("runs/repaint-cat").info == record["edit"]["info"]
    assert json.loads(json.dumps([vars(found) | {"interval": None} for found in result.results], default=vars)) == [
        found | {"interval": None} for found in record["results"]
    ]
    assert [r.interval and vars(r.interval) for r in result.results] == [r["interval"] for r in record["results"]]
    assert cached() == drawn and not result.errors


def test_the_edit_says_what_was_asked_of_whom(model):
    edit = vu.unlearn("repaint", model, forget="cat", replace_with="dog", seed=7, dense=True)
    cat, dog = ({"name": name, "kind": "object", "text": name} for name in ("cat", "dog"))
    assert edit.unlearner == "repaint"
    assert edit.info == {
        "model": "toy",
        "plugin": "vu-toy 1.0",
        "preset": "default",
        "config": {"strength": 0.75, "dense": True},
        "seed": 7,
        "request": {"forget": [cat], "retain": [], "replace_with": [dog]},
        "data": {"dataset": "toy", "options": {}},
    }
    low_rank = vu.unlearn("repaint", model, forget="cat", preset="none", strength=1.0)
    assert (low_rank.info["preset"], low_rank.info["config"]["strength"]) == ("none", 1.0)
    assert low_rank.info["repainted"] == 1


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({"forget": "cta"}, ("repaint", "--forget", "cta")),
        ({"forget": "cat", "retain": "cat"}, ("repaint", "--forget", "cat", "--retain", "cat")),
        ({"forget": "cat", "strength": "7"}, ("repaint", "--forget", "cat", "-o", "strength=7")),
        ({"forget": "cat", "strenght": "1"}, ("repaint", "--forget", "cat", "-o", "strenght=1")),
        ({"forget": "cat", "preset": "fast"}, ("repaint", "--forget", "cat", "--preset", "fast")),
        ({"forget": "cat", "dataset": "toys"}, ("repaint", "--forget", "cat", "--dataset", "toys")),
        ({"forget": ()}, ("repaint",)),
        ({"forget": "cat", "unlearner": "repiant"}, ("repiant", "--forget", "cat")),
        ({"forget": "cat", "unlearner": "needy"}, ("needy", "--forget", "cat", "--model", "toy")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_are_those_of_the_command(vu, model, arguments, command):
    import vu_core

    told = vu("run", *command, "--dry-run")
    with pytest.raises(VuError) as caught:
        vu_core.unlearn(**{"unlearner": "repaint", "model": model, **arguments})
    assert told.exit_code == 2 and told.stderr == f"vu: {caught.value}\n"


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": "one"}, {"preset": 3}, {"dataset": None}])
def test_a_value_of_the_wrong_kind_is_named(model, wrong):
    with pytest.raises(ConfigError, match=f"in vu.unlearn: option '{next(iter(wrong))}' cannot be"):
        vu.unlearn("repaint", model, forget="cat", **wrong)


def test_concepts_are_one_text_several_or_objects(model):
    by_text = vu.unlearn("repaint", model, forget=["cat", "object:dog"], retain=["fox"])
    by_object = vu.unlearn("repaint", model, forget=(Concept(name=name) for name in ("cat", "dog")), retain=["fox"])
    assert by_text.sha256() == by_object.sha256() and by_text.info == by_object.info
    with pytest.raises(RequestError, match="the dataset has no concept 'cat, dog'"):
        vu.unlearn("repaint", model, forget="cat, dog")


def test_what_an_unlearner_warns_of_is_a_warning_where_it_was_called(model):
    with pytest.warns(UserWarning, match="a strength of 0 changes nothing") as caught:
        vu.unlearn("repaint", model, forget="cat", strength=0)
    assert caught[0].filename == __file__


def test_an_edit_that_is_not_finite_is_refused_and_other_faults_pass(model):
    with pytest.raises(VuError, match="NaN or infinity"):
        vu.unlearn("poison", model, forget="cat")
    with pytest.raises(RuntimeError, match="the unlearner broke"):
        vu.unlearn("crash", model, forget="cat")


def test_a_read_edit_is_evaluated_without_being_told_what_it_forgot(model):
    edit = vu.unlearn("repaint", model, forget="dog")
    vu.write_edit(edit, "dog.safetensors")
    again = vu.read_edit("dog.safetensors")
    told, read = (vu.evaluate(model, found, protocol=QUICK) for found in (edit, again))
    assert read.forget == ("dog",) and read.results == told.results
    assert (read["hit", "forget"].before, read["hit", "forget"].after) == (100.0, 0.0)


def test_what_counts_as_forgotten_can_be_said(model):
    edit = vu.unlearn("repaint", model, forget="dog")
    other = vu.evaluate(model, edit, protocol=QUICK, forget="cat")
    assert other.forget == ("cat",) and other["hit", "forget"].after == 100.0
    unsigned = vu.Edit.lora({name: factors(edit) for name in edit.parameters()}, base=edit.base)
    with pytest.raises(EditError, match=r"does not say what it was asked to forget. Say it, as in forget='cat'"):
        vu.evaluate(model, unsigned, protocol=QUICK)
    assert vu.evaluate(model, unsigned, protocol=QUICK, forget="dog")["hit", "forget"].after == 0.0


def factors(edit):
    a, b = (edit.tensors[f"paint.table.lora_{side}.weight"] for side in "AB")
    return a, b


def test_a_model_alone_is_measured_as_it_is(model):
    alone = vu.evaluate(model, protocol=QUICK)
    assert alone.forget == () and [r.group for r in alone.results] == ["retain"]
    assert (alone["hit", "retain"].before, alone["hit", "retain"].after, alone["hit", "retain"].n) == (100, None, 5)
    asked = vu.evaluate(model, protocol=QUICK, forget="cat")
    assert {r.group: r.n for r in asked.results} == {"forget": 1, "retain": 4}
    assert len(cached()) == 5


def test_protocol_and_metrics_are_the_models_own_unless_named(model):
    result = vu.evaluate(model, forget="cat", metrics="hit")
    assert result.protocol == "toy@1" and result["hit", "retain"].n == 48
    failed = vu.evaluate(model, protocol=QUICK, forget="cat", metrics=["hit", "fault"])
    assert {r.metric for r in failed.results} == {"hit"} and "the metric broke" in failed.errors[0]
    assert "error: metric 'fault'" in str(failed)


def test_a_judge_can_be_chosen(model):
    result = vu.evaluate(model, protocol=QUICK, forget="cat", scorers={"object": "toy-dull"})
    assert (result["hit", "forget"].before, result["hit", "retain"].before) == (0, 25)
    with pytest.raises(UnknownNameError, match="no scorer of protocol 'toy-quick@1' has the role 'objct'"):
        vu.evaluate(model, protocol=QUICK, forget="cat", scorers={"objct": "toy-dull"})


def test_what_is_no_concept_or_no_edit_is_said_to_be_none(model):
    with pytest.raises(RequestError, match=r"3 is no concept. Give a name, as in forget='cat', or a Concept"):
        vu.unlearn("repaint", model, forget=3)
    for edit in ("run", Path("run"), [None]):
        with pytest.raises(EditError, match=r"is no edit. Pass what vu.unlearn or vu.read_edit returns"):
            vu.evaluate(model, edit, protocol=QUICK, forget="cat")


def test_pictures_are_kept_where_asked_and_nowhere_else(model, tmp_path, monkeypatch):
    import tempfile

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    edit = vu.unlearn("repaint", model, forget="cat")
    vu.evaluate(model, edit, protocol=QUICK)
    assert list((tmp_path / "tmp").iterdir()) == [] and {p.name for p in tmp_path.iterdir()} == {"tmp", "cache"}
    vu.evaluate(model, edit, protocol=QUICK, out="pictures")
    assert {str(path) for path in Path("pictures/images").rglob("*.png")} == {
        f"pictures/images/{side}/{animal}-0.png"
        for side in ("before", "after")
        for animal in ("cat", "dog", "fox", "bear", "frog")
    }


def test_an_evaluation_never_takes_the_place_of_a_run_s_record(vu, model):
    import vu_core

    run(vu, "--quick")
    file = Path("runs/repaint-cat/record.json")
    before, edit = file.read_bytes(), vu_core.read_edit(file.parent)
    with pytest.raises(RunError, match="holds something else"):
        vu_core.evaluate(model, edit, protocol=QUICK, out=file.parent)
    assert file.read_bytes() == before
    for _ in range(2):
        vu_core.evaluate(model, edit, protocol=QUICK, out="measured")


def test_sample_draws_what_the_command_draws_once(vu, model, monkeypatch):
    import vu_core

    assert vu("run", "repaint", "--forget", "cat", "--quick", "--device", "cpu", "--out", "run").exit_code == 0
    assert vu("sample", "a cat", "a dog", "-n", "2", "--seed", "3", "--edit", "run", "--out", "there").exit_code == 0
    monkeypatch.setattr(type(model), "sample", None)  # All that follows comes from the cache.
    found = vu_core.sample(model, ["a cat", "a dog"], vu_core.read_edit("run"), seeds=[3, 4], out="here")
    for name in ("00-3.png", "00-4.png", "01-3.png", "01-4.png", "grid.png"):
        assert Path("here", name).read_bytes() == Path("there", name).read_bytes()
    assert found.images.shape[:2] == (2, 2) and torch.equal(found.images[1, 0], read_png(Path("there/01-3.png")))
    assert (found.prompts, found.seeds) == (("a cat", "a dog"), (3, 4))
    assert repr(found) == "4 pictures: a cat, a dog; seeds 3, 4"
    Path("shown.png").write_bytes(found._repr_png_())
    assert torch.equal(read_png(Path("shown.png")), read_png(Path("there/grid.png")))


def test_sample_without_an_edit_shows_the_model_as_it_is(model):
    edit = vu.unlearn("repaint", model, forget="cat")
    alone, edited = (vu.sample(model, "a cat", *edits, seeds=[0]).images for edits in ((), (edit,)))
    assert alone.shape == edited.shape and not torch.equal(alone, edited)
    assert torch.equal(vu.sample(model, "a cat", edit.scaled(0), seeds=[0]).images, alone)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": 3}, "Did you mean 'steps'"),
        ({"steps": 0}, "steps"),
        ({"seeds": []}, "no seed was given"),
        ({"prompts": ()}, "no prompt was given"),
    ],
)
def test_sample_says_what_it_cannot_do(model, wrong, message):
    with pytest.raises(VuError, match=message):
        vu.sample(model, **{"prompts": "a cat", **wrong})


def test_what_a_training_leaves_is_kept_where_asked(model, monkeypatch):
    def unlearn(self, model, request, data, config, ctx):
        ctx.log(1, {"loss": 0.5})
        (ctx.out_dir / "checkpoint").write_text("here")
        return vu.Edit.dense({})

    import vu_toy_work

    monkeypatch.setattr(vu_toy_work.Repaint, "unlearn", unlearn)
    edit = vu.unlearn("repaint", model, forget="cat", out="kept/run")
    assert json.loads(Path("kept/run/events.jsonl").read_text())["loss"] == 0.5
    assert sorted(path.name for path in Path("kept/run").iterdir()) == ["checkpoint", "events.jsonl"]
    vu.unlearn("repaint", model, forget="cat")
    assert [path.name for path in Path().iterdir()] == ["kept"]
    assert repr(edit) == "<Edit: repaint forgets cat; dense, 0 parameters, 0 kB>"


def test_export_writes_what_the_command_writes(vu, model):
    import vu_core

    run(vu)
    told = vu("export", "runs/repaint-cat", "--to", PIPELINE, "--out", "by-command", "--edit-scale", "0.5")
    assert told.exit_code == 0 and "1 parameters changed" in told.stdout
    edit = vu_core.unlearn("repaint", model, forget="cat")
    assert vu_core.export(edit.scaled(0.5), "by-python", to=PIPELINE, model=model) == Path("by-python")
    name = "paint/model.safetensors"
    assert Path("by-command", name).read_bytes() == Path("by-python", name).read_bytes()
    assert vu_core.load_model(Path("by-python")).fingerprint() != model.fingerprint()


def test_an_object_in_memory_unlearns_as_the_model_and_stays_as_it_was(model, painting):
    weight, before = painting.table.weight, painting.table.weight.detach().clone()
    painting.train().requires_grad_(False)
    held = vu.load_model(painting)
    edit = vu.unlearn("repaint", held, forget="cat", dataset="toy", strength=0.75)
    assert edit.sha256() == vu.unlearn("repaint", model, forget="cat").sha256() and edit.info["preset"] == "none"
    with edit.applied(held):
        assert not torch.equal(painting.table.weight, before)
    result = vu.evaluate(held, edit, protocol=QUICK, dataset="toy")
    assert result["hit", "forget"].after == 0.0
    assert painting.table.weight is weight and torch.equal(weight, before)
    assert painting.training and not weight.requires_grad and list(painting.table._parameters) == ["weight", "bias"]


def test_what_an_object_in_memory_cannot_do_is_said(painting):
    held = vu.load_model(painting)
    edit = vu.unlearn("repaint", held, forget="cat", dataset="toy")
    with pytest.raises(ConfigError, match="takes its prompts from a dataset, but none is named"):
        vu.evaluate(held, edit, protocol=QUICK)
    with pytest.raises(ConfigError, match="model 'Painting' names no protocol"):
        vu.evaluate(held, edit)
    with pytest.raises(ModelError, match="'Painting' lies in no folder"):
        vu.export(edit, "merged", to=PIPELINE, model=held)
    with pytest.raises(ConfigError, match="a model in memory stays where and as it is"):
        vu.load_model(painting, device="cpu")
    with pytest.raises(ModelError, match=r"a collections.Counter.* one of: vu_toy_work.Painting \(toy-loader\)"):
        vu.load_model(__import__("collections").Counter())


def test_one_thing_after_another_is_what_the_command_makes(vu, model):
    import vu_core

    asked = (("cat", "fox"), ("fox", "bear"))
    after = ()
    for old, new in asked:
        result = vu("run", "repaint", "--forget", old, "--replace-with", new, "--device", "cpu", "--out", old, *after)
        assert result.exit_code == 0, result.output
        after = ("--after", old)
    cat = vu_core.unlearn("repaint", model, forget="cat", replace_with="fox")
    fox = vu_core.unlearn("repaint", model, forget="fox", replace_with="bear", after=cat)
    assert [edit.sha256() for edit in edits_of("fox")] == [cat.sha256(), fox.sha256()]
    assert vu_core.evaluate(model, [cat, fox], protocol=QUICK).forget == ("cat", "fox")
    with pytest.raises(EditError, match="made after 1 others"):
        vu_core.evaluate(model, fox, protocol=QUICK)
    with pytest.raises(RequestError, match="'cat' was forgotten by an earlier edit already"):
        vu_core.unlearn("repaint", model, forget="cat", after=[cat, fox])


def test_an_edited_model_is_not_taken_for_the_base_model(model):
    edit = vu.unlearn("repaint", model, forget="cat")
    with edit.applied(model):
        for use in (
            lambda: vu.evaluate(model, protocol=QUICK),
            lambda: vu.unlearn("repaint", model, forget="dog"),
        ):
            with pytest.raises(EditError, match="an edit is applied to 'toy' now"):
                use()
    assert cached() == set()
    assert vu.evaluate(model, edit, protocol=QUICK)["hit", "forget"].before == 100.0


@pytest.mark.parametrize(
    ("terminal", "wanted", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_progress_is_shown_on_a_terminal_unless_switched_off(model, monkeypatch, capsys, terminal, wanted, shown):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    vu.evaluate(model, protocol=QUICK, forget="cat", progress=wanted)
    told = capsys.readouterr()
    assert ("drawing before" in told.err) == shown and told.out == ""


def test_the_type_must_be_known():
    with pytest.raises(ConfigError, match="dtype 'float8' is not known"):
        vu.load_model("toy", dtype="float8")
