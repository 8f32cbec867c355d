"""Execute the notebooks in a new folder, several at a time, and write them there with their output, as ``.ipynb``.

Cells that need a hub are left out. An error or a warning in any other one is a failure. What the notebooks write lies
beside them, and pictures that one has drawn another takes from the cache.

    python notebooks/execute.py OUT [NAME...]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SOURCES = Path(__file__).parent
NEEDS_A_HUB = "needs-a-hub"
_LONGEST = 3600  # seconds of a cell, on a busy machine
_AT_ONCE = min(os.cpu_count() or 1, 4)
# Deprecations are other libraries' business here: the tests look at them.
_WARNINGS = "error,ignore::DeprecationWarning,ignore::PendingDeprecationWarning"


def notebooks(*names: str) -> list[Path]:
    """Return the notebooks' sources in their order, or those whose file's name without its end is in ``names``."""
    found = sorted(SOURCES.glob("[0-9]*.py"))
    unknown = set(names) - {path.stem for path in found}
    if unknown:
        there = ", ".join(path.stem for path in found)
        raise SystemExit(f"no such notebook: {', '.join(sorted(unknown))}; there are {there}")
    return [path for path in found if not names or path.stem in names]


def execute(source: Path, folder: Path) -> str:
    """Execute a notebook in ``folder`` and write it there, also when it fails.

    Returns:
        What it took: of processors, where the system tells, and of the clock.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised or warned; the message holds it and its traceback.
    """
    notebook = jupytext.read(source)
    client = NotebookClient(
        notebook,
        timeout=_LONGEST,
        kernel_name="python3",
        skip_cells_with_tag=NEEDS_A_HUB,
        resources={"metadata": {"path": str(folder)}},
    )
    before, start = os.times(), time.perf_counter()
    try:
        client.execute()
    finally:
        nbformat.write(notebook, folder / f"{source.stem}.ipynb")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{source.stem:<24} {cpu:6.1f} s of processors, {time.perf_counter() - start:6.1f} s"


def main(out: str, *names: str) -> None:
    """Execute the notebooks, each in a process of its own, and print what each took."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = notebooks(*names)
    with ProcessPoolExecutor(_AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(execute, source, folder) for source in wanted]):
            print(done.result(), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    os.environ |= {"PYTHONWARNINGS": _WARNINGS, "OMP_NUM_THREADS": "1"}
    main(*sys.argv[1:])
