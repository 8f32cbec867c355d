"""Messages say what is wrong and what to do."""

import pytest

from vu_core import errors
from vu_core.errors import ComputeError, VuError, did_you_mean


@pytest.mark.parametrize(
    ("message", "hint", "text"),
    [
        ("it is wrong", "", "it is wrong"),
        ("it is wrong", "Do this.", "it is wrong. Do this."),
        ("It is wrong.", "Do this.", "It is wrong. Do this."),
        ("It is wrong. Is that meant?", "Do this.", "It is wrong. Is that meant? Do this."),
    ],
)
def test_text(message, hint, text):
    error = VuError(message, hint=hint)
    assert str(error) == text
    assert (error.message, error.hint) == (message, hint)


def test_bad_input_exits_with_2_and_failed_work_with_1():
    children = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, VuError)]
    assert {cls.exit_code for cls in children if cls is not ComputeError} == {2}
    assert ComputeError.exit_code == 1


@pytest.mark.parametrize(
    ("given", "known", "answer"),
    [
        ("ucee", ["fade", "uce"], "Did you mean 'uce'?"),
        ("UCE", ["fade", "uce"], "Did you mean 'uce'?"),
        ("van gogh", ["Van Gogh"], "Did you mean 'Van Gogh'?"),
        ("zebra", ["fade", "uce"], ""),
        ("x", [], ""),
    ],
)
def test_did_you_mean(given, known, answer):
    assert did_you_mean(given, known) == answer
    assert did_you_mean(given, iter(known)) == answer
