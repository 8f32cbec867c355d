"""A finished run's folder, with paths of a machine wherever a run may put them, and a hub on this machine."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))

import torch
from hub_server import Hub
from PIL import Image

from vu_core import Edit, Interval, Result, write_edit
from vu_core.records import Record, Stage

HOME = "/home/someone/private place"


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run as ``vu run`` leaves it."""
    folder = tmp_path / "cat"
    factors = (torch.ones(1, 4), torch.full((3, 1), 0.5))
    info = {"model": f"{HOME}/sd", "request": {"forget": [{"name": "cat", "kind": "object", "text": "cat"}]}}
    edit = Edit.lora({"unet.a.to_k.weight": factors}, base={"unet.a.to_k.weight": "0" * 64}, info=info)
    for name in ("edit.safetensors", "pytorch_lora_weights.safetensors"):
        write_edit(edit, folder / name)
    Image.new("RGB", (40, 20), "red").save(folder / "contact-sheet.png")
    (folder / "run.toml").write_text(f'model = "{HOME}/sd"\n')
    (folder / "images").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "images" / "cat-0.png")
    record(folder, edit).write()
    return folder


def record(folder: Path, edit: Edit, **changes) -> Record:
    ends = {"interval": Interval(low=61.0, high=100.0), "after_interval": Interval(low=61.0, high=100.0)}
    common = {"n": 6, "unit": "%", "direction": "up", "ideal": 100.0}
    values = {
        "folder": folder,
        "status": "finished",
        "request": {"forget": ["cat"], "retain": ["dog"], "replace_with": [], "neighbours": ["dog"], "earlier": []},
        "unlearner": {
            "name": "uce",
            "plugin": "vu-uce",
            "version": "0.1.0",
            "preset": "none",
            "config": {"pictures": f"{HOME}/cats", "strength": 1.0},
        },
        "model": {"name": f"{HOME}/sd", "fingerprint": "f" * 64, "revision": None},
        "edit": {"kind": "lora", "sha256": edit.sha256(), "info": dict(edit.info)},
        "protocol": {"name": "toy@1", "sha256": "1" * 64, "dataset": "toy"},
        "environment": {"versions": {"vu-core": "0.1.0"}, "device": "cpu"},
        "stages": [Stage(name="unlearn", seconds=1.0)],
        "results": [
            Result(metric="ua", group="forget", before=0.0, after=100.0, change=100.0, **ends, **common),
            Result(metric="ira[a-judge,100*cos]", group="retain", before=98.0, after=97.0, change=-1.0, **common),
            Result(metric="ira[a-judge,100*cos]", group="dog", before=98.0, after=97.0, change=-1.0, **common),
            Result(metric="fid", group="retain", before=None, after=None, change=None, n=0),
        ],
        "warnings": [f"3 pictures of '{HOME}/cats' and /home/someone/.cache/vu were left out, see https://a.org/b/c"],
    }
    return Record(**{**values, **changes})


@pytest.fixture
def hub():
    """Return a running hub."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
