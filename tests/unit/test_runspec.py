from __future__ import annotations

import pytest

from vu_core.errors import ConfigError
from vu_core.runspec import RunSpec, read_run_file, run_spec, write_run_file


def test_a_spec_survives_its_file(tmp_path):
    spec = RunSpec(
        unlearner="uce",
        forget=("cat", "a 'quoted' \"style\""),
        replace_with=("dog",),
        model="emoji",
        scorers={"object": "emoji-object-b"},
        options={"erase_scale": 5.0, "tokens": "last", "rows": [1, 2], "flag": False},
        seed=7,
        dtype="bfloat16",
        download=True,
    )
    write_run_file(spec, tmp_path / "run.toml")
    assert read_run_file(tmp_path / "run.toml") == spec


def test_an_option_that_is_none_is_left_to_its_default(tmp_path):
    write_run_file(RunSpec(unlearner="u", forget=("c",), options={"scale": None}), tmp_path / "run.toml")
    assert read_run_file(tmp_path / "run.toml").options == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"forget": ["cat"]}, "does not say 'unlearner'"),
        ({"unlearner": "uce"}, "does not say 'forget'"),
        ({"unlearner": "uce", "forget": ["cat"], "sed": 1}, "'sed'"),
        ({"unlearner": "uce", "forget": ["cat"], "seed": 1.5}, "'seed'"),
        ({"unlearner": "uce", "forget": ["cat"], "seed": True}, "'seed'"),
        ({"unlearner": "uce", "forget": ["cat"], "device": "gpu"}, "'device'"),
        ({"unlearner": 3, "forget": ["cat"]}, "'unlearner'"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run_spec(values, origin="my.toml")
    assert "my.toml" in str(caught.value)


def test_broken_toml_names_the_line(tmp_path):
    (tmp_path / "run.toml").write_text('unlearner = "uce"\nforget = [\n')
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_run_file(tmp_path / "run.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_run_file(tmp_path / "run.toml")
