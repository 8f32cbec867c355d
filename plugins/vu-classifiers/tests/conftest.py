"""Tiny classifiers on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from vu_classifiers.architectures import build
from vu_classifiers.description import COMPONENT, Description

CLASSES = ("cat", "dog", "fox")


def describe(**fields: object) -> Description:
    given = {"architecture": "mlp", "kind": "object", "classes": CLASSES, "picture_size": (8, 8)}
    return Description(**{**given, **fields})


@pytest.fixture
def folder(tmp_path) -> Callable[..., Path]:
    """Writes a classifier's folder with random weights and returns it."""

    def write(description: Description | None = None, *, recipe: dict | None = None) -> Path:
        description = description or describe()
        where = tmp_path / "model"
        (where / COMPONENT).mkdir(parents=True)
        description.write(where)
        network = build(description, 3, trusted=True)
        save_file(network.state_dict(), where / COMPONENT / "model.safetensors")
        if recipe is not None:
            (where / "vu_training.json").write_text(json.dumps({"recipe": recipe}))
        return where

    return write
