from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from vu_uce.config import UceConfig
from vu_uce.unlearner import Uce

from vu_core.context import RunContext
from vu_core.interfaces import Data
from vu_core.testing.fake_models import FakeTextToImage
from vu_core.types import Concept, Request

NAMES = ("cat", "dog", "red fox", "house", "tree", "boat")


class Animals:
    """A dataset of free-text concepts with two prompts each."""

    def concepts(self):
        return [Concept(name=name) for name in NAMES] + [Concept(name=name, kind="style") for name in ("noto", "blob")]

    def neighbours(self, concept):
        return [other for other in self.concepts() if other.kind == concept.kind and other.name != concept.name]

    def prompts(self, concept):
        return [f"a {concept.text} here", f"one {concept.text}"]

    def split(self, request):
        named = {concept.name for concept in (*request.forget, *request.retain)}
        others = tuple(concept for concept in self.concepts() if concept.name not in named)
        return Data(forget=request.forget, retain=request.retain or others, dataset=self)


@pytest.fixture
def model():
    return FakeTextToImage(width=32, blocks=2)


@pytest.fixture
def dataset():
    return Animals()


@pytest.fixture
def unlearn(tmp_path, dataset):
    """Unlearn concepts given by name; collects warnings in ``unlearn.warnings``."""

    def run(model, *forget, retain=(), replace_with=(), data=dataset, **options):
        request = Request(forget=_concepts(forget), retain=_concepts(retain), replace_with=_concepts(replace_with))
        ctx = RunContext(out_dir=tmp_path)
        split = data.split(request) if data else Data(forget=request.forget, retain=request.retain)
        edit = Uce().unlearn(model, request, split, UceConfig(**options), ctx)
        run.warnings = ctx.warnings
        return edit

    return run


@pytest.fixture
def outputs():
    """Every layer's outputs for some prompts: (N, L, sum of outputs)."""

    def compute(model, prompts):
        with torch.no_grad():
            return model.component("unet")(model.encode(prompts).states)

    return compute


def _concepts(names):
    return tuple(name if isinstance(name, Concept) else Concept(name=name) for name in names)
