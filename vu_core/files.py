"""Where the user's data and others' files lie, and writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from vu_core.errors import RunError

DATA_DIR_VARIABLE = "VU_DATA_DIR"


def data_dir() -> Path:
    """Return the folder where data sets and prompt lists are looked for: ``$VU_DATA_DIR``, else the platform's."""
    given = os.environ.get(DATA_DIR_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("vu")


def refuse_file(folder: Path) -> None:
    """Refuse a file where a folder is to be.

    Raises:
        RunError: It is a file.
    """
    if folder.is_file():
        raise RunError(f"'{folder}' is a file", hint="Choose another folder with --out.")


def make_folder(folder: Path) -> None:
    """Make ``folder``, before the work whose results go there.

    Raises:
        RunError: It is a file, the disk is full, or its parent cannot be written.
    """
    refuse_file(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` that becomes ``path`` when the block succeeds.

    The file is flushed to disk and renamed over ``path``; when the block raises, it is removed and
    ``path`` is left as it was.

    Raises:
        RunError: The disk is full or the folder cannot be written.
    """
    temporary = _make_temporary(path)
    mode = temporary.stat().st_mode
    try:
        yield temporary
        # Some writers, safetensors among them, make the file anew for its owner alone.
        temporary.chmod(mode)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, atomically.

    Raises:
        RunError: The disk is full or the folder cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, atomically.

    Raises:
        RunError: The disk is full or the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def sha256_of_file(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def torch_checkpoint(name: str) -> Path:
    """Return where torch's hub keeps the published file ``name``, whether it is there or not.

    Example:
        >>> torch_checkpoint("alexnet-owt-7be5be79.pth").parent.name
        'checkpoints'
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints" / name


def disk_error(path: Path, error: OSError) -> RunError:
    """Return the error a user should see when ``path`` could not be written, or what goes into it is not there."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"no space left on the disk of '{path.parent}'",
            hint="Free some space ('vu cache clear' empties vu's own), then repeat the command with --resume.",
        )
    if error.errno == errno.ENOENT:
        return RunError(f"'{error.filename or path}' is not there", hint="Put it back, then repeat the command.")
    return RunError(f"'{path}' cannot be written: {error.strerror or error}", hint="Choose another folder with --out.")


def _make_temporary(path: Path) -> Path:
    # Not tempfile: its files are readable by their owner alone, and so would be the result.
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise disk_error(path, error) from error
    return temporary
