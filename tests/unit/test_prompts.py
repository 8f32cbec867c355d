"""Pinned lists of prompts: found, checked against their hash, fetched only when that is allowed."""

from __future__ import annotations

import hashlib
from http.client import IncompleteRead

import pytest

from vu_core.config import validate
from vu_core.errors import ConfigError, DataError
from vu_core.prompts import PromptList
from vu_core.types import Concept, Request

TEXT = 'n,prompt,seed,kind,shown\n0,"a cat, seated",7,a,cat\n1,a dog,8,b,dog\n2,"a cat, seated",9,a,cat\n'
CAT = Concept(name="cat")


def listed(tmp_path, text=TEXT, **options):
    source = tmp_path / "server" / "list.csv"
    source.parent.mkdir(exist_ok=True)
    source.write_text(text)
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    return validate(PromptList, {"url": source.as_uri(), "sha256": sha256, **({"role": "forget"} | options)})


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("VU_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_list_is_fetched_once_and_only_when_allowed(tmp_path, data_dir):
    prompts = listed(tmp_path)
    with pytest.raises(DataError, match=r"'list.csv' are not here.*--download.*VU_DATA_DIR"):
        list(prompts.samples((CAT,)))
    samples = list(prompts.samples((CAT,), download=True))
    assert prompts.path.parent == data_dir / "prompts" and prompts.path.read_text() == TEXT
    (tmp_path / "server" / "list.csv").unlink()
    assert list(prompts.samples((CAT,))) == samples


def test_samples_keep_their_seeds_and_equal_prompts_share_a_cluster(tmp_path):
    samples = list(listed(tmp_path).samples((CAT,), download=True))
    assert [(s.id, s.prompt, s.seed, s.cluster) for s in samples] == [
        ("00000", "a cat, seated", 7, "00000"),
        ("00001", "a dog", 8, "00001"),
        ("00002", "a cat, seated", 9, "00000"),
    ]


def test_who_says_what_the_prompts_ask_for(tmp_path):
    request = Request(forget=(CAT,))
    groups = {
        options["role"]: [s.group(request) for s in listed(tmp_path, **options).samples((CAT,), download=True)]
        for options in ({"role": "forget"}, {"role": "retain"}, {"role": "", "attributes": {"object": "shown"}})
    }
    assert groups["forget"] == ["forget"] * 3 and groups["retain"] == ["retain"] * 3
    assert groups[""] == ["forget", "retain", "forget"]


def test_names_and_rows_that_count(tmp_path):
    prompts = listed(tmp_path, role="", attributes={"object": "shown"}, names={"cat": "Cat"}, where={"kind": "a"})
    assert [s.attributes for s in prompts.samples((), download=True)] == [{"object": "Cat"}] * 2


def test_wordings_tell_what_a_prompt_asks_for(tmp_path):
    wordings = {"object": ["a {}, seated", "a {}"]}
    prompts = listed(tmp_path, role="", wordings=wordings, names={"dog": "Dog"})
    assert [s.attributes["object"] for s in prompts.samples((), download=True)] == ["cat", "Dog", "cat"]
    assert prompts.kinds == ("object",)
    with pytest.raises(ConfigError, match=r"'a dog' of 'list.csv' has none of the wordings. a \{\}, seated"):
        list(listed(tmp_path, role="", wordings={"object": ["a {}, seated"]}).samples((), download=True))


def test_another_file_is_refused(tmp_path):
    prompts = listed(tmp_path)
    prompts.path.parent.mkdir(parents=True)
    prompts.path.write_text(TEXT + "3,a fox,10,b,fox\n")
    with pytest.raises(ConfigError, match=r"is not the published list: its sha256 is .*Get it anew from file://"):
        list(prompts.samples((CAT,), download=True))


def test_what_the_network_gives_in_its_place_is_not_kept(tmp_path):
    prompts = listed(tmp_path, "<html>Sign in to this network</html>")
    with pytest.raises(ConfigError, match=r"'file://.*' is not the published list: its sha256 is .*it may have moved"):
        list(prompts.samples((CAT,), download=True))
    assert not prompts.path.exists()
    (tmp_path / "server" / "list.csv").write_text(TEXT)
    assert len(list(prompts.samples((CAT,), download=True))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "evaluation_seed"}, "no column 'evaluation_seed'; its columns are n, prompt, seed, kind, shown"),
        ({"seed": "kind"}, "the seed of row 0 of 'list.csv' is 'a'"),
        ({"role": "", "attributes": {"object": "object"}}, "no column 'object'"),
    ],
)
def test_columns_that_are_not_as_they_should_be(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        list(listed(tmp_path, **options).samples((CAT,), download=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "abc"}, "not 64 hexadecimal digits"),
        ({"role": ""}, "give one of them"),
        ({"attributes": {"object": "shown"}}, "give one of them"),
        ({"role": "both"}, "'role' cannot be 'both'"),
    ],
)
def test_what_is_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        listed(tmp_path, **options)


def test_a_list_that_cannot_be_fetched(tmp_path, monkeypatch):
    prompts = listed(tmp_path)
    (tmp_path / "server" / "list.csv").unlink()
    with pytest.raises(DataError, match="could not be fetched"):
        list(prompts.samples((CAT,), download=True))
    with pytest.raises(DataError, match="'prompts' could not be fetched: unknown url type"):
        list(listed(tmp_path, url="prompts").samples((CAT,), download=True))

    def cut_short(*_args, **_kwargs):
        raise IncompleteRead(b"n,prompt")

    monkeypatch.setattr("vu_core.prompts.urlopen", cut_short)
    with pytest.raises(DataError, match=r"could not be fetched: IncompleteRead\(8 bytes read\)"):
        list(prompts.samples((CAT,), download=True))
