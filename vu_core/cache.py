"""A content-addressed store of pictures, answers and findings, shared by all runs of a user.

A file lies under the sha256 of the JSON that decides it (model, edits, prompt, seed, sampler,
versions), and that JSON lies beside it. Files appear by renaming and are read whole, so readers need
no lock; clearing and trimming take one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vu_core.errors import ConfigError
from vu_core.files import write_bytes, write_text

CACHE_DIR_VARIABLE = "VU_CACHE_DIR"
CACHE_LIMIT_VARIABLE = "VU_CACHE_LIMIT_GB"
DEFAULT_LIMIT_GB = 10.0
PICTURE, ANSWERS, FOUND = ".png", ".safetensors", ".found"

_KEY = ".json"


def cache_dir() -> Path:
    """Return the folder of all that vu caches: ``$VU_CACHE_DIR``, else the platform's cache folder."""
    given = os.environ.get(CACHE_DIR_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("vu")


def key_sha256(key: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of a key's canonical JSON."""
    return hashlib.sha256(_canonical(key).encode()).hexdigest()


@dataclass(frozen=True)
class ContentCache:
    """Pictures, classifiers' answers, and what metrics found out about models, by what decides them.

    Attributes:
        root: Folder of the store; made when first written to.
        limit_bytes: `trim` removes the least recently used files above it.

    Example:
        >>> cache = ContentCache.of_user()
        >>> cache.get({"prompt": "never drawn", "seed": 0}) is None
        True
    """

    root: Path
    limit_bytes: int

    @classmethod
    def of_user(cls) -> ContentCache:
        """Return the store in `cache_dir`, with the limit of ``$VU_CACHE_LIMIT_GB`` (default 10).

        Raises:
            ConfigError: The variable is not a number of at least 0.
        """
        given = os.environ.get(CACHE_LIMIT_VARIABLE, str(DEFAULT_LIMIT_GB))
        try:
            limit = float(given)
        except ValueError:
            limit = -1.0
        if not 0 <= limit < float("inf"):
            raise ConfigError(f"{CACHE_LIMIT_VARIABLE}={given!r} is not a size in GB, such as 10 or 0.5")
        return cls(root=cache_dir() / "images", limit_bytes=int(limit * 1e9))

    def get(self, key: Mapping[str, Any], suffix: str = PICTURE) -> bytes | None:
        """Return the content of the file that ``key`` decides, or None; a hit counts as a use."""
        path = self._path(key, suffix)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):  # Another process has just removed it, or another user owns it.
            os.utime(path)
        return content

    def put(self, key: Mapping[str, Any], content: bytes, suffix: str = PICTURE) -> Path:
        """Store ``content``, the bytes of a file such as a PNG, under ``key`` and return the file.

        Raises:
            RunError: The disk is full or the folder cannot be written.
        """
        path = self._path(key, suffix)
        write_text(path.with_suffix(_KEY), _canonical(key))
        write_bytes(path, content)
        return path

    def size(self) -> tuple[int, int]:
        """Return how many pictures there are, and the bytes of everything in the store."""
        found = [(path.suffix == PICTURE, there) for path in self.root.rglob("*") if (there := _stat(path))]
        return sum(picture for picture, _ in found), sum(there.st_size for _, there in found)

    def clear(self) -> tuple[int, int]:
        """Remove everything; return how many pictures and bytes there were."""
        before = self.size()
        if self.root.is_dir():
            with self._lock():
                for folder in self.root.iterdir():
                    if folder.is_dir():
                        shutil.rmtree(folder, ignore_errors=True)
        return before

    def trim(self) -> int:
        """Remove the least recently used files above the limit; return how many."""
        if self.size()[1] <= self.limit_bytes:
            return 0
        removed = 0
        with self._lock():
            # Anew: another process may have trimmed it while this one waited.
            _, total = self.size()
            kept = (path for suffix in (PICTURE, ANSWERS, FOUND) for path in self.root.rglob(f"*{suffix}"))
            for _, path in sorted((there.st_mtime_ns, path) for path in kept if (there := _stat(path))):
                if total <= self.limit_bytes:
                    break
                for file in (path, path.with_suffix(_KEY)):
                    total -= there.st_size if (there := _stat(file)) else 0
                    file.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, key: Mapping[str, Any], suffix: str) -> Path:
        sha = key_sha256(key)
        return self.root / sha[:2] / f"{sha}{suffix}"

    def _lock(self) -> Any:
        from filelock import FileLock

        return FileLock(self.root / ".lock")


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a file; None where there is none, or another process has just renamed or removed it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
