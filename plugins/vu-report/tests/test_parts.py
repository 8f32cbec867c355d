"""Numbers, thumbnails and curves by themselves."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image
from vu_report import facts
from vu_report.galleries import Source, evenly, galleries
from vu_report.numbers import meaning_of, rows_of, signed, span
from vu_report.pictures import TOTAL_BYTES, Thumbnails
from vu_report_folders import make_run, result

from vu_core.records import read_record
from vu_core.types import Interval


def decoded(thumbnail):
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2])))


def test_small_pictures_stay_as_they_are(tmp_path):
    picture = Image.effect_noise((24, 24), 80).convert("RGB")
    picture.save(tmp_path / "a.png")
    thumbnail = Thumbnails(10).of(tmp_path / "a.png")
    assert decoded(thumbnail).convert("RGB").tobytes() == picture.tobytes()


@pytest.mark.parametrize("side", [64, 300, 700])
@pytest.mark.parametrize("count", [2, 500])
def test_even_noise_keeps_to_its_share(tmp_path, side, count):
    Image.effect_noise((side, side), 120).convert("RGB").save(tmp_path / "a.png")
    thumbnail = Thumbnails(count).of(tmp_path / "a.png")
    assert len(base64.b64decode(thumbnail.uri.partition(",")[2])) <= TOTAL_BYTES // count
    assert decoded(thumbnail).size == (thumbnail.width, thumbnail.height)
    assert thumbnail.width <= 512 and (count == 500 or thumbnail.width == min(side, 512))


def test_a_wide_picture_keeps_its_shape(tmp_path):
    Image.new("RGB", (1024, 256)).save(tmp_path / "a.png")
    thumbnail = Thumbnails(4).of(tmp_path / "a.png")
    assert (thumbnail.width, thumbnail.height) == (512, 128)


def test_a_picture_that_is_none(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    assert Thumbnails(1).of(tmp_path / "a.png") is None
    assert Thumbnails(1).of(tmp_path / "b.png") is None


@pytest.mark.parametrize(
    ("one", "meaning"),
    [
        (result(), "better"),
        (result(direction="down"), "worse"),
        (result(span=(-1, 5)), "within noise"),
        (result(span=None), ""),
        (result(direction="none"), ""),
        (result(direction="reference"), ""),
        (result(direction="reference", reference=90.0), "better"),
        (result(direction="reference", reference=90.0, gap=10.0, reference_noise=11.0), "as retrained"),
        (result(direction="reference", reference=90.0, gap=10.0, reference_noise=9.0), "better"),
        (result(direction="reference", reference=10.0), "worse"),
    ],
)
def test_what_a_change_means(one, meaning):
    assert meaning_of(one) == meaning


def test_numbers_have_real_minus_signs():
    assert (signed(-2.04), signed(0.0), signed(None)) == ("\N{MINUS SIGN}2.0", "+0.0", "–")
    assert span(Interval(low=-3.0, high=4.0), sign=True) == "\N{MINUS SIGN}3.0 to +4.0"


def test_a_number_that_compares_with_before_has_the_interval_of_its_value():
    own = Interval(low=20.0, high=30.0)
    (row,) = rows_of([result("psnr", "retain", None, 25.0, unit="dB", after_interval=own)], {"psnr": "Likeness."})
    assert (row.after, row.change, row.interval, row.unit, row.help) == ("25.0", "–", "20.0 to 30.0", "dB", "Likeness.")
    assert row.scale is None


def test_what_is_shown_is_spread_evenly():
    assert evenly(range(10), 3) == [0, 3, 6] and evenly([1, 2], 5) == [1, 2]


def test_what_was_to_be_forgotten_is_shown_first_and_something_of_each(tmp_path):
    folder = make_run(tmp_path / "run", names=("cat",) * 30 + ("dog",) * 30 + ("car",) * 30, side=4)
    found = galleries([Source(label="after", folder=folder)], ["cat"], ["dog"], limit=60)
    assert [(g.group, len(g.figures), g.total) for g in found] == [
        ("forget", 24, 30),
        ("neighbours", 3, 30),
        ("retain", 3, 30),
    ]


def test_a_step_logged_twice_counts_once(tmp_path):
    events = [{"step": 1, "loss": 5.0}, {"step": 2, "loss": 4.0}, {"step": 1, "loss": 3.0}, {"step": "x"}, []]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert facts.series(tmp_path) == {"loss": [(1, 3.0), (2, 4.0)]}


def test_attempts_that_were_interrupted_are_counted(tmp_path):
    record = read_record(make_run(tmp_path / "run"))
    record.resumed = list(record.stages)
    assert [t.detail for t in facts.timings(record)] == ["an earlier attempt", "an earlier attempt", "", ""]
    assert facts.total_seconds(record) == "6.0 s"


@pytest.mark.parametrize(("seconds", "text"), [(3.21, "3.2 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")])
def test_durations(seconds, text):
    assert facts.duration(seconds) == text
