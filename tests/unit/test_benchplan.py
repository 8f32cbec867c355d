"""What a bench is asked to do, before any plugin is looked at."""

from __future__ import annotations

import pytest

from vu_core.benchplan import _options
from vu_core.cli._arguments import names, numbers, pairs
from vu_core.errors import ConfigError


def test_an_option_is_for_all_or_for_one():
    options = {"steps": "5", "fade.steps": "9", "uce.erase_scale": "2"}
    assert _options(["uce", "fade"], options) == {"uce": {"steps": "5", "erase_scale": "2"}, "fade": {"steps": "9"}}
    with pytest.raises(ConfigError, match="'esd', which is not in this bench"):
        _options(["uce"], {"esd.steps": "1"})


def test_lists_numbers_and_pairs_on_the_command_line():
    assert names(["cat, dog", "fox"]) == ["cat", "dog", "fox"] and names(None) is None
    assert numbers(["0,1", "2"], "--seeds") == [0, 1, 2] and numbers(None, "--seeds") is None
    assert pairs(["a=1", "b = x=y"], "", "") == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigError, match="--seeds takes integers from 0 up, '-1'"):
        numbers(["-1"], "--seeds")
    with pytest.raises(ConfigError, match="-o takes key=value, 'a' was given"):
        pairs(["a"], "-o takes key=value", "-o a=1")
