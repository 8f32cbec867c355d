from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from vu_report_folders import make_run


@pytest.fixture
def run_folder(tmp_path) -> Path:
    return make_run(tmp_path / "runs" / "uce-cat")
