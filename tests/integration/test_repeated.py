"""An evaluation whose pictures are there already runs no part of the pipeline and does not import diffusers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.embedded
pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")

PROTOCOL = """
name = "repeated@1"
summary = "Two objects, one picture each."
dataset = "emoji"
templates = ["a {object} image in {style} style"]
seeds = [0]
seed_rule = "per-prompt"
[grid]
object = ["cat", "dog"]
style = ["noto"]
[sampler]
steps = 2
guidance_scale = 3.0
micro_batch = 2
[scorers]
object = "emoji-object"
style = "emoji-style"
[metrics]
ua = {}
"""
SESSION = """
import json, sys
from collections import Counter
from torch.nn.modules.module import register_module_forward_pre_hook
import vu_core as vu
calls = Counter()
register_module_forward_pre_hook(lambda module, inputs: calls.update([type(module).__name__]))
model = vu.load_model("emoji", device="cpu")
found = vu.evaluate(model, vu.read_edit("edit.safetensors"), protocol="protocol.toml", progress=False)
print(json.dumps({"calls": calls, "diffusers": "diffusers" in sys.modules, "numbers": str(found)}))
"""
PARTS = ("UNet2DConditionModel", "Decoder", "CLIPTextModel")


def test_a_repeated_evaluation_runs_no_part_of_the_pipeline(tmp_path):
    import vu_core as vu

    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    edit = vu.unlearn("uce", vu.load_model("emoji", device="cpu"), forget="cat", progress=False)
    vu.write_edit(edit, tmp_path / "edit.safetensors")
    environment = {**os.environ, "VU_CACHE_DIR": str(tmp_path / "cache")}
    first, again = (
        json.loads(subprocess.check_output([sys.executable, "-c", SESSION], cwd=tmp_path, env=environment))
        for _ in range(2)
    )
    assert all(first["calls"][part] for part in PARTS) and first["diffusers"]
    assert not any(part in again["calls"] for part in PARTS) and not again["diffusers"]
    assert again["calls"]["EmojiClassifier"] == first["calls"]["EmojiClassifier"] > 0
    assert again["numbers"] == first["numbers"]
