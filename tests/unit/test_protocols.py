"""Protocol files: what they say, what is refused, which samples they give."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from vu_core.cli._protocol import protocol_rows
from vu_core.errors import ConfigError
from vu_core.protocols import parse_protocol, read_protocol, samples_of
from vu_core.published import deviations
from vu_core.types import Concept

TEXT = """
name = "toy@1"
dataset = "toy"
templates = ["a {object} in {style} style"]
articles = true
seeds = [0, 7]

[grid]
object = "all"
style = ["noto"]

[sampler]
steps = 4
guidance_scale = 3

[scorers]
object = "toy-object"

[metrics]
ua = {}
cra = { pooled = true }
"""


PUBLISHED = {"method": "ESD", "values": {"ua": 98.58}, "source": "arXiv:2402.11846", "evidence": "paper"}


class Toy:
    def concepts(self):
        objects = [Concept(name="cat"), Concept(name="snow owl/white", text="owl")]
        return [*objects, Concept(name="noto", kind="style"), Concept(name="mono", kind="style")]


def parsed(**changes):
    table = tomllib.loads(TEXT)
    for key, value in changes.items():
        outer, _, inner = key.partition("__")
        if inner:
            table[outer][inner] = value
        elif value is None:
            del table[key]
        else:
            table[key] = value
    return parse_protocol(table)


def test_read_protocol(tmp_path: Path):
    path = tmp_path / "toy.toml"
    path.write_text(TEXT)
    protocol = read_protocol(path)
    assert protocol.kinds == ("object", "style")
    assert protocol.grid == {"object": "all", "style": ("noto",)}
    assert (protocol.sampler.steps, protocol.sampler.guidance_scale) == (4, 3)
    assert protocol.metrics == {"ua": {}, "cra": {"pooled": True}}
    assert protocol.facts()["name"] == "toy@1"
    assert len(protocol.facts()["sha256"]) == 64
    assert protocol_rows(protocol)["grid"] == "object: all x style: noto"


def test_samples_cross_the_grid_in_a_fixed_order():
    samples = list(samples_of(parsed(), Toy()))
    assert [s.id for s in samples] == ["cat-noto-0", "cat-noto-7", "snow_owl_white-noto-0", "snow_owl_white-noto-7"]
    assert samples[0].prompt == "a cat in noto style"
    assert samples[2].prompt == "an owl in noto style"
    assert samples[2].attributes == {"object": "snow owl/white", "style": "noto"}
    assert [s.cluster for s in samples] == ["cat-noto"] * 2 + ["snow_owl_white-noto"] * 2
    assert [s.seed for s in samples] == [0, 7, 0, 7]


def test_concepts_of_any_alphabet_have_pictures_of_their_own():
    protocol = parsed(dataset="", grid={"object": ["猫", "犬", "c++"]}, templates=["{object}"], seeds=[0])
    assert [sample.id for sample in samples_of(protocol, None)] == ["猫-0", "犬-0", "c_-0"]


@pytest.mark.parametrize("names", [["c++", "c#"], ["snow owl", "snow-owl"], ["Cat", "cat"]])
def test_two_prompts_never_share_a_file_name(names):
    protocol = parsed(dataset="", grid={"object": names}, templates=["{object}"])
    with pytest.raises(ConfigError, match=f"the pictures of '{re.escape(names[0])}' and '{names[1]}' would both"):
        list(samples_of(protocol, None))


def test_every_template_is_a_prompt_of_its_own():
    protocol = parsed(templates=["{style} {object}", "{object}, {style}"], seeds=[3])
    samples = list(samples_of(protocol, Toy()))
    assert [s.id for s in samples[:2]] == ["cat-noto-t0-3", "cat-noto-t1-3"]
    assert len({s.cluster for s in samples}) == len(samples)


def test_noise_of_each_prompt_is_its_own_when_asked():
    first, second = (list(samples_of(parsed(seed_rule="per-prompt"), Toy())) for _ in range(2))
    assert first == second
    assert len({s.seed for s in first}) == len(first)
    assert all(0 <= s.seed < 2**32 for s in first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "toy"}, "version"),
        ({"seeds": []}, "'seeds' is empty"),
        ({"seeds": [1, 1]}, "different numbers"),
        ({"seeds": ["a"]}, "seeds"),
        ({"sedes": [1]}, "Did you mean 'seeds'"),
        ({"seeds": None}, "'seeds' is empty"),
        ({"prompts": {"url": "https://x/a.csv", "sha256": "0" * 64, "role": "forget"}}, "'templates' and [prompts]"),
        ({"dataset": ""}, "grid.object"),
        ({"original": {"steps": "many"}}, "in [original]"),
        ({"published": [{"method": "ESD", "values": {"ua": 1.0}, "evidence": "paper"}]}, "does not say 'source'"),
        ({"published": [PUBLISHED | {"evidence": "hearsay"}]}, "in [[published]] 1"),
        ({"seed_rule": "own"}, "seed_rule"),
        ({"sampler__step": 3}, "Did you mean 'steps'"),
        ({"sampler__steps": 0}, ">= 1"),
        ({"sampler": {"steps": 3}}, "does not say 'guidance_scale'"),
        ({"grid__style": "noto"}, "grid.style"),
        ({"grid__style": ["noto", "noto"]}, "twice"),
        ({"metrics__ua": 3}, "metrics.ua"),
        ({"metrics": {}}, "'metrics' is empty"),
        ({"templates": ["a {objet}"]}, "{objet}"),
        ({"templates": ["a {object}"]}, "does not use '{style}'"),
        ({"templates": ["a {object"]}, "cannot be filled"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(ConfigError) as caught:
        parsed(**changes)
    assert message in str(caught.value)


def test_concepts_must_be_the_datasets():
    with pytest.raises(ConfigError, match=r"'notoo'.*Did you mean 'noto'"):
        list(samples_of(parsed(grid__style=["notoo"]), Toy()))
    with pytest.raises(ConfigError, match="person"):
        list(samples_of(parsed(grid={"person": "all"}, templates=["{person}"]), Toy()))


def test_without_a_dataset_the_grid_s_names_are_the_concepts():
    protocol = parsed(dataset="", grid={"object": ["cat", "dog"]}, templates=["a {object}"], seeds=[3])
    samples = list(samples_of(protocol, Toy()))
    assert [(s.prompt, dict(s.attributes)) for s in samples] == [
        ("a cat", {"object": "cat"}),
        ("a dog", {"object": "dog"}),
    ]


def test_what_was_published_is_kept_and_described():
    protocol = parsed(
        deviations=["files: PNG here"],
        original={"steps": 100, "scorers": {"object": "vit"}},
        published=[PUBLISHED],
        needs={"toy-object": "a file"},
    )
    rows = protocol_rows(protocol)
    assert rows["published 1"] == "ESD: ua 98.58 [paper, arXiv:2402.11846]"
    assert (rows["as published"], rows["needs toy-object"]) == ("steps 100, object vit", "a file")
    here = {"model": "m", "dtype": "float32", "pictures": 1, "metrics": ["ua"], "scorers": {"object": "toy-object"}}
    assert [
        sentence.removeprefix("differs from toy@1 as published: ") for sentence in deviations(protocol, **here)
    ] == [
        "files: PNG here",
        "steps: 4 here, 100 as published",
        "judge of object: toy-object here, vit as published",
        "not measured: cra",
    ]
    assert deviations(parsed(), **here) == []


@pytest.mark.parametrize(("changes", "noise"), [({}, "shared"), ({"seed_rule": "per-prompt"}, "per-prompt")])
def test_the_rule_of_the_noise(changes, noise):
    assert parsed(**changes).noise == noise
    assert parsed(**changes, sampler__noise="sequential").noise == "sequential"


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_protocol(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = 'a'\nseeds = [1,\n= 3")
    with pytest.raises(ConfigError, match=r"broken.toml.*line 3"):
        read_protocol(broken)
    broken.write_text(TEXT.replace("seeds", "sedes"))
    with pytest.raises(ConfigError, match=r"broken.toml"):
        read_protocol(broken)
