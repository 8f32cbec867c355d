"""What the edit does to a small model: the concept's direction is gone, all that is orthogonal to it is kept."""

from pathlib import Path

import pytest
import torch
from vu_core import Concept, Data, Edit, Request, RunContext
from vu_core.testing.fake_models import FakeTextToImage

from vu_example.config import Config
from vu_example.unlearner import AblateUnlearner

MODEL = FakeTextToImage()


def unlearn(folder: Path, strength: float) -> Edit:
    request = Request(forget=(Concept(name="cat"),))
    data, config = Data(forget=request.forget, retain=()), Config(strength=strength)
    return AblateUnlearner().unlearn(MODEL, request, data, config, RunContext(out_dir=folder))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_values_shrink_along_the_concept_and_nowhere_else(tmp_path: Path, strength: float) -> None:
    edit = unlearn(tmp_path, strength)
    values = [site for site in MODEL.sites() if site.role == "value"]
    assert edit.parameters() == tuple(sorted(f"unet.{site.parameter}" for site in values))
    for site in values:
        cat, empty = MODEL.encode(["cat", ""]).states[site.stream].double()[:, 1:]
        along = torch.nn.functional.normalize((cat - empty).mean(dim=0), dim=0)
        across = torch.linalg.qr(torch.stack([along, empty[0]], dim=1)).Q[:, 1]
        weight = MODEL.tensor(site.component, site.parameter)
        edited = (weight + edit.delta(f"unet.{site.parameter}", weight)).double()
        torch.testing.assert_close(edited @ along, (1 - strength) * weight.double() @ along, rtol=0, atol=1e-5)
        torch.testing.assert_close(edited @ across, weight.double() @ across, rtol=0, atol=1e-5)
