"""The event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from vu_tensorboard.tracker import TensorBoard

from vu_core import Findings, testing

FACTS = {"unlearner": "uce", "forget": "cat | dog", "option/steps": 3}


@testing.parametrize("vu-tensorboard")
def test_conformance(check: testing.Case) -> None:
    check()


@pytest.fixture
def events(tmp_path):
    """Return what TensorBoard reads of a run that was tracked from start to end."""
    picture = tmp_path / "contact-sheet.png"
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)).save(picture)
    edit = tmp_path / "edit.safetensors"
    edit.write_bytes(b"12345")
    tracker = TensorBoard()
    tracker.start(tmp_path, FACTS)
    for step in range(3):
        tracker.log(step, {"loss": 1 / (step + 1)})
    numbers = {"ua/forget/after": 100.0, "ua/forget/after_low": 61.0}
    tracker.finish(
        Findings(status="finished", numbers=numbers, pictures={"contact-sheet": picture}, files=[edit, picture])
    )
    found = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_losses_are_curves_and_numbers_stand_with_their_intervals(events):
    curve = [(event.step, event.value) for event in events.Scalars("log/loss")]
    assert [step for step, _ in curve] == [0, 1, 2]
    assert all(math.isclose(value, 1 / (step + 1), rel_tol=1e-6) for step, value in curve)
    assert [event.value for event in events.Scalars("ua/forget/after")] == [100.0]
    assert [event.value for event in events.Scalars("ua/forget/after_low")] == [61.0]


def test_pictures_are_kept_pixel_by_pixel(events):
    (event,) = events.Images("contact-sheet")
    with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
        assert np.array_equal(np.asarray(picture), np.arange(36, dtype=np.uint8).reshape(3, 4, 3))


def test_texts_say_what_was_asked_and_where_the_edit_lies(events):
    facts, files = (
        events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode() for name in ("facts", "files")
    )
    assert "| forget | cat \\| dog |" in facts and "| option/steps | 3 |" in facts
    assert "| status | finished |" in files and "| edit.safetensors | 5 bytes |" in files


def test_a_run_that_is_continued_adds_to_the_same_folder(tmp_path):
    for first in (0, 2):
        tracker = TensorBoard()
        tracker.start(tmp_path, FACTS)
        tracker.log(first, {"loss": 1.0})
        tracker.finish(Findings(status="interrupted", numbers={}, pictures={}, files=[]))
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert {event.step for event in found.Scalars("log/loss")} == {0, 2}
