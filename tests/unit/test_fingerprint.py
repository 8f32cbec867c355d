"""Remembered file hashes: right, reused, and tolerant of a damaged or read-only memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from vu_core import fingerprint
from vu_core.fingerprint import files_sha256


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "file-hashes.json"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    paths: list[Path] = []
    real = fingerprint.sha256_of_file
    monkeypatch.setattr(fingerprint, "sha256_of_file", lambda path: paths.append(path) or real(path))
    return paths


def settled(path: Path, content: bytes, *, seconds: int = 1_000_000_000) -> Path:
    path.write_bytes(content)
    os.utime(path, (seconds, seconds))
    return path


def test_a_file_is_read_once(tmp_path: Path, memory: Path, read: list[Path]) -> None:
    file = settled(tmp_path / "a", b"weights")
    expected = {file: hashlib.sha256(b"weights").hexdigest()}
    assert files_sha256([file]) == files_sha256([file]) == expected
    assert read == [file]
    assert memory.is_file()


def test_a_changed_file_is_read_again(tmp_path: Path, memory: Path, read: list[Path]) -> None:
    file = settled(tmp_path / "a", b"weights")
    files_sha256([file])
    settled(file, b"WEIGHTS", seconds=1_000_000_001)
    assert files_sha256([file])[file] == hashlib.sha256(b"WEIGHTS").hexdigest()
    replacement = settled(tmp_path / "b", b"wEIGHTs", seconds=1_000_000_001)
    replacement.replace(file)
    assert files_sha256([file])[file] == hashlib.sha256(b"wEIGHTs").hexdigest()


def test_a_file_still_being_written_is_not_remembered(tmp_path: Path, memory: Path, read: list[Path]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"weights")
    files_sha256([file])
    files_sha256([file])
    assert len(read) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 1}'])
def test_a_damaged_memory_is_ignored(tmp_path: Path, memory: Path, damage: str) -> None:
    file = settled(tmp_path / "a", b"weights")
    memory.parent.mkdir(parents=True)
    memory.write_text(damage)
    assert files_sha256([file])[file] == hashlib.sha256(b"weights").hexdigest()


def test_a_cache_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "cache"
    blocker.touch()
    monkeypatch.setenv("VU_CACHE_DIR", str(blocker))
    file = settled(tmp_path / "a", b"weights")
    assert files_sha256([file])[file] == hashlib.sha256(b"weights").hexdigest()
