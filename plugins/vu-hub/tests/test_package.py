"""What goes up, and the model card: decided without a network."""

from __future__ import annotations

import hashlib
import json

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner
from vu_hub.package import packed, portable

from vu_core import Edit, RunError, read_edit, testing, write_edit
from vu_core.cli import app

from .conftest import HOME, record

REPOSITORY = "me/no-cat"


@testing.parametrize("vu-hub")
def test_conformance(check: testing.Case) -> None:
    check()


def card(run, **options):
    with packed(run, REPOSITORY, **options) as package:
        return ModelCard.load(package.files["README.md"])


def rewrite(run, **changes):
    record(run, read_edit(run), **changes).write()


def test_no_path_of_this_machine_and_nothing_else_goes_up(run):
    with packed(run, REPOSITORY) as package:
        assert set(package.files) == {
            "README.md",
            "edit.safetensors",
            "pytorch_lora_weights.safetensors",
            "record.json",
            "contact-sheet.png",
        }
        for path in package.files.values():
            assert b"/home/" not in path.read_bytes(), path
        public = json.loads(package.files["record.json"].read_text())
        edit = read_edit(package.files["edit.safetensors"])
    assert public["unlearner"]["config"] == {"pictures": "cats", "strength": 1.0}
    assert public["warnings"] == ["3 pictures of 'cats' and vu were left out, see https://a.org/b/c"]
    original = json.loads((run / "record.json").read_text())
    assert public["results"] == original["results"] and public["edit"]["sha256"] == original["edit"]["sha256"]
    assert edit.sha256() == read_edit(run).sha256() and edit.info["model"] == "sd"
    assert read_edit(run).info["model"] == f"{HOME}/sd", "what lies here stays as it is"


def test_an_edit_that_names_no_path_goes_up_byte_for_byte(run):
    write_edit(Edit.lora({}, info={"model": "emoji"}), run / "edit.safetensors")
    with packed(run, REPOSITORY) as package:
        assert package.files["edit.safetensors"] == run / "edit.safetensors"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/b", "b"),
        ("~/models/sd", "sd"),
        ("C:\\Users\\me\\sd", "sd"),
        ("org/name", "org/name"),
        ("a cat and/or a dog", "a cat and/or a dog"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("reads /data/x.png twice", "reads x.png twice"),
        ("reads '/my data/x.png' twice", "reads 'x.png' twice"),
        ("reads C:\\data\\x.png twice", "reads x.png twice"),
        ("5 / 6", "5 / 6"),
    ],
)
def test_paths_are_cut_and_other_texts_are_not(text, expected):
    assert portable(text) == expected
    assert portable([{text: (text, 1, None)}]) == [{expected: [expected, 1, None]}]


def test_the_card_s_numbers_are_read_back_by_the_hub_s_own_library(run):
    data = card(run, license_name="openrail").data
    assert (data.library_name, data.pipeline_tag, data.license) == ("diffusers", "text-to-image", "openrail")
    assert {"machine-unlearning", "lora"} <= set(data.tags)
    assert data.model_name == "no-cat"
    found = {(one.metric_type, one.dataset_split): one for one in data.eval_results}
    assert set(found) == {("ua", "forget"), ("ira", "retain")}, "pooled numbers that are there"
    ua = found["ua", "forget"]
    assert (ua.metric_value, ua.dataset_name, ua.task_type) == (100.0, "toy@1", "text-to-image")
    expected = {"before": 0.0, "interval_95": [61.0, 100.0], "n": 6, "n_excluded": 0, "unit": "%"}
    assert ua.metric_args == expected
    assert found["ira", "retain"].metric_name == "ira[a-judge,100*cos]"


def test_the_card_s_text_shows_table_and_how_to_load(run):
    text = card(run).text
    assert "| ua (%) | forget | 0.0 | 100.0 |" in text
    assert 'from_pretrained("path/to/sd")' in text and f'pipe.load_lora_weights("{REPOSITORY}"' in text
    assert f"vu pull {REPOSITORY}" in text
    assert "contact-sheet.png" in text


def test_the_base_model_is_named_where_it_is_one_of_a_hub(run):
    assert card(run).data.base_model is None
    name = "CompVis/stable-diffusion-v1-4"
    rewrite(run, model={"name": name, "fingerprint": None, "revision": "0" * 40})
    found = card(run)
    assert (found.data.base_model, found.data.base_model_relation) == (name, "adapter")
    assert f'from_pretrained("{name}")' in found.text
    rewrite(run, model={"name": "models/sd", "fingerprint": None, "revision": None})
    assert card(run).data.base_model is None, "a folder"


def test_an_edit_made_after_others_is_not_said_to_work_alone(run):
    request = {"forget": ["cat"], "retain": [], "replace_with": [], "neighbours": ["dog"], "earlier": ["fox", "car"]}
    rewrite(run, request=request)
    (run / "pytorch_lora_weights.safetensors").unlink()  # Such a run leaves none.
    found = card(run)
    assert "after edits that made sd forget fox, car. They are not part of it" in found.text
    assert "load_lora_weights" not in found.text and "lora" not in found.data.tags


def test_a_run_without_numbers_has_a_card_too(run):
    rewrite(run, protocol=None, results=[])
    assert card(run).data.eval_results is None


def test_an_edit_of_whole_matrices_is_not_said_to_load_in_diffusers(run):
    (run / "pytorch_lora_weights.safetensors").unlink()
    (run / "contact-sheet.png").unlink()
    found = card(run)
    assert "load_lora_weights" not in found.text and "contact-sheet" not in found.text
    assert "lora" not in found.data.tags


def test_a_dry_run_prints_what_goes_up(run):
    # The order of a safetensors header is not fixed: a file that is written anew has other bytes each time.
    write_edit(Edit.lora({}, info={"model": "emoji"}), run / "edit.safetensors")
    result = CliRunner().invoke(app, ["push", str(run), REPOSITORY, "--dry-run"])
    assert result.exit_code == 0, result.output
    with packed(run, REPOSITORY) as package:
        for name, path in package.files.items():
            content = path.read_bytes()
            line = f"{len(content):>12,}  {hashlib.sha256(content).hexdigest()}  {name}"
            assert line in result.stdout.splitlines()
        assert package.files["README.md"].read_text() in result.stdout
    assert result.stdout.startswith("me/no-cat: 5 files, ")


@pytest.mark.parametrize("name", ["no-cat", "a/b/c", "", "a b/c", "https://x/y"])
def test_a_name_that_is_none(run, name):
    with pytest.raises(RunError, match="is no repository"), packed(run, name):
        pass


def test_a_run_that_is_not_finished_is_refused(run):
    rewrite(run, status="interrupted")
    with pytest.raises(RunError, match=r"'interrupted', not finished. Finish it first"), packed(run, REPOSITORY):
        pass
