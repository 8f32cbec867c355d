"""TensorBoard's event files in a run's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from vu_core import Findings

FOLDER = "tensorboard"


class TensorBoard:
    """Writes a run down for ``tensorboard --logdir``: nothing leaves the run's folder."""

    def start(self, folder: Path, facts: Mapping[str, str | int | float | bool]) -> None:
        """Open the event file and write what was asked as a table."""
        self._writer = SummaryWriter(str(folder / FOLDER))
        self._writer.add_text("facts", _table(facts))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of a curve a value."""
        for name, value in values.items():
            self._writer.add_scalar(f"log/{name}", value, step)

    def finish(self, findings: Findings) -> None:
        """Write numbers and pictures, and say where the edit lies: TensorBoard keeps no files."""
        for name, number in findings.numbers.items():
            self._writer.add_scalar(name, number)
        for title, path in findings.pictures.items():
            with Image.open(path) as picture:
                self._writer.add_image(title, np.asarray(picture.convert("RGB")), dataformats="HWC")
        files = {path.name: f"{path.stat().st_size} bytes" for path in findings.files}
        self._writer.add_text("files", _table({"status": findings.status, **files}))
        self._writer.close()


def _table(rows: Mapping[str, object]) -> str:
    lines = (f"| {name} | {_plain(value)} |" for name, value in rows.items())
    return "\n".join(("| what | value |", "|---|---|", *lines))


def _plain(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
