"""The command line's reference page is what the command line says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_reference_page_is_up_to_date(tmp_path):
    made = tmp_path / "cli.md"
    command = ["typer", "vu_core.cli", "utils", "docs", "--name", "vu", "--title", "Command line", "--output", made]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    assert PAGE.read_text() == made.read_text(), f"write it again: {' '.join(map(str, [*command[:-1], PAGE]))}"
