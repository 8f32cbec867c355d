from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from vu_core.context import RunContext
from vu_core.interfaces import Data, Picture
from vu_core.testing.pipelines import build_pipeline
from vu_core.types import Concept, Request

NAMES = ("cat", "dog", "fish", "horse")


class Animals:
    """A dataset with three pictures of each concept, 16 x 16 pixels of noise that the concept tints."""

    def concepts(self):
        return [Concept(name=name) for name in NAMES]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other.name != concept.name]

    def prompts(self, concept):
        return [f"a photo of a {concept.text}"]

    def split(self, request):
        named = {concept.name for concept in request.forget}
        others = tuple(concept for concept in self.concepts() if concept.name not in named)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)

    def pictures(self, split):
        return [
            Picture(
                id=f"{split}-{name}-{number}",
                caption=f"a {wording} of a {name}",
                attributes={"object": name},
                load=lambda name=name, number=number: pixels(name, number),
            )
            for name in NAMES
            for number, wording in enumerate(("photo", "picture", "drawing"))
        ]


def pixels(name, number):
    generator = torch.Generator().manual_seed(number)
    noise = torch.randint(0, 128, (3, 16, 16), generator=generator)
    return (noise + 32 * NAMES.index(name)).to(torch.uint8)


@pytest.fixture(scope="session")
def pipes():
    return {family: build_pipeline(family=family) for family in ("sd1", "sd2", "sdxl")}


@pytest.fixture(params=["sd1", "sd2", "sdxl"])
def family(request):
    return request.param


@pytest.fixture
def model_of(pipes):
    def make(family="sd1"):
        return pytest.importorskip("vu_diffusers.model").adopt(pipes[family])

    return make


@pytest.fixture
def dataset():
    return Animals()


@pytest.fixture
def unlearn(tmp_path, dataset):
    """Unlearn concepts given by name; collects warnings in ``unlearn.warnings``."""

    def run(unlearner, config, model, *forget, replace_with=(), retain=(), out="run", seed=0, data=dataset):
        request = Request(forget=concepts(forget), replace_with=concepts(replace_with), retain=concepts(retain))
        ctx = RunContext(out_dir=tmp_path / out, seed=seed)
        split = data.split(request) if data else Data(forget=request.forget, retain=request.retain)
        edit = unlearner.unlearn(model, request, split, config, ctx)
        run.warnings = ctx.warnings
        return edit

    return run


def concepts(names):
    return tuple(name if isinstance(name, Concept) else Concept(name=name) for name in names)
