"""What specs accept, and what they say is wrong."""

from dataclasses import FrozenInstanceError

import pytest

from vu_core.specs import (
    KINDS,
    SPEC_TYPES,
    CommandSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ProtocolSpec,
    ScorerSpec,
    TrackerSpec,
    UnlearnerSpec,
)

COMMON = {"name": "x", "summary": "Does something.", "target": "package.module:Attribute"}
VALID = [
    UnlearnerSpec(**COMMON),
    MetricSpec(**COMMON, direction="up", unit="%"),
    DatasetSpec(**COMMON),
    ModelSpec(**COMMON, marker="model_index.json"),
    ModelSpec(name="x", summary="Does something.", folder="package:model"),
    ScorerSpec(**COMMON, outputs="classes", role="object"),
    ProtocolSpec(name="x@1", summary="Does something.", file="package:protocols/x.toml"),
    TrackerSpec(**COMMON),
    CommandSpec(**COMMON),
]


@pytest.mark.parametrize("spec", VALID, ids=lambda spec: spec.kind)
def test_valid_specs_have_no_problems(spec):
    assert spec.problems() == []


def test_kinds_are_words_for_the_spec_types():
    assert tuple(KINDS.values()) == SPEC_TYPES
    assert list(KINDS) == ["unlearner", "metric", "dataset", "model", "scorer", "protocol", "tracker", "command"]


def test_specs_are_frozen_keyword_only_and_default_to_the_first_api():
    spec = UnlearnerSpec(**COMMON)
    assert spec.api == 1
    with pytest.raises(FrozenInstanceError):
        spec.name = "y"
    with pytest.raises(TypeError):
        UnlearnerSpec("x", "Does something.")


@pytest.mark.parametrize("name", ["", "Uce", "two words", "-x", "x-", "x@", 3, None])
def test_bad_names(name):
    (problem,) = UnlearnerSpec(**{**COMMON, "name": name}).problems()
    assert problem == f"name {name!r} is not lower-case words joined by '-'"


@pytest.mark.parametrize("name", ["uce", "ua_recognised", "clip-score", "sd-1.4", "x@2"])
def test_good_names(name):
    assert UnlearnerSpec(**{**COMMON, "name": name}).problems() == []


@pytest.mark.parametrize("summary", ["", "two\nlines", "x" * 101, None])
def test_bad_summaries(summary):
    assert UnlearnerSpec(**{**COMMON, "summary": summary}).problems() == [
        "summary must be one line of 1 to 100 characters"
    ]


@pytest.mark.parametrize("target", ["", "module", "module:", ":x", "a b:c", "m:x.y", None])
def test_bad_targets(target):
    assert UnlearnerSpec(**{**COMMON, "target": target}).problems() == [f"target {target!r} is not 'module:attribute'"]


@pytest.mark.parametrize("api", [0, -1, "1", None])
def test_bad_api(api):
    assert UnlearnerSpec(**COMMON, api=api).problems() == [f"api {api!r} is not a positive integer"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"target": "m:x", "marker": "f", "folder": "p:m"}, "a model has either a folder or a target, not both"),
        ({"folder": "nowhere"}, "folder 'nowhere' is not 'package:path'"),
        ({"target": "m:x"}, "a loader needs a marker, the file that identifies its folders"),
        ({}, "target '' is not 'module:attribute'"),
        ({"target": "m:x", "marker": "f", "adopts": ("m.X",)}, "adopts and adopter come together"),
        ({"target": "m:x", "marker": "f", "adopter": "m:f"}, "adopts and adopter come together"),
        ({"target": "m:x", "marker": "f", "adopts": ("m.X",), "adopter": "m"}, "adopter 'm' is not 'module:attribute'"),
    ],
)
def test_bad_models(fields, problem):
    assert any(found.startswith(problem) for found in ModelSpec(name="x", summary="A model.", **fields).problems())


def test_bad_protocols():
    problems = ProtocolSpec(name="x", summary="A protocol.", file="x.toml").problems()
    assert problems == ["file 'x.toml' is not 'package:path'", "protocol name 'x' has no version, as in 'name@1'"]


def test_a_metric_that_examines_models_is_held_against_retrained_ones_or_nothing():
    def problems(compares):
        return MetricSpec(
            **COMMON, direction="up", unit="", scorers=("model",), examines="relearning", compares=compares
        ).problems()

    assert problems("") == problems("retrained") == []
    assert problems("before") == ["a metric that examines models compares with nothing or 'retrained', not 'before'"]
