"""``vu run --after``: one thing forgotten after another, each on the weights that the earlier ones left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from vu_core.api import load_model
from vu_core.chains import edits_of
from vu_core.edits import applied
from vu_core.errors import EditError

RUN = ("run", "repaint", "--device", "cpu", "-o", "strength=1")
MODEL = ("--to", "diffusers-pipeline")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


def record_of(folder):
    return json.loads((Path(folder) / "record.json").read_text())


def groups(record):
    return {r["group"]: r for r in record["results"]}


def colours(edits):
    model = load_model("toy", device="cpu")
    with applied(model, edits):
        return model.component("paint").table.weight.detach().clone()


def chain(vu, *dense):
    """Cat is given the fox's colour; then the fox the bear's; then the bear the frog's."""
    after = ()
    for number, (animal, other) in enumerate((("cat", "fox"), ("fox", "bear"), ("bear", "frog"))):
        form = ("-o", "dense=true") if number in dense else ()
        asked = ("--forget", animal, "--replace-with", other, "--out", animal)
        result = vu(*RUN, *asked, *after, *form, "--json")
        assert result.exit_code == 0, result.output
        after = ("--after", animal)
    return edits_of("bear")


@pytest.mark.parametrize("dense", [(), (1,), (0, 1, 2)])
def test_each_is_made_of_what_the_earlier_ones_left(vu, dense):
    edits = chain(vu, *dense)
    base, after = colours(()), colours(edits)
    _, dog, fox, bear, frog = range(5)
    # The cat keeps the fox's first colour: later edits do not touch it.
    expected = base[:, [fox, dog, bear, frog, frog]]
    assert torch.allclose(after, expected, atol=1e-4)
    assert [list(edit.after) for edit in edits] == [
        [],
        [edits[0].identity()],
        [edits[0].identity(), edits[1].identity()],
    ]


def test_what_it_gives_is_bit_for_bit_what_the_merged_models_give(vu):
    chain(vu, 1)
    for source, animal, out in (("toy", "cat", "m1"), ("m1", "fox", "m2"), ("m2", "bear", "m3")):
        other = {"cat": "fox", "fox": "bear", "bear": "frog"}[animal]
        form = ("-o", "dense=true") if animal == "fox" else ()
        asked = ("--forget", animal, "--replace-with", other, "--dataset", "toy", "--protocol", "toy-quick@1")
        vu(*RUN, *asked, *form, "--model", source, "--out", f"of-{source}")
        assert vu("export", f"of-{source}", *MODEL, "--model", source, "--out", out).exit_code == 0
    assert vu("export", "bear", *MODEL, "--out", "at-once").exit_code == 0
    name = "paint/model.safetensors"
    assert Path("m3", name).read_bytes() == Path("at-once", name).read_bytes()


def test_the_record_has_order_and_hashes_and_measures_what_was_forgotten_earlier(vu):
    edits = chain(vu)
    record = record_of("bear")
    assert [edit["forget"] for edit in record["applied"]] == [["cat"], ["fox"], ["bear"]]
    assert [edit["sha256"] for edit in record["applied"]] == [edit.sha256() for edit in edits]
    assert record["request"]["forget"] == ["bear"] and record["request"]["earlier"] == ["cat", "fox"]
    found = groups(record)
    assert (found["forget"]["n"], found["retain"]["n"]) == (36, 24)
    # Cat and fox were gone before; the bear goes now.
    assert found["forget"]["before"] == pytest.approx(100 / 3) and found["forget"]["after"] == 0
    assert not Path("bear/pytorch_lora_weights.safetensors").exists()
    timed = {stage["name"]: stage["detail"] for stage in record["stages"]}
    assert timed["sample before"] == {"drawn": 0, "cached": 60}


def test_a_rebound_of_what_was_forgotten_earlier_is_seen(vu):
    vu(*RUN, "--forget", "cat", "--replace-with", "dog", "--out", "cat")
    vu(*RUN, "--forget", "fox", "--replace-with", "cat", "--out", "fox", "--after", "cat")
    # The fox took what stands for the cat now: the dog's colour.
    base, after = colours(()), colours(edits_of("fox"))
    assert torch.allclose(after[:, 2], base[:, 1], atol=1e-4)


def test_an_edit_that_was_made_after_others_is_not_applied_without_them(vu):
    edits = chain(vu)
    for wrong in (edits[1:2], edits[1:], (edits[1], edits[0]), (edits[0], edits[2])):
        with pytest.raises(EditError, match="made after"):
            colours(wrong)
    shutil.copy("fox/edit.safetensors", "fox.safetensors")
    alone = vu("sample", "a cat", "--edit", "fox.safetensors")
    assert alone.exit_code == 2 and "made after 1 others" in alone.stderr
    assert vu("sample", "a cat", "--edit", "fox", "-n", "1").exit_code == 0
    measured = json.loads(vu("eval", "bear", "--json").stdout)
    assert groups(measured)["forget"]["before"] == 100 and groups(measured)["forget"]["after"] == 0


def test_an_earlier_run_that_changed_is_noticed(vu):
    chain(vu)
    shutil.rmtree("cat")
    vu(*RUN, "--forget", "cat", "--replace-with", "dog", "--out", "cat", "--quick")
    changed = vu(*RUN, "--forget", "dog", "--after", "fox", "--out", "dog")
    assert changed.exit_code == 2 and "another edit than the one that is in" in changed.stderr


def test_half_of_a_chain_is_half_of_each(vu):
    edits = chain(vu)
    half = colours([edit.scaled(0.5) for edit in edits])
    base = colours(())
    assert torch.allclose(half[:, 0], (base[:, 0] + base[:, 2]) / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--forget", "cat", "--after", "cat"), "'cat' was forgotten by an earlier edit already"),
        (("--forget", "dog", "--after", "nowhere"), "holds no edit"),
    ],
)
def test_what_cannot_follow_is_refused(vu, arguments, message):
    vu(*RUN, "--forget", "cat", "--out", "cat", "--quick")
    refused = vu(*RUN, *arguments, "--out", "next")
    assert refused.exit_code == 2 and message in refused.stderr and not Path("next").exists()


def test_an_interrupted_one_continues_and_repeats_from_its_file(vu):
    chain(vu)
    Path("bear/record.json").unlink()
    again = vu("run", "--resume", "--out", "bear")
    assert again.exit_code == 0, again.output
    other = vu("run", "-c", "bear/run.toml", "--out", "other")
    assert other.exit_code == 0, other.output
    assert record_of("other")["edit"]["sha256"] == record_of("bear")["edit"]["sha256"]
    assert record_of("other")["results"] == record_of("bear")["results"]


def test_what_is_gone_is_neither_kept_nor_put_in_another_s_place(vu):
    from vu_core.planning import plan_run
    from vu_core.registry import Registry
    from vu_core.runspec import RunSpec

    vu(*RUN, "--forget", "dog", "--out", "dog", "--quick")
    spec = RunSpec(unlearner="repaint", forget=("cat",), after="dog", device="cpu")
    data = plan_run(spec, Registry.discover()).unlearning.data
    assert [concept.name for concept in data.retain] == ["fox", "bear", "frog"]
    assert [concept.name for concept in data.gone] == ["dog"]
    # The toy replaces by the first that is retained.
    result = vu(*RUN, "--forget", "cat", "--after", "dog", "--out", "cat", "--quick")
    assert result.exit_code == 0, result.output
    assert torch.allclose(colours(edits_of("cat"))[:, 0], colours(())[:, 2], atol=1e-4)
