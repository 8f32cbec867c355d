"""Numbers held against those of retrained models, some of which may have none."""

from __future__ import annotations

import pytest

from vu_core.reference import NO_REFERENCE, with_reference
from vu_core.types import Measurement, Result


def result(direction="reference", note=""):
    return Result(metric="m", group="forget", before=0.0, after=4.0, change=4.0, n=3, direction=direction, note=note)


def retrained(*values):
    return [
        Measurement(group="forget", value=value, n=3, note="" if value is not None else ">= 9 steps")
        for value in values
    ]


def test_the_reference_is_the_mean_and_the_noise_the_distance_of_each_from_the_others():
    found = with_reference(result(), retrained(6.0, 8.0, 13.0))
    assert (found.reference, found.reference_n, found.gap, found.note) == (9.0, 3, -5.0, "")
    assert found.reference_noise == pytest.approx((4.5 + 1.5 + 6.0) / 3)


def test_retrained_models_without_a_number_are_left_out_and_named():
    found = with_reference(result(note="mine"), retrained(6.0, None, 8.0))
    assert (found.reference, found.reference_n) == (7.0, 2)
    assert found.note == "mine; 1 of 3 retrained models have no number (>= 9 steps)"


def test_without_any_number_there_is_no_reference_and_the_reason_is_said_once():
    assert with_reference(result(), []).note == NO_REFERENCE
    found = with_reference(result(), retrained(None, None))
    assert found.reference is None and found.note == "no reference: retrained models have no number (>= 9 steps)"
    same = with_reference(result(note=">= 9 steps"), retrained(None, None))
    assert same.note == ">= 9 steps; no reference: retrained models have no number"
    assert with_reference(result(direction="up"), retrained(None)).note == ""
