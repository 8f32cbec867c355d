"""What is logged while something trains: ``events.jsonl`` in its folder, a line a step."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

EVENTS_FILE = "events.jsonl"


def append_event(folder: Path, step: int, values: Mapping[str, float]) -> None:
    """Add a line with ``step``, the time in seconds since 1970 and ``values`` to the events in ``folder``.

    Raises:
        ValueError: A value is NaN or infinite.
        OSError: The file cannot be written.
    """
    line = json.dumps({"step": step, "time": time.time(), **values}, allow_nan=False)
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
