"""What the plugin announces, and that the files it names agree with it."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from vu_emoji import plugin
from vu_emoji.dataset import EVALUATED_WORDING, EmojiDataset

from vu_core.protocols import read_protocol, samples_of
from vu_core.specs import ModelSpec, ProtocolSpec, Spec

HOOKS = (plugin.vu_models, plugin.vu_datasets, plugin.vu_scorers, plugin.vu_protocols)
SPECS: list[Spec] = [spec for hook in HOOKS for spec in hook()]
PROTOCOLS = [spec for spec in SPECS if isinstance(spec, ProtocolSpec)]


def named(kind: str) -> dict[str, Spec]:
    return {spec.name: spec for spec in SPECS if spec.kind == kind}


def test_specs_are_valid():
    assert [problem for spec in SPECS for problem in spec.problems()] == []


def test_the_model_names_what_the_plugin_provides():
    (model,) = named("model").values()
    assert isinstance(model, ModelSpec)
    assert model.embedded
    assert model.dataset in named("dataset")
    assert {model.protocol, model.quick_protocol} < set(named("protocol"))


@pytest.mark.parametrize(("spec", "pictures"), list(zip(PROTOCOLS, (30 * 6 * 2, 30 * 6, 6 * 6), strict=True)))
def test_protocols(spec, pictures):
    protocol = read_protocol(files("vu_emoji") / spec.file.partition(":")[2])
    assert (protocol.name, protocol.summary) == (spec.name, spec.summary)
    assert set(protocol.scorers.values()) < set(named("scorer"))
    samples = list(samples_of(protocol, EmojiDataset()))
    assert len(samples) == pictures
    assert len({sample.id for sample in samples}) == len({sample.seed for sample in samples}) == len(samples)


def test_the_pictures_of_a_smaller_protocol_are_among_those_of_the_larger_one():
    full, quick, small = (
        {(s.prompt, s.seed) for s in samples_of(read_protocol(files("vu_emoji") / f"protocols/{name}"), EmojiDataset())}
        for name in ("emoji-1.toml", "emoji-quick-1.toml", "emoji-small-1.toml")
    )
    assert small < quick < full


def test_no_prompt_that_is_measured_is_used_to_unlearn():
    data = EmojiDataset()
    used = {prompt for concept in data.concepts() for prompt in data.prompts(concept)}
    for spec in PROTOCOLS:
        protocol = read_protocol(files("vu_emoji") / spec.file.partition(":")[2])
        assert protocol.templates == (EVALUATED_WORDING,)
        assert used.isdisjoint(sample.prompt for sample in samples_of(protocol, data))


def test_weights_and_art_are_small_enough_to_travel():
    sizes = [path.stat().st_size for path in Path(str(files("vu_emoji"))).glob("assets/**/*") if path.is_file()]
    assert 10e6 < sum(sizes) <= 25e6
    assert max(sizes) < 16 * 2**20


def test_describing_the_plugin_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'PIL', 'transformers', 'diffusers'}"
    code = f"import sys, vu_emoji.plugin; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
