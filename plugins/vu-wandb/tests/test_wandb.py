"""W&B's offline mode, written for real by its own process and read back from the run's file."""

from __future__ import annotations

import json
import struct
import time

import pytest
from PIL import Image
from vu_wandb.tracker import Wandb
from wandb.proto import wandb_internal_pb2

from vu_core import Findings, testing


@testing.parametrize("vu-wandb")
def test_conformance(check: testing.Case) -> None:
    check()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Return what the file of an offline run holds, record by record."""
    root = tmp_path_factory.mktemp("wandb")
    folder = root / "uce-cat"
    folder.mkdir()
    Image.new("RGB", (4, 4), "red").save(folder / "contact-sheet.png")
    (folder / "edit.safetensors").write_bytes(b"12345")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(root), "WANDB_DATA_DIR": str(root)}.items():
            patch.setenv(name, value)
        patch.setenv("WANDB_CACHE_DIR", str(root / "cache"))
        patch.setenv("WANDB_CONFIG_DIR", str(root / "config"))
        patch.delenv("WANDB_PROJECT", raising=False)
        tracker = Wandb()
        tracker.start(folder, {"unlearner": "uce", "option/steps": 3})
        for step in (0, 1, 1):
            tracker.log(step, {"loss": 1.0 - step})
        numbers = {"ua/forget/after": 100.0, "ua/forget/after_low": 61.0}
        pictures = {"contact-sheet": folder / "contact-sheet.png"}
        files = [folder / "edit.safetensors"]
        tracker.finish(Findings(status="finished", numbers=numbers, pictures=pictures, files=files))
    (file,) = root.glob("wandb/offline-run-*/run-*.wandb")
    # W&B's own process may still be writing when finish() returns.
    limit = time.monotonic() + 60
    while not of_type(found := list(_read(file)), "exit") and time.monotonic() < limit:
        time.sleep(0.1)
    return found


def _read(file):
    """Yield the records of a run's file: blocks of 32 KiB, as LevelDB's logs have them, after a head of 7 bytes."""
    content, position, message = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while position + 7 <= len(content):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        _crc, size, kind = struct.unpack_from("<IHB", content, position)
        if position + 7 + size > len(content):
            return
        message += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            yield record
            message = b""


def of_type(records, kind):
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def _items(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_the_run_is_named_after_its_folder_and_holds_what_was_asked(records):
    run = of_type(records, "run")[0]
    assert (run.project, run.display_name) == ("vu", "uce-cat")
    config = _items(run.config.update)
    assert (config["unlearner"], config["option/steps"]) == ("uce", 3)


def test_losses_are_a_history_also_where_a_step_is_repeated(records):
    rows = [_items(row.item) for row in of_type(records, "history")]
    curve = [(row["log/step"], row["log/loss"]) for row in rows if "log/loss" in row]
    assert curve == [(0, 1.0), (1, 0.0), (1, 0.0)]


def test_numbers_with_their_intervals_are_the_summary(records):
    summary: dict = {}
    for update in of_type(records, "summary"):
        summary |= _items(update.update)
    assert (summary["ua/forget/after"], summary["ua/forget/after_low"]) == (100.0, 61.0)
    assert summary["status"] == "finished"


def test_pictures_are_media(records):
    rows = [_items(row.item) for row in of_type(records, "history")]
    (sheet,) = [row for row in rows if "contact-sheet/_type" in row]
    found = [sheet[f"contact-sheet/{key}"] for key in ("_type", "width", "height")]
    assert found == ["image-file", 4, 4]


def test_the_edit_is_an_artifact(records):
    found = [record.request.log_artifact.artifact for record in records if record.request.HasField("log_artifact")]
    found += of_type(records, "artifact")
    (artifact,) = [one for one in found if one.type == "vu-run"]
    assert [(entry.path, entry.size) for entry in artifact.manifest.contents] == [("edit.safetensors", 5)]


def test_it_ended_well_and_nothing_of_screen_and_machine_was_kept(records):
    assert [done.exit_code for done in of_type(records, "exit")] == [0]
    assert of_type(records, "output_raw") == [] and of_type(records, "stats") == []
