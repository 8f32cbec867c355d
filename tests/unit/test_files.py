"""A reader never sees half a file, and a full disk is one sentence."""

import errno
import hashlib
import os

import pytest

from vu_core.errors import RunError
from vu_core.files import atomic_path, disk_error, sha256_of_file, write_text


def test_text_is_written_with_its_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "λ.txt"
    write_text(path, "λ = 0.1\n")
    assert path.read_text(encoding="utf-8") == "λ = 0.1\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    write_text(tmp_path / "file", "text")
    (tmp_path / "plain").write_text("text")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_space_left(tmp_path, monkeypatch):
    path = tmp_path / "file"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError) as caught:
        write_text(path, "text")
    assert str(caught.value).startswith(f"no space left on the disk of '{tmp_path}'. Free some space ('vu cache clear'")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be written: .*Choose another folder with --out\."):
        write_text(tmp_path / "file" / "below", "text")


def test_other_errors_of_the_system_are_quoted(tmp_path):
    error = disk_error(tmp_path / "x", OSError(errno.EROFS, "Read-only file system"))
    assert error.message == f"'{tmp_path / 'x'}' cannot be written: Read-only file system"


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_a_writer_that_makes_the_file_anew_for_its_owner_alone_does_not_hide_it_from_others(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_path(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode
