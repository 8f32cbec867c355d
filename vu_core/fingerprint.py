"""Hashes of files, remembered by path, size, time and inode: a 4 GB model is hashed once, not at every run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from vu_core.cache import cache_dir
from vu_core.errors import RunError
from vu_core.files import sha256_of_file, write_text

_FILE = "file-hashes.json"
_LIMIT = 10_000
# A file that changed this recently may change again without its time of change moving on.
_SETTLED_NS = 2_000_000_000


def files_sha256(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the sha256 (hex) of each file's bytes, reading only those not hashed before.

    A file counts as unchanged while its absolute path, size, time of change and inode stay the same.
    Hashes are remembered in vu's cache folder; where that cannot be written, files are read each time.

    Raises:
        OSError: A file cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "empty"
        >>> file.touch()
        >>> files_sha256([file])[file][:8]
        'e3b0c442'
    """
    memory = cache_dir() / _FILE
    known = _read(memory)
    found, fresh = {}, {}
    for path in paths:
        stat = path.stat()
        # Not resolved: hub snapshots are links, and the stat already follows them.
        key = f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
        found[path] = known.get(key) or sha256_of_file(path)
        if key not in known and time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
            fresh[key] = found[path]
    if fresh:
        _write(memory, {**known, **fresh})
    return found


def _read(memory: Path) -> dict[str, str]:
    """Return the remembered hashes; a damaged file is as good as none."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: sha for key, sha in content.items() if isinstance(sha, str) and len(sha) == 64}


def _write(memory: Path, hashes: dict[str, str]) -> None:
    newest = dict(list(hashes.items())[-_LIMIT:])
    try:
        write_text(memory, json.dumps(newest, indent=0))
    except RunError:
        return
