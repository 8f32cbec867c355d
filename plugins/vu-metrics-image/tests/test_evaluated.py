"""The metrics as a run uses them: judged, fed, paired, named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from vu_metrics_image import classification, harmonic, similarity
from vu_metrics_image.plugin import vu_metrics

from vu_core import Classes, Concept, Request, RunContext, Sample
from vu_core.evaluation import evaluate
from vu_core.meters import MetricUse
from vu_core.types import Result

OBJECTS, STYLES = ("cat", "dog", "bus", "pear"), ("noto", "blob", "mono")
TARGETS = {**vars(classification), **vars(harmonic), **vars(similarity)}
REQUEST = Request(forget=(Concept(name="cat"),))
NEIGHBOURS = (Concept(name="dog"),)


class Codes:
    """A judge that reads the class of a picture from the level of one channel."""

    version = "1"

    def __init__(self, names: Sequence[str], channel: int) -> None:
        self.name, self._names, self._channel = f"codes-{channel}", (*names, "other"), channel

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> Classes:
        codes = images[:, self._channel, 0, 0].long()
        return Classes(names=self._names, probabilities=torch.eye(len(self._names))[codes])


class Half:
    name, version = "half", "1"

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        return torch.full((len(images),), 0.5)


SAMPLES = [
    Sample(
        id=f"{thing}-{style}-{seed}",
        prompt=f"{style} {thing}",
        seed=seed,
        attributes={"object": thing, "style": style},
        cluster=f"{thing}-{style}",
    )
    for thing in OBJECTS
    for style in STYLES
    for seed in range(2)
]


def drawn(sample: Sample, *, cats_as: int) -> torch.Tensor:
    code = OBJECTS.index(sample.attributes["object"])
    picture = torch.zeros((3, 2, 2), dtype=torch.uint8)
    picture[0] = cats_as if code == 0 else code
    picture[1] = STYLES.index(sample.attributes["style"])
    return picture


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    uses = [
        MetricUse(
            spec=spec,
            load=partial(TARGETS.__getitem__, spec.target.partition(":")[2]),
            request=REQUEST,
            neighbours=NEIGHBOURS,
        )
        for spec in vu_metrics()
        if spec.target.partition(":")[2] in TARGETS
    ]
    found, errors = evaluate(
        lambda sample: drawn(sample, cats_as=0),
        lambda sample: drawn(sample, cats_as=1 if sample.seed else 4),
        SAMPLES,
        uses,
        {"object": Codes(OBJECTS, 0), "style": Codes(STYLES, 1), "clip": Half()},
        RunContext(out_dir=tmp_path_factory.mktemp("run")),
        batch_size=5,
    )
    assert errors == []
    return {(result.metric, result.group): result for result in found}


@pytest.mark.parametrize(
    ("metric", "group", "before", "after"),
    [
        ("ua", "forget", 0, 100),
        ("ua", "cat", 0, 100),
        ("ua_recognised", "forget", 0, 50),
        ("unrecognised", "forget", 0, 50),
        ("unrecognised", "retain", 0, 0),
        ("ira", "retain", 100, 100),
        ("ira", "neighbours", 100, 100),
        ("ira", "dog", 100, 100),
        ("cra", "retain", 100, 100),
        ("cra", "noto", 100, 100),
        ("clip_score[half,100*cos]", "retain", 50, 50),
        ("clip_cosine[half]", "retain", 0.5, 0.5),
        ("clip_score_25[half,2.5*max(cos,0)]", "forget", 1.25, 1.25),
        ("confidence", "forget", 100, 0),
        ("confidence", "retain", 100, 100),
        ("h_c", "all", 0, 100),
    ],
)
def test_values(results, metric, group, before, after):
    result = results[metric, group]
    assert (result.before, result.after, result.change) == (before, after, after - before)


def test_intervals_count_prompts_not_pictures(results):
    result = results["ua", "forget"]
    assert result.n == 6
    assert result.after_interval.low == pytest.approx(100 * 3 / (3 + 1.959964**2), abs=1e-3)
    assert 0 < result.interval.low < result.interval.high == 100
    assert result.p_value == 0.25


def test_which_way_is_better(results):
    score = "clip_score[half,100*cos]"
    assert results["ua", "forget"].direction == "up"
    assert results["unrecognised", "retain"].direction == "down"
    assert (results[score, "forget"].direction, results[score, "cat"].direction) == ("down", "down")
    assert results[score, "neighbours"].direction == "up"
    assert results["ira", "retain"].ideal == 100
