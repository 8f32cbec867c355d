"""uce on checkpoints of published models' exact shapes, text encoders on a device; the algebra is on the CPU."""

from __future__ import annotations

import time

import pytest
import torch

from vu_core.context import RunContext
from vu_core.interfaces import Data
from vu_core.records import MemoryMeter
from vu_core.testing.checkpoints import write_checkpoint
from vu_core.types import Concept, Request

pytestmark = pytest.mark.gpu

REQUEST = Request(forget=(Concept(name="cat"),), replace_with=(Concept(name="dog"),), retain=(Concept(name="house"),))


def unlearn(folder, device, measured, out):
    """Return the edit; the model, several gigabytes, is let go."""
    from vu_diffusers.model import load
    from vu_uce.config import UceConfig
    from vu_uce.unlearner import Uce

    model, meter = load(str(folder), device=device), MemoryMeter(device)
    start = time.perf_counter()
    model.encode(["warm"])
    loaded = time.perf_counter()
    data = Data(forget=REQUEST.forget, retain=REQUEST.retain)
    config = UceConfig(tokens="aligned-tail", form="lora")
    edit = Uce().unlearn(model, REQUEST, data, config, RunContext(out_dir=out, device=device))
    done = time.perf_counter()
    memory = [f"{meter.process_bytes() / 1e9:.2f} GB of memory"]
    if on_device := meter.device_bytes():
        memory.append(f"{on_device / 1e9:.2f} GB on the device")
    measured(
        f"uce, {folder.name} on {device}: {len(model.sites())} matrices, text encoders loaded in "
        f"{loaded - start:.2f} s, one concept unlearned in {done - loaded:.2f} s, peak {' and '.join(memory)}"
    )
    return edit


@pytest.mark.parametrize(("family", "matrices", "tensors"), [("sd1", 32, 686), ("sdxl", 140, 1680)])
def test_the_edit_is_the_cpus(device, measured, tmp_path, family, matrices, tensors):
    from vu_diffusers.model import load

    folder = write_checkpoint(tmp_path / family, family=family)
    theirs, ours = (unlearn(folder, at, measured, tmp_path) for at in ("cpu", device))
    model = load(str(folder))
    assert len(model.tensor_names("unet")) == tensors
    assert len(ours.parameters()) == len(model.sites()) == matrices
    assert ours.parameters() == theirs.parameters()
    for site in model.sites():
        name = f"unet.{site.parameter}"
        weight = model.tensor("unet", site.parameter)
        change = ours.delta(name, weight)
        assert change.norm() > 0.01 * weight.float().norm()
        assert torch.norm(change - theirs.delta(name, weight)) < 1e-3 * change.norm()
