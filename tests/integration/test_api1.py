"""Plugins written for version 1 of the contract, frozen, keep working; one for a later version is a clear row."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

import vu_core
from vu_core import API_VERSION
from vu_core.editfiles import read_edit
from vu_core.errors import ModelError

PLUGINS = Path(__file__).parents[1] / "data" / "plugins"
FROZEN_SHA256 = {
    "api-1": "e6ec9f469787a62d2c90f92f48e227e101c6e96f97cf2423be3566dc55111b13",
    "api-1-model": "5cf0cd486dc31e984448b9176068f82ef91d51b11739017a90413595612a8659",
}
FROZEN_SUFFIXES = {"", ".py", ".toml", ".txt", ".typed", ".json"}
RUN = ("run", "api1-repaint", "--model", "toy", "--dataset", "api1-animals", "--protocol", "api1@1", "--device", "cpu")


@pytest.fixture(autouse=True)
def world(install_fakes, monkeypatch, tmp_path):
    install_fakes("toy", "api-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", FROZEN_SHA256)
def test_its_files_were_never_edited(name):
    digest, folder = hashlib.sha256(), PLUGINS / name
    for file in sorted(path for path in folder.rglob("*") if path.suffix in FROZEN_SUFFIXES):
        if file.is_file():
            digest.update(f"{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    assert digest.hexdigest() == FROZEN_SHA256[name], "a published plugin cannot be edited: mend the core instead"


def test_it_is_listed_without_a_complaint(vu):
    found = json.loads(vu("list", "--json").stdout)
    record = next(plugin for plugin in found["plugins"] if plugin["name"] == "vu-api1")
    assert (record["status"], record["problem"]) == ("ok", "")
    kinds = [component["kind"] for component in found["components"] if component["plugin"] == "vu-api1"]
    assert kinds == ["unlearner", "metric", "dataset", "scorer", "protocol"]


def test_a_frozen_model_is_run_on_by_its_name_with_all_that_it_brings(vu, install_fakes):
    install_fakes("api-1", "api-1-model")
    found = json.loads(vu("list", "--json").stdout)
    assert {plugin["name"]: plugin["status"] for plugin in found["plugins"]} == {"vu-api1": "ok", "vu-api1-model": "ok"}
    request = ("--forget", "cat", "--replace-with", "fox", "--model", "api1-painter")
    result = vu("run", "api1-repaint", *request, "--out", "run")
    assert result.exit_code == 0, result.output
    record = json.loads(Path("run/record.json").read_text())
    assert (record["model"]["name"], record["protocol"]["name"]) == ("api1-painter", "api1@1")
    assert (record["unlearner"]["preset"], record["unlearner"]["config"]["strength"]) == ("default", 1.0)
    forget, retain = ({r["group"]: r for r in record["results"]}[group] for group in ("forget", "retain"))
    assert (forget["before"], forget["after"], retain["before"], retain["after"]) == (100, 0, 100, 100)


def test_a_frozen_model_is_used_where_it_is_in_memory(install_fakes):
    install_fakes("api-1", "api-1-model")
    from vu_api1_model.work import Painter

    painter = Painter(json.loads((PLUGINS / "api-1-model/vu_api1_model/painted/api1.json").read_text())["colours"])
    before = painter.table.weight.clone()
    model = vu_core.load_model(painter)
    with pytest.warns(UserWarning, match="repainted"):
        edit = vu_core.unlearn("api1-repaint", model, forget="cat", dataset="api1-animals", form="dense")
    with edit.applied(model):
        assert not torch.equal(painter.table.weight, before)
    assert torch.equal(painter.table.weight, before)


def test_its_components_carry_a_whole_run(vu):
    result = vu(*RUN, "--forget", "cat", "--replace-with", "fox", "-o", "strength=1", "--out", "run")
    assert result.exit_code == 0, result.output
    record = json.loads(Path("run/record.json").read_text())
    assert (record["status"], record["errors"], record["warnings"]) == ("finished", [], ["repainted"])
    assert record["scorers"] == {"animal": {"name": "api1-judge", "version": "1"}}
    found = {result["group"]: result for result in record["results"]}
    assert list(found) == ["forget", "retain", "neighbours", "cat"]
    assert {result["metric"] for result in record["results"]} == {"api1-recognised[api1-judge]"}
    forget, retain = found["forget"], found["retain"]
    assert (forget["before"], forget["after"], forget["n"], forget["direction"]) == (100, 0, 4, "down")
    assert (retain["before"], retain["after"], retain["n"], retain["direction"]) == (100, 100, 16, "up")
    info = read_edit(Path("run")).info
    assert (info["forget"], info["retain"], info["plugin"]) == (["cat"], 4, "vu-api1 1.0")
    assert (Path("run/api1-started.txt").read_text(), Path("run/api1-finished.txt").read_text()) == (
        "running",
        "finished",
    )


def test_it_is_told_of_a_failure(vu, monkeypatch):
    import vu_api1.work

    def refuse(*_arguments):
        raise ModelError("no colours")

    monkeypatch.setattr(vu_api1.work.Repaint, "unlearn", refuse)
    assert vu(*RUN, "--forget", "cat", "--out", "run").exit_code == 2
    assert Path("run/api1-failed.txt").read_text() == "failed: no colours"


@pytest.mark.parametrize("option", ["strength=0", "form=dense"])
def test_its_options_are_read(vu, option):
    result = vu(*RUN, "--forget", "cat", "-o", option, "--out", "run")
    assert result.exit_code == 0, result.output
    edit = read_edit(Path("run"))
    assert edit.is_identity() if option == "strength=0" else edit.kind == "dense"


def test_a_plugin_for_a_later_version_is_a_row_that_says_so(install_fakes, vu):
    install_fakes("newer-api")
    row = vu("list").stdout.splitlines()[-1]
    assert f"specs: unlearner 'erase' needs API 99, this vu-core has {API_VERSION}; install a newer vu-core" in row
    assert vu("list", "--strict").exit_code == 1
