"""FADE on the trained model: what the README's command forgets, replaces and keeps, and that a killed run goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from vu_core.cli import app

pytestmark = pytest.mark.embedded
pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")
pytest.importorskip("vu_fade", reason="vu-fade is not installed")


@pytest.fixture(scope="module")
def record(fade_run):
    found = json.loads((fade_run / "record.json").read_text())
    assert found["status"] == "finished" and not found["errors"]
    return found


@pytest.fixture(scope="module")
def results(record):
    return {(r["metric"], r["group"]): r for r in record["results"]}


def test_fade_forgets_cats_and_draws_dogs_in_their_place(results):
    for metric in ("ua", "ua_recognised", "replaced"):
        found = results[metric, "forget"]
        assert found["n"] == 6
        assert found["before"] <= 34 and found["after"] >= 83, found


def test_fade_keeps_the_other_objects_and_the_styles(results):
    for metric in ("ira", "cra"):
        kept = results[metric, "retain"]
        assert kept["n"] == 174
        assert kept["change"] > -10, kept
    assert results["unrecognised", "retain"]["after"] < 10


def test_the_record_says_what_was_trained_on_and_how_far(record):
    info = record["edit"]["info"]
    assert (info["preset"], info["steps_done"], info["stopped"]) == ("default", info["config"]["steps"], "")
    assert all("cat" in old and "dog" in new and "cat" not in new for old, new in info["overwriting"])
    assert info["pictures"]["forget"] == info["config"]["pictures_each"]
    assert record["edit"]["kind"] == "lora" and record["edit"]["rank"] == info["config"]["rank"]


def test_the_losses_are_logged_and_the_forget_loss_falls(fade_run):
    events = steps_of(fade_run)
    losses = [event["loss/forget"] for event in events]
    assert [event["step"] for event in events] == list(range(10, 201, 10))
    assert losses[-1] < 0.2 * losses[0]


# Where the kills land is drawn from a seed that a failure prints: VU_KILL_SEED repeats it, VU_KILLS=20 makes more.
KILLS = int(os.environ.get("VU_KILLS", "3"))
SEED = int(os.environ.get("VU_KILL_SEED", random.SystemRandom().randrange(10**6)))
STEPS = 6
# What a run imports, most of which it otherwise finds out on the way.
IMPORTED = [
    "diffusers.optimization",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "matplotlib.backends.backend_svg",
    "peft",
    "transformers.models.clip.modeling_clip",
    "vu_core.cli",
    "vu_diffusers.model",
    "vu_emoji.scorers",
    "vu_fade.unlearner",
    "vu_report.run_page",
]
PROTOCOL = """
name = "few@1"
dataset = "emoji"
templates = ["a {object} image in {style} style"]
articles = true
seeds = [0]
[grid]
object = ["cat", "dog", "house"]
style = ["noto", "flat"]
[sampler]
steps = 4
guidance_scale = 3.0
micro_batch = 2
[scorers]
object = "emoji-object"
style = "emoji-style"
[metrics]
ua = {}
"""


def cache_of(folder: Path) -> Path:
    return folder.parent / f"cache-of-{folder.name}"


@pytest.fixture(scope="module")
def processes():
    """Fresh processes forked from one that has imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    warm = context.Process(target=time.time)
    warm.start()
    warm.join()
    return context


def run_command(folder: Path, protocol: Path) -> None:
    """Run ``vu run fade`` in ``folder``, or continue it; it logs and keeps every step, and has a cache of its own."""
    os.environ["VU_CACHE_DIR"] = str(cache_of(folder))
    options = {"max_steps": STEPS, "checkpoint_every": 1, "log_every": 1, "pictures_each": 1}
    asked = ["fade", "--forget", "cat", "--replace-with", "dog", "--protocol", str(protocol)]
    asked += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        app(["run", *asked, "--out", str(folder), "--resume"])


def steps_of(folder: Path) -> list[dict]:
    file = folder / "events.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def finished_work(folder: Path) -> dict[str, int]:
    """Return what was computed and is kept: latents, texts, checkpoints, edit, pictures; by name, the file's inode."""
    found = [*folder.glob("training/*.safetensors"), *folder.glob("edit.safetensors"), *cache_of(folder).rglob("*.png")]
    written = {}
    for path in found:
        with suppress(FileNotFoundError):  # An old checkpoint that has just been removed.
            written[str(path)] = path.stat().st_ino
    return written


def newest_checkpoint(folder: Path) -> int:
    return max((int(path.stem.split("-")[1]) for path in folder.glob("training/step-*.safetensors")), default=0)


def kill_when(process: BaseProcess, folder: Path, amount: int, delay: float) -> None:
    """Kill the run ``delay`` seconds after ``amount`` things are done, wherever it then is."""
    while process.is_alive() and len(finished_work(folder)) + len(steps_of(folder)) < amount:
        time.sleep(0.002)
    process.join(delay)
    process.kill()
    process.join()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_run_ends_with_the_same_edit_and_does_nothing_twice(processes, tmp_path):
    print(f"seed of the moments: {SEED}")

    def start(folder):
        process = processes.Process(target=run_command, args=(folder, tmp_path / "few.toml"))
        process.start()
        return process

    (tmp_path / "few.toml").write_text(PROTOCOL)
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for path in (whole, folder):
        path.mkdir()
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    total = len(finished_work(whole)) + len(steps_of(whole))
    moments = random.Random(SEED)
    for amount in [*sorted(moments.choices(range(total), k=KILLS)), None]:
        kept, checkpoint, logged = finished_work(folder), newest_checkpoint(folder), len(steps_of(folder))
        process = start(folder)
        if amount is None:
            process.join()
            assert process.exitcode == 0
        else:
            kill_when(process, folder, amount, moments.uniform(0, 0.5))
        now = finished_work(folder)
        assert {name for name, written in kept.items() if now.get(name, written) != written} == set(), "written twice"
        taken = [event["step"] for event in steps_of(folder)[logged:]]
        assert taken == list(range(checkpoint + 1, checkpoint + 1 + len(taken))), "continues after the checkpoint"
    records = [json.loads((path / "record.json").read_text()) for path in (whole, folder)]
    assert records[0]["edit"]["sha256"] == records[1]["edit"]["sha256"]
    assert records[0]["results"] == records[1]["results"]
    steps = [event["step"] for event in steps_of(folder)]
    assert sorted(set(steps)) == list(range(1, STEPS + 1))
    # A step whose line is written but whose checkpoint is not is the only work that a kill can waste.
    assert len(steps) - STEPS <= KILLS
    assert len(list(cache_of(folder).rglob("*.png"))) == len(list(cache_of(whole).rglob("*.png"))) == 12
