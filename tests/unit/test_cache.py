from __future__ import annotations

import json
import os

import pytest

from vu_core.cache import FOUND, ContentCache, cache_dir, key_sha256
from vu_core.errors import ConfigError


@pytest.fixture
def cache(tmp_path):
    return ContentCache(root=tmp_path / "images", limit_bytes=10_000)


def test_what_is_put_is_found_by_an_equal_key_only(cache):
    cache.put({"prompt": "a cat", "seed": 1}, b"picture")
    assert cache.get({"seed": 1, "prompt": "a cat"}) == b"picture"
    assert cache.get({"prompt": "a cat", "seed": 2}) is None


def test_the_key_lies_beside_the_picture(cache):
    path = cache.put({"seed": 1}, b"picture")
    assert json.loads(path.with_suffix(".json").read_text()) == {"seed": 1}


def test_a_key_that_json_cannot_hold_exactly_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        key_sha256({"guidance": float("nan")})


def test_size_counts_pictures_and_all_bytes_and_clear_empties(cache):
    assert cache.size() == (0, 0)
    for seed in range(3):
        cache.put({"seed": seed}, b"x" * 100)
    pictures, size = cache.size()
    assert pictures == 3 and size > 300
    assert cache.clear()[0] == 3
    assert cache.size()[0] == 0 and cache.get({"seed": 0}) is None


def test_trim_removes_the_least_recently_used(cache):
    for seed in range(4):
        path = cache.put({"seed": seed}, b"x" * 4_000)
        os.utime(path, (1_000 + seed, 1_000 + seed))
    cache.get({"seed": 0})
    assert cache.trim() == 2
    assert [seed for seed in range(4) if cache.get({"seed": seed})] == [0, 3]
    assert cache.trim() == 0


def test_a_file_that_another_process_removes_while_it_is_read_is_a_hit_or_a_miss(cache, monkeypatch):
    path = cache.put({"seed": 1}, b"picture")
    monkeypatch.setattr(os, "utime", lambda path: path.unlink() or path.stat())
    assert cache.get({"seed": 1}) == b"picture" and not path.exists()
    assert cache.get({"seed": 1}) is None


def test_two_processes_that_trim_at_once_remove_no_more_than_one_does(cache, monkeypatch):
    for seed in range(4):
        path = cache.put({"seed": seed}, b"x" * 4_000)
        os.utime(path, (1_000 + seed, 1_000 + seed))
    lock = ContentCache._lock

    def after_another(self):
        monkeypatch.setattr(ContentCache, "_lock", lock)
        self.trim()
        return lock(self)

    monkeypatch.setattr(ContentCache, "_lock", after_another)
    assert cache.trim() == 0
    assert [seed for seed in range(4) if cache.get({"seed": seed})] == [2, 3]


def test_trim_removes_what_metrics_found_out_too(cache):
    for seed in range(4):
        path = cache.put({"seed": seed}, b"x" * 4_000, FOUND)
        os.utime(path, (1_000 + seed, 1_000 + seed))
    assert cache.trim() == 2
    assert [seed for seed in range(4) if cache.get({"seed": seed}, FOUND)] == [2, 3]


def test_a_file_that_another_process_renames_meanwhile_is_passed_over(cache, monkeypatch):
    cache.put({"seed": 1}, b"x" * 9_000)
    kept = cache.put({"seed": 2}, b"x" * 9_000)
    written = kept.with_suffix(".part")
    written.write_bytes(b"x" * 9_000)
    look = type(written).stat

    def renamed_after_a_look(path, **options):
        found = look(path, **options)
        if path.suffix == ".part":
            path.unlink()
        return found

    monkeypatch.setattr(type(written), "stat", renamed_after_a_look)
    assert cache.size()[0] == 2 and not written.exists()
    written.write_bytes(b"x" * 9_000)
    assert cache.trim() == 1 and not written.exists()


def test_nothing_partial_stays_behind(cache):
    cache.put({"seed": 0}, b"x")
    assert not [path for path in cache.root.rglob("*") if path.name.endswith(".part")]


def test_the_environment_moves_and_limits_it(monkeypatch, tmp_path):
    monkeypatch.setenv("VU_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("VU_CACHE_LIMIT_GB", "0.5")
    assert cache_dir() == tmp_path
    assert ContentCache.of_user() == ContentCache(root=tmp_path / "images", limit_bytes=500_000_000)


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf", ""])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, given):
    monkeypatch.setenv("VU_CACHE_LIMIT_GB", given)
    with pytest.raises(ConfigError, match="VU_CACHE_LIMIT_GB"):
        ContentCache.of_user()
