"""What is carried to a machine without a network is all that the project needs and such a machine lacks."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE = Path(__file__).parents[1] / "gpu" / "offline.py"


def test_every_dependency_is_carried_or_there():
    described = importlib.util.spec_from_file_location("offline", FILE)
    offline = importlib.util.module_from_spec(described)
    described.loader.exec_module(offline)
    at_hand = {*offline.WITH_NEEDS, *offline.ALONE, *offline.THERE}
    needed = {
        canonicalize_name(Requirement(text).name)
        for project in offline.PROJECTS
        for text in tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    ours = {canonicalize_name(project.name) for project in offline.PROJECTS} | {"vu-core"}
    assert {"accelerate", "diffusers"} <= needed
    assert needed - ours - at_hand == set()
