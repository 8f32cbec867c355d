"""A few steps of FADE on the trained model on a device: the CPU's losses, in float32 and nearly so in bfloat16."""

from __future__ import annotations

import time

import pytest

from vu_core.context import RunContext
from vu_core.records import MemoryMeter
from vu_core.types import Concept, Request

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("precise")]

STEPS = 4
REQUEST = Request(forget=(Concept(name="cat"),), replace_with=(Concept(name="dog"),))


@pytest.fixture
def unlearn(embedded, measured, tmp_path):
    """Return a function that unlearns cats on a device and returns the losses by step, and the edit."""
    from vu_emoji.dataset import EmojiDataset
    from vu_fade.config import FadeConfig
    from vu_fade.unlearner import Fade

    def run(device, **options):
        model, meter, lines = embedded(device), MemoryMeter(device), []
        config = FadeConfig(
            steps=STEPS, log_every=1, pictures_each=2, learning_rate=1e-3, rank=8, alpha=8.0, flip=False, **options
        )
        out = tmp_path / "-".join([device, *map(str, options.values())])
        ctx = RunContext(out_dir=out, device=device, log=lambda step, values: lines.append((time.time(), values)))
        edit = Fade().unlearn(model, REQUEST, EmojiDataset().split(REQUEST), config, ctx)
        each = (lines[-1][0] - lines[0][0]) / (STEPS - 1)
        memory = meter.device_bytes() or meter.process_bytes() or 0
        measured(f"fade on {device} {options}: {1e3 * each:.0f} ms a step of 8 pictures, peak {memory / 1e9:.2f} GB")
        return [values["loss/forget"] for _, values in lines], edit

    return run


def test_losses_agree_with_the_cpus(unlearn, device, measured):
    ours, edit = unlearn(device)
    theirs, _ = unlearn("cpu") if device != "cpu" else (ours, edit)
    halved, _ = unlearn(device, precision="bfloat16")
    measured(f"fade, losses of {STEPS} steps: {ours}, in bfloat16 {halved}, beside the CPU's {theirs}")
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    assert ours == pytest.approx(theirs, rel=1e-2)
    assert halved[0] == pytest.approx(theirs[0], rel=0.05)
    assert ours[-1] != ours[0] and not edit.is_identity()
    assert {tensor.device.type for tensor in edit.tensors.values()} == {"cpu"}
