"""Checks of datasets, scorers and protocols: each passes a good one and fails a bad one, saying why."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from vu_core import Classes, Concept, Data, DatasetSpec, Detections, ScorerSpec
from vu_core.testing import CheckError, Component, FakeDataset, isolated_plugins, load_plugin, make_dist
from vu_core.testing.checks import datasets, protocols, scorers
from vu_core.testing.checks.spec import check_target

PLUGINS = Path(__file__).parents[1] / "data" / "plugins"


def failed(check: Any, bad: Component) -> str:
    with pytest.raises(CheckError) as raised:
        check(bad)
    assert raised.value.fix
    return raised.value.problem


class Repeating(FakeDataset):
    def concepts(self):
        return [*super().concepts(), Concept(name="cat", kind="style")]


@dataclass(frozen=True)
class Options:
    root: str = field(default="", metadata={"help": "Where they are.", "example": "words"})


class Optioned(FakeDataset):
    seen: ClassVar[list[Options]] = []

    def __init__(self, config, download):
        self.seen.append(config)


class Empty(FakeDataset):
    def concepts(self):
        return []


class Selfish(FakeDataset):
    def neighbours(self, concept):
        return [concept, *super().neighbours(concept)]


class Hiding(FakeDataset):
    def prompts(self, concept):
        return ["something"]


class Uneven(FakeDataset):
    def prompts(self, concept):
        return super().prompts(concept)[: 2 if concept.name == "fox" else None]


class Astray(FakeDataset):
    def prompts(self, concept):
        return super().prompts(concept)[:: -1 if concept.name == "fox" else 1]


class Moody(FakeDataset):
    def neighbours(self, concept):
        found = super().neighbours(concept)
        return random.sample(found, len(found))


class Overlapping(FakeDataset):
    def split(self, request):
        return replace(super().split(request), retain=tuple(self.concepts()))


class Deaf(FakeDataset):
    def split(self, request):
        return super().split(replace(request, retain=()))


class Partial(FakeDataset):
    def split(self, request):
        return super().split(replace(request, forget=request.forget[:1]))


class Stingy(FakeDataset):
    def split(self, request):
        return Data(forget=request.forget, retain=request.retain)


class Unsplit(FakeDataset):
    def pictures(self, split):
        return super().pictures("train")


class Shuffling(FakeDataset):
    def pictures(self, split):
        found = super().pictures(split)
        return random.sample(found, len(found))


class Mislabelled(FakeDataset):
    def pictures(self, split):
        return [replace(picture, attributes={"object": "zebra"}) for picture in super().pictures(split)]


class Dark(FakeDataset):
    def pictures(self, split):
        return [replace(picture, load=lambda: torch.zeros(8, 8, 3)) for picture in super().pictures(split)]


class Words(FakeDataset):
    """One without pictures."""

    pictures = None


BAD_DATASETS: list[tuple[Any, type, str]] = [
    (datasets.check_concepts, Repeating, "the name 'cat' is given twice"),
    (datasets.check_concepts, Empty, "it has no concepts"),
    (datasets.check_neighbours, Selfish, "the neighbours of 'cat' are cat, dog"),
    (datasets.check_prompts, Hiding, "lacks 'cat'"),
    (datasets.check_prompts, Uneven, "'cat' has 3 prompts, 'fox' has 2"),
    (datasets.check_prompts, Astray, "differ in more"),
    (datasets.check_repeatable, Moody, "neighbours differ from one instance to the next"),
    (datasets.check_split, Overlapping, "cat is both forgotten and retained"),
    (datasets.check_split, Deaf, "of cat, cat, dog, fox, apple, car is retained"),
    (datasets.check_split, Partial, "to forget cat, dog, split gives cat"),
    (datasets.check_split, Stingy, "to forget cat, nothing is retained"),
    (datasets.check_training_pictures, Unsplit, "'train-cat-sketch' of 'validation' is given twice"),
    (datasets.check_training_pictures, Shuffling, "the pictures of 'train' differ from one instance to the next"),
    (datasets.check_training_pictures, Mislabelled, "pictures show [('object', 'zebra')], which are no concepts"),
    (datasets.check_training_pictures, Dark, "'train-cat-sketch' is torch.float32 (8, 8, 3)"),
]


def dataset(cls: type = FakeDataset, kinds: tuple[str, ...] = ("object", "style")) -> Component:
    return Component(spec=DatasetSpec(name="fake", summary="Words.", target="a:B", kinds=kinds), load=lambda: cls)


@pytest.mark.parametrize("check", datasets.CHECKS, ids=lambda check: check.name)
def test_a_good_dataset_passes(check):
    check.function(dataset())


def test_a_dataset_needs_no_pictures():
    datasets.check_training_pictures(dataset(Words))


@pytest.mark.parametrize(("check", "bad", "problem"), BAD_DATASETS)
def test_a_bad_dataset_fails(check, bad, problem):
    assert problem in failed(check, dataset(bad))


def test_kinds_are_those_of_the_spec():
    assert "the spec says ['object']" in failed(datasets.check_concepts, dataset(kinds=("object",)))


def test_captions_alone_need_no_concepts():
    for check in datasets.CHECKS:
        check.function(dataset(Empty, kinds=()))


def test_a_dataset_with_options_is_opened_with_them():
    spec = DatasetSpec(name="fake", summary="Words.", target="a:B", kinds=("object", "style"), config="a:C")
    opened = Component(spec=spec, load=lambda: Optioned, config_class=lambda: Options)
    check_target(opened)
    datasets.check_concepts(opened)
    assert Optioned.seen == [Options(root="words")]


@pytest.mark.parametrize(
    ("one", "text", "other", "other_text", "aligned"),
    [
        ("a cat", "cat", "an apple", "apple", True),
        ("art in art style", "art", "oil in art style", "oil", True),
        ("Cat in the rain", "cat", "Fox in the rain", "fox", True),
        ("a cat", "cat", "the dog", "dog", False),
        ("cat", "cat", "dog dog", "dog", False),
    ],
)
def test_aligned_prompts(one, text, other, other_text, aligned):
    assert datasets._aligned(one, text, other, other_text) is aligned


class Colour:
    """A good judge: the most intense colour."""

    name, version = "colour", "1"

    def __init__(self, *, device):
        self.device = device

    def logits(self, images):
        return images.float().mean(dim=(2, 3)) / 255

    def score(self, images, prompts):
        return Classes(names=("red", "green", "blue"), probabilities=self.logits(images).softmax(dim=1))


class Cosine(Colour):
    def score(self, images, prompts):
        return self.logits(images)[:, 0]


class Features(Colour):
    def score(self, images, prompts):
        return self.logits(images)


class Spots(Colour):
    """A good detector: each colour of some intensity, the most intense first."""

    scale, label = 1.0, "red"

    def score(self, images, prompts):
        names = (self.label, "green", "blue")
        rows = (zip(names, (self.scale * row).tolist(), strict=True) for row in self.logits(images))
        found = [sorted((one for one in row if one[1] >= 0.3), key=lambda one: -one[1]) for row in rows]
        return Detections(names=("red", "green", "blue"), found=found, floor=0.3)


class Shouting(Spots):
    scale = 3.0


class Inventing(Spots):
    label = "rouge"


class Unsorted(Spots):
    def score(self, images, prompts):
        found = super().score(images, prompts)
        return replace(found, found=[one[::-1] for one in found.found])


class Versionless(Colour):
    version = ""


class Changing(Colour):
    def __init__(self, *, device):
        self.version = str(id(self))


class Unsure(Colour):
    def score(self, images, prompts):
        return Classes(names=("red", "green", "blue"), probabilities=self.logits(images))


class Misnamed(Colour):
    def score(self, images, prompts):
        return replace(super().score(images, prompts), names=("red", "green"))


class Loud(Cosine):
    def score(self, images, prompts):
        return 100 * super().score(images, prompts)


class Double(Features):
    def score(self, images, prompts):
        return super().score(images, prompts).double()


class Relative(Colour):
    def logits(self, images):
        found = super().logits(images)
        return 10 * (found - found.mean(dim=0))


class Noisy(Colour):
    def logits(self, images):
        return super().logits(images) + torch.rand(3)


class Greedy(Colour):
    def score(self, images, prompts):
        images //= 2
        return super().score(images, prompts)


BAD_SCORERS: list[tuple[Any, type, str, str]] = [
    (scorers.check_version, Versionless, "classes", "its version is ''"),
    (scorers.check_version, Changing, "classes", "its version differs"),
    (scorers.check_verdicts, Unsure, "classes", "probabilities sum to 1 up to"),
    (scorers.check_verdicts, Misnamed, "classes", "2 names for 3 classes"),
    (scorers.check_verdicts, Colour, "features", "outputs='features', but score returns a Classes"),
    (scorers.check_verdicts, Features, "similarity", "'similarity' of 5 pictures are torch.float32 (5, 3)"),
    (scorers.check_verdicts, Double, "features", "'features' of 5 pictures are torch.float64 (5, 3)"),
    (scorers.check_verdicts, Loud, "similarity", "is not in [-1, 1]"),
    (scorers.check_verdicts, Colour, "detections", "outputs='detections', but score returns a Classes"),
    (scorers.check_verdicts, Shouting, "detections", "' with 1."),
    (scorers.check_verdicts, Inventing, "detections", "it detects 'rouge' with 0."),
    (scorers.check_verdicts, Unsorted, "detections", "are not in the order of their scores"),
    (scorers.check_verdicts_alone, Relative, "classes", "judged alone and together, verdicts differ by"),
    (scorers.check_verdicts_repeat, Noisy, "classes", "two verdicts on the same pictures differ"),
    (scorers.check_pictures_untouched, Greedy, "classes", "it changes its input"),
]


def scorer(cls: type = Colour, outputs: Any = "classes") -> Component:
    spec = ScorerSpec(name="colour", summary="Name a colour.", target="a:B", outputs=outputs, role="colour")
    return Component(spec=spec, load=lambda: cls)


@pytest.mark.parametrize(
    "good", [scorer(), scorer(Cosine, "similarity"), scorer(Features, "features"), scorer(Spots, "detections")]
)
@pytest.mark.parametrize("check", scorers.CHECKS, ids=lambda check: check.name)
def test_a_good_scorer_passes(check, good):
    check.function(good)


@pytest.mark.parametrize(("check", "bad", "outputs", "problem"), BAD_SCORERS)
def test_a_bad_scorer_fails(check, bad, outputs, problem):
    assert problem in failed(check, scorer(bad, outputs))


TOY = (PLUGINS / "toy" / "vu_toy_world" / "toy@1.toml").read_text()
LIGHT = """
from vu_core import ProtocolSpec, hookimpl

@hookimpl
def vu_protocols():
    yield ProtocolSpec(name="fake@1", summary="A few pictures.", file="vu_fake:fake.toml")
"""
PUBLISHED = """
[[published]]
method = "ESD"
values = { hit = 98.0 }
source = "a talk"
evidence = "paper"
"""
BAD_PROTOCOLS: list[tuple[Any, tuple[str, str], str]] = [
    (protocols.check_file, ('"fake@1"', '"other@1"'), "the file of protocol 'fake@1' calls itself 'other@1'"),
    (protocols.check_file, ("seeds", "seedlings"), "unknown option 'seedlings'"),
    (protocols.check_names, ('dataset = "toy"', 'dataset = "absent"'), "not installed: dataset 'absent'"),
    (protocols.check_names, ("hit = {}", "hit = {}\nabsent = {}"), "not installed: metric 'absent'"),
    (
        protocols.check_names,
        ("[grid]", '[needs]\nghost = "a file"\n\n[grid]'),
        "[needs] names ghost, which it does not use",
    ),
    (protocols.check_deviations, ("[grid]", f"{PUBLISHED}\n[grid]"), "it has [[published]] but no [original]"),
    (
        protocols.check_deviations,
        ("[grid]", f"[original]\nsteps = 50\n\n{PUBLISHED}\n[grid]"),
        "the numbers of ESD have no source",
    ),
    (protocols.check_metrics, ("hit = {}", "lonely = {}"), "metric 'lonely' needs a scorer for ghost"),
    (protocols.check_metrics, ("hit = {}", "hit = {scale = 2}"), "metric 'hit' has no options"),
    (protocols.check_samples, ('"all"', '["zebra"]'), "names the object 'zebra', which the dataset does not have"),
]


def protocol(folder: Path, text: str) -> Component:
    files = {"vu_fake/__init__.py": "", "vu_fake/plugin.py": LIGHT, "vu_fake/fake.toml": text}
    make_dist(folder, "vu-fake", files)
    with isolated_plugins(folder, PLUGINS / "toy"):
        (found,) = load_plugin("vu-fake").components()
    return found


FAKE = TOY.replace('"toy@1"', '"fake@1"')


@pytest.mark.parametrize("check", protocols.CHECKS, ids=lambda check: check.name)
def test_a_good_protocol_passes(check, tmp_path):
    good = protocol(tmp_path, FAKE)
    with isolated_plugins(tmp_path, PLUGINS / "toy"):
        check.function(good)


@pytest.mark.parametrize(("check", "change", "problem"), BAD_PROTOCOLS)
def test_a_bad_protocol_fails(check, change, problem, tmp_path):
    assert change[0] in FAKE
    bad = protocol(tmp_path, FAKE.replace(*change))
    with isolated_plugins(tmp_path, PLUGINS / "toy"):
        assert problem in failed(check, bad)


def test_every_check_has_a_bad_fake():
    tried = {bad[0] for bad in (*BAD_DATASETS, *BAD_SCORERS, *BAD_PROTOCOLS)}
    assert {check.function for module in (datasets, scorers, protocols) for check in module.CHECKS} == tried
