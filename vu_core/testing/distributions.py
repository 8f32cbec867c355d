"""Fake distributions on disk, and an environment that holds them and no other plugin."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import importlib_metadata

from vu_core.discovery import GROUP, OFF_VARIABLE

FIELDS: Mapping[str, str] = {
    "Summary": "A plugin made for a test.",
    "License-Expression": "Apache-2.0",
    "Requires-Python": ">=3.11",
}
"""What `make_dist` writes into the metadata unless told otherwise."""

REQUIRES = ("vu-core>=0.1,<0.2",)


def make_dist(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    *,
    entry_points: Sequence[str] | None = None,
    requires: Sequence[str] = REQUIRES,
    fields: Mapping[str, str] = FIELDS,
    listed: Sequence[str] | None = None,
) -> Path:
    """Write an installed distribution, as pip leaves it behind, into ``folder`` and return ``folder``.

    Args:
        folder: Made if need be; put it on ``sys.path``, or give it to `isolated_plugins`.
        name: Of the distribution: ``"vu-noise"``.
        files: Texts by path: ``{"vu_noise/plugin.py": "..."}``.
        entry_points: Modules named in the group of vu; ``<package>.plugin`` when None.
        requires: Requirements.
        fields: Metadata besides name and version.
        listed: The files that the wheel brought; all when None.

    Example:
        >>> import tempfile
        >>> light = "from vu_core import hookimpl; vu_metrics = hookimpl(lambda: (), specname='vu_metrics')"
        >>> folder = make_dist(Path(tempfile.mkdtemp()), "vu-noise", {"vu_noise/plugin.py": light})
        >>> with isolated_plugins(folder):
        ...     from vu_core.discovery import discover
        ...     [record.name for record in discover().records]
        ['vu-noise']
    """
    package = name.replace("-", "_")
    points = [f"{package}.plugin"] if entry_points is None else entry_points
    info = f"{package}-1.0.dist-info"
    metadata = {"Metadata-Version": "2.4", "Name": name, "Version": "1.0", **fields}
    lines = [f"{key}: {value}" for key, value in metadata.items()]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    named = [f"{name.removeprefix('vu-')}{i or ''} = {module}" for i, module in enumerate(points)]
    record = [*(files if listed is None else listed), f"{info}/METADATA"]
    written = {
        **files,
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/entry_points.txt": "\n".join([f"[{GROUP}]", *named]) + "\n",
        f"{info}/RECORD": "".join(f"{path},,\n" for path in record),
    }
    for path, text in written.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def isolated_plugins(*folders: Path) -> Iterator[None]:
    """Make the plugins in ``folders`` the only ones there are for the length of a ``with`` block.

    Nothing that is installed is discovered meanwhile. What was imported from ``folders`` is forgotten at
    the end, and modules of the same names that were imported before are put back.

    Args:
        folders: As `make_dist` writes them; none leaves no plugin at all.
    """
    hidden = {name: sys.modules.pop(name) for name in _imported(folders)}
    path, find_all, off = list(sys.path), importlib_metadata.distributions, os.environ.pop(OFF_VARIABLE, None)
    sys.path[:0] = map(str, folders)
    importlib.invalidate_caches()
    found = partial(find_all, path=[str(folder) for folder in folders])
    try:
        importlib_metadata.distributions = found
        yield
    finally:
        importlib_metadata.distributions = find_all
        sys.path[:] = path
        if off is not None:
            os.environ[OFF_VARIABLE] = off
        for name in _imported(folders):
            del sys.modules[name]
        sys.modules.update(hidden)


def _imported(folders: Sequence[Path]) -> list[str]:
    """Return the names of imported modules that ``folders`` provide, or would provide."""
    provided = {path.stem for folder in folders for path in folder.iterdir()}
    return [name for name in sys.modules if name.partition(".")[0] in provided]
