"""Plain data checks itself."""

import math

import pytest

from vu_core.errors import RequestError
from vu_core.types import Concept, Measurement, Request, Sample, Site

CAT, DOG, BEAR = (Concept(name=name) for name in ("cat", "dog", "bear"))
VAN_GOGH = Concept(name="van-gogh", kind="style", text="Van Gogh")


def test_a_concept_is_called_by_its_name_unless_it_has_a_text():
    assert CAT.text == "cat"
    assert VAN_GOGH.text == "Van Gogh"


@pytest.mark.parametrize("name", ["", "  "])
def test_a_concept_needs_a_name(name):
    with pytest.raises(RequestError, match="a concept needs a name"):
        Concept(name=name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"forget": (CAT, CAT)}, "forget names 'cat' more than once. Name each concept once."),
        (
            {"forget": (CAT, DOG), "retain": (DOG, CAT)},
            "'cat', 'dog' cannot be both forgotten and retained. Remove it from --forget or --retain.",
        ),
        (
            {"forget": (CAT,), "replace_with": (DOG, BEAR)},
            "2 replacements were given, and 1 to forget. Give none, one for all, or one for each, in the same order.",
        ),
        ({"forget": (CAT, DOG), "replace_with": (DOG,)}, "'dog' cannot replace a concept while being forgotten itself"),
    ],
)
def test_requests_that_contradict_themselves(fields, message):
    with pytest.raises(RequestError) as caught:
        Request(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("replace_with", "expected"), [((), [None, None]), ((BEAR,), [BEAR, BEAR]), ((BEAR, VAN_GOGH), [BEAR, VAN_GOGH])]
)
def test_replacements(replace_with, expected):
    request = Request(forget=(CAT, DOG), replace_with=replace_with)
    assert [request.replacement(index) for index in range(2)] == expected


def test_a_sample_knows_what_it_shows():
    sample = Sample(id="a", prompt="a cat by Van Gogh", seed=0, attributes={"object": "cat", "style": "van-gogh"})
    assert sample.shows(CAT)
    assert sample.shows(VAN_GOGH)
    assert not sample.shows(DOG)
    assert not sample.shows(Concept(name="cat", kind="style"))
    assert sample.group(Request(forget=(DOG, VAN_GOGH))) == "forget"
    assert sample.group(Request(forget=(DOG,))) == "retain"


def test_a_site_names_its_weight():
    site = Site(component="unet", path="mid.attn2.to_k", role="key", stream="clip", shape=(320, 768))
    assert site.parameter == "mid.attn2.to_k.weight"


def test_a_measurement_is_never_nan():
    assert Measurement(group="forget", value=None, n=0, note="no pictures").value is None
    with pytest.raises(ValueError, match="the value of group 'forget' is NaN"):
        Measurement(group="forget", value=math.nan, n=3)
