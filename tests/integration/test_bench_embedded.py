"""``vu bench`` and ``vu eval`` on the trained model that vu-emoji carries, on a few pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytestmark = pytest.mark.embedded
pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")

# The pictures of emoji-quick@1 of four objects in two styles: what other tests drew of them is not drawn again.
PROTOCOL = """
name = "emoji-few@1"
dataset = "emoji"
templates = ["a {object} image in {style} style"]
articles = true
seeds = [0]
seed_rule = "per-prompt"

[grid]
object = ["cat", "dog", "car", "apple"]
style = ["noto", "flat", "blob"]

[sampler]
steps = 20
guidance_scale = 3.0
micro_batch = 12

[scorers]
object = "emoji-object"
style = "emoji-style"

[metrics]
ua = {}
ira = {}
cra = {}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory, embedded_cache) -> Path:
    from vu_core.cli import app

    folder = tmp_path_factory.mktemp("bench")
    (folder / "few.toml").write_text(PROTOCOL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VU_CACHE_DIR", str(embedded_cache))
        command = ["bench", str(folder / "few.toml"), "--unlearner", "uce", "--forget", "cat,car"]
        result = CliRunner().invoke(app, [*command, "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    return folder / "out"


def test_a_bench_forgets_each_concept_and_keeps_the_others(bench):
    content = json.loads((bench / "bench.json").read_text())
    numbers = {(row["metric"], row["group"]): row for row in content["table"]}
    forget, kept = numbers["ua", "forget"], numbers["ira", "retain"]
    assert (forget["concepts"], forget["n"], kept["n"]) == (2, 6, 18)
    assert forget["before"] <= 34 and forget["after"] >= 83
    assert kept["after"] >= 80
    found = content["interference"]["uce"]
    assert (found["forget"], found["measured"][:4]) == (["cat", "car"], ["cat", "dog", "car", "apple"])
    itself = [found["change"][row][found["measured"].index(name)] for row, name in enumerate(found["forget"])]
    assert max(itself) <= -66
    assert all(run["drawn"] + run["cached"] == 24 for run in content["runs"])


def test_a_run_of_a_bench_measured_again_forgets_the_same_and_draws_nothing(bench, embedded_cache, monkeypatch):
    from vu_core.cli import app

    monkeypatch.setenv("VU_CACHE_DIR", str(embedded_cache))
    run = bench / "uce" / "object-cat-seed0"
    result = CliRunner().invoke(app, ["eval", str(run), "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["results"] == json.loads((run / "record.json").read_text())["results"]
    assert {s["name"]: s["detail"] for s in record["stages"]}["sample after"] == {"drawn": 0, "cached": 12}
