"""Libraries that load something, without their progress bars and advice."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Keep a library's progress bars and advice off the screen while something loads; errors still show.

    Args:
        library: ``"transformers"`` or ``"diffusers"``.
    """
    logger = logging.getLogger(library)
    bars = importlib.import_module(f"{library}.utils.logging")
    level, shown = logger.level, bars.is_progress_bar_enabled()
    try:
        logger.setLevel(logging.ERROR)
        bars.disable_progress_bar()
        yield
    finally:
        logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
