"""Interruption and continuation: same parameters bit for bit, nothing computed twice, nothing unsafe on disk."""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import struct
import time

import pytest
import torch
from safetensors import safe_open
from vu_train.loop import train
from vu_train.settings import TrainSettings
from vu_train_worker import Regression, train_and_report, train_as_rank, train_in

from vu_core import RunError

KILLS = 20
EVERY = 3
STEPS = 150


@pytest.fixture(scope="module")
def processes():
    """Fresh processes forked from one that has imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vu_train_worker", "diffusers.optimization"])
    warm = context.Process(target=time.time)
    warm.start()
    warm.join()
    return context


def test_a_training_killed_at_any_moment_ends_with_the_same_weights(tmp_path, processes):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed of the moments: {seed}")
    moments = random.Random(seed)
    options = {"steps": STEPS, "learning_rate": 0.01, "schedule": "cosine", "ema": 0.9, "checkpoint_every": EVERY}
    count, pause = tmp_path / "count", 0.004
    (tmp_path / "one").mkdir()
    begun = time.monotonic()
    train_and_report(tmp_path / "one", tmp_path / "count-one", pause, options)
    whole = time.monotonic() - begun
    expected = (tmp_path / "one" / "sha256").read_text()

    folder = tmp_path / "killed"
    folder.mkdir()
    kills, lines = 0, 0
    while not (folder / "sha256").exists():
        process = processes.Process(target=train_and_report, args=(folder, count, pause, options))
        process.start()
        if kills < KILLS:
            wait_for_more(count, lines, process)
            process.join(moments.uniform(0, 0.8 * whole / KILLS))
            process.kill()
            kills += 1
        process.join()
        lines = len(count.read_text().split())
    assert kills == KILLS
    assert (folder / "sha256").read_text() == expected
    # The step that was under way, and those since the last checkpoint, are all that is computed again.
    assert STEPS <= lines <= STEPS + kills * EVERY
    assert not list(folder.rglob("*.part"))


def wait_for_more(count, lines, process) -> None:
    """Return when a process has begun a further step, or ended."""
    deadline = time.monotonic() + 60
    while process.is_alive() and (not count.exists() or count.stat().st_size <= 2 * lines):
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_compute_what_one_does(tmp_path, processes, accumulation):
    options = {"steps": 8, "learning_rate": 0.01, "accumulation": accumulation, "checkpoint_every": 4, "clip": 1.0}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "two").mkdir()
    ranks = [
        processes.Process(target=train_as_rank, args=(rank, 2, port, tmp_path / "two", options)) for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    results = [torch.tensor([float(v) for v in (tmp_path / "two" / f"rank-{i}").read_text().split()]) for i in range(2)]
    alone = Regression()
    train_in(tmp_path / "one", alone, **options)
    expected = torch.cat([parameter.detach().flatten() for parameter in alone.parameters.values()])
    assert torch.equal(*results)
    torch.testing.assert_close(results[0], expected, rtol=0, atol=1e-6)
    assert [path.name for path in sorted((tmp_path / "two" / "training").iterdir())] == [
        "step-00000004.safetensors",
        "step-00000008.safetensors",
    ]


def test_stopping_and_continuing_is_one_training(tmp_path):
    options = {"steps": 20, "schedule": "cosine", "ema": 0.9, "learning_rate": 0.01, "checkpoint_every": 6}
    whole, parts = Regression(dropout=0.2), None
    train_in(tmp_path / "whole", whole, **options)
    for stop in (3, 7, 7, 13, None):
        parts = Regression(dropout=0.2)
        result = train_in(tmp_path / "parts", parts, max_steps=stop, **options)
        assert (result.steps, result.stopped) == ((stop, "max_steps") if stop else (20, ""))
    assert result.resumed_at == 13
    assert parts.sha256() == whole.sha256()
    again = Regression(dropout=0.2)
    assert train_in(tmp_path / "parts", again, **options).resumed_at == 20
    assert again.sha256() == whole.sha256()


def test_the_time_limit_counts_the_whole_training(tmp_path):
    task = Regression()
    task.pause = 0.01
    first = train_in(tmp_path, task, steps=10_000, time_limit=0.2)
    assert first.stopped == "time_limit" and 1 <= first.steps <= 20 and first.seconds >= 0.2
    second = train_in(tmp_path, Regression(), steps=10_000, time_limit=0.2)
    assert (second.stopped, second.steps, second.resumed_at) == ("time_limit", first.steps, first.steps)


def test_a_folder_holds_the_newest_checkpoints_as_safetensors_and_json(tmp_path):
    train_in(tmp_path, Regression(), steps=10, checkpoint_every=2, keep_checkpoints=3)
    files = sorted((tmp_path / "training").iterdir())
    assert [file.name for file in files] == [f"step-{step:08d}.safetensors" for step in (6, 8, 10)]
    for file in files:
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        assert 8 + length + end == len(content), "nothing but the header and the tensors"
        assert json.loads(header["__metadata__"]["vu_train"])["step"] == int(file.stem.removeprefix("step-"))
    with safe_open(files[-1], framework="pt") as opened:
        kinds = {name.split("/")[0] for name in opened.keys()}  # noqa: SIM118
    assert kinds == {"parameter", "optimizer"}


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, ctx):
    whole = Regression()
    train_in(tmp_path / "whole", whole, steps=12)
    train(Regression(), TrainSettings(steps=12, checkpoint_every=3, max_steps=6), ctx)
    newest = ctx.out_dir / "training" / "step-00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    task = Regression()
    assert train(task, TrainSettings(steps=12, checkpoint_every=3), ctx).resumed_at == 3
    assert "step-00000006.safetensors' is damaged" in ctx.warnings[0]
    assert task.sha256() == whole.sha256()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"learning_rate": 0.5}, "settings"),
        ({"steps": 11}, "settings"),
        ({"weights": {"forget": 1, "retain": 2}}, "weights"),
    ],
)
def test_checkpoints_of_another_training_are_refused(tmp_path, options, what):
    train_in(tmp_path, Regression(), steps=10, max_steps=4)
    with pytest.raises(RunError, match=f"belong to another training; what differs: {what}"):
        train_in(tmp_path, Regression(), **{"steps": 10, **options})


def test_checkpoints_of_other_data_or_of_another_model_are_refused(tmp_path, ctx):
    train(Regression(), TrainSettings(steps=4), ctx, key={"model": "a"})
    with pytest.raises(RunError, match="what differs: model"):
        train(Regression(), TrainSettings(steps=4), ctx, key={"model": "b"})
    with pytest.raises(RunError, match="what differs: streams"):
        train(Regression(retain=2), TrainSettings(steps=4), ctx, key={"model": "a"})


def test_other_threads_are_mentioned(tmp_path, ctx):
    train(Regression(), TrainSettings(steps=4, max_steps=2), ctx)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        train(Regression(), TrainSettings(steps=4), ctx)
    finally:
        torch.set_num_threads(threads)
    assert "continues from step 2 under other versions or threads" in ctx.warnings[0]
