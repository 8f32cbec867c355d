"""The device under test, models on it, and a table of what was measured at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vu_diffusers.model import DiffusersModel

DEVICE_VARIABLE = "VU_GPU_DEVICE"
TITLE = "measured on the device"

_lines: list[str] = []

Measured = Callable[[str], None]
Load = Callable[..., "DiffusersModel"]


def asked_device() -> str:
    return os.environ.get(DEVICE_VARIABLE, "auto")


def pytest_collection_finish(session: pytest.Session) -> None:
    selected = any(item.get_closest_marker("gpu") for item in session.items)
    if not selected or session.config.option.collectonly or asked_device() != "auto":
        return
    from vu_core.planning import resolve_device

    if resolve_device("auto") == "cpu":
        # One reason in place of as many skipped tests.
        pytest.exit(f"NOTHING WAS TESTED: no accelerator. {DEVICE_VARIABLE}=cpu runs these tests on the CPU.", 0)


@pytest.fixture(scope="session")
def device() -> str:
    """The accelerator, or what ``$VU_GPU_DEVICE`` names: ``cpu`` shows that the tests themselves work."""
    from vu_core.planning import resolve_device

    return resolve_device(asked_device())


@pytest.fixture(scope="session")
def embedded() -> Load:
    """Return a function that loads the trained model: ``embedded("cuda", dtype="bfloat16")``."""
    from vu_diffusers.model import load

    from vu_core.models import resource_path

    folder = str(resource_path("vu_emoji:assets/pipeline"))
    return lambda device, dtype="float32": load(folder, device=device, dtype=dtype)


@pytest.fixture
def precise() -> Iterator[None]:
    """Compute float32 convolutions in float32: PyTorch's default on CUDA is TF32, with 10 bits of mantissa."""
    import torch

    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    yield
    convolutions.fp32_precision = before


@pytest.fixture(scope="session")
def measured() -> Measured:
    """Return a function that puts a line into the table at the end of the session."""
    return _lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _lines:
        terminalreporter.section(TITLE)
        for line in (machine(), *_lines):
            terminalreporter.line(line)


def machine() -> str:
    import torch
    import transformers

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"{name}; torch {torch.__version__}, transformers {transformers.__version__}"
